//! WebSockets by async-tungstenite, which takes the traits that a stream of ropewalk has.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::{accept_async, client_async};
use futures_util::StreamExt;
use ropewalk::{Failure, Reactor};

#[test]
fn a_message_comes_back_over_a_web_socket() -> Result<(), Failure> {
    let reactor = Reactor::new()?;
    let port = reactor.serve("127.0.0.1:0", async |stream| {
        let mut socket = accept_async(stream).await?;
        while let Some(message) = socket.next().await {
            match message? {
                message if message.is_text() => socket.send(message).await?,
                _ => {} // a close is answered already
            }
        }
        Ok(())
    })?;
    let opening = reactor.open(port.host());
    let answer = reactor.run_until(async move {
        let (mut socket, _) = client_async("ws://here/", opening.await?).await?;
        socket.send(Message::text("rope")).await?;
        let answer = socket.next().await.ok_or_else(|| Failure::msg("no answer"))??;
        socket.close(None).await?;
        Ok(answer)
    })?;
    assert_eq!(answer, Message::text("rope"));
    Ok(())
}
