//! The codecs of tokio-util: frames by any of them, from a stream of ropewalk.

use futures_util::{SinkExt, StreamExt};
use ropewalk::{Failure, Reactor};
use tokio_util::codec::{Framed, LinesCodec};
use tokio_util::compat::FuturesAsyncReadCompatExt;

#[test]
fn lines_by_a_codec_come_back() -> Result<(), Failure> {
    let reactor = Reactor::new()?;
    let port = reactor.serve("127.0.0.1:0", async |stream| {
        // `compat` gives it the traits of tokio; its runtime is not needed for them.
        let mut lines = Framed::new(stream.compat(), LinesCodec::new_with_max_length(1024));
        while let Some(line) = lines.next().await {
            lines.send(line?.to_uppercase()).await?;
        }
        Ok(())
    })?;
    let opening = reactor.open(port.host());
    let answer = reactor.run_until(async move {
        let mut lines = Framed::new(opening.await?.compat(), LinesCodec::new());
        lines.send("rope").await?;
        let answer = lines.next().await.ok_or_else(|| Failure::msg("no answer"))?;
        Ok(answer?)
    })?;
    assert_eq!(answer, "ROPE");
    Ok(())
}
