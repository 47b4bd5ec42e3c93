//! Callbacks that are `async fn`: an echo that looks two things up before it answers, and a chat in lines.
//!
//!     cargo run --example async_protocol
//!
//! Then type `nc 127.0.0.1 8000` for the echo, and `nc -C 127.0.0.1 8001` twice for the chat.

mod chat;

use chat::{Guest, Room};
use ropewalk::awaited::{AsyncProtocol, Awaited};
use ropewalk::framing::LineReceiver;
use ropewalk::{Address, Deferred, Reactor, Result, Transport};
use std::time::Duration;

struct Echo;

impl AsyncProtocol for Echo {
    /// While this awaits, nothing more is read; if the peer goes, it is dropped where it waits.
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let host = name_of(transport).await?;
        let count = length_of(transport, data).await?;
        transport.write(format!("{host} heard {count} bytes: "));
        transport.write(data);
        Ok(())
    }
}

/// As slow as if somebody far away were asked.
async fn name_of(transport: &Transport) -> Result<String> {
    transport.reactor().sleep(Duration::from_millis(50)).await;
    Ok(transport.host().to_string())
}

/// Work for a thread.
fn length_of(transport: &Transport, data: &[u8]) -> Deferred<usize> {
    let data = data.to_vec();
    transport.reactor().defer_to_thread(move || Ok(data.len()))
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    reactor.listen("127.0.0.1:8000", |_: &Address| Awaited::new(Echo))?;
    let room = Room::default();
    let seat = move |_: &Address| LineReceiver::new(Awaited::new(Guest::new(&room)));
    reactor.listen("127.0.0.1:8001", seat)?;
    println!("type: nc 127.0.0.1 8000    (an echo)");
    println!("  or: nc -C 127.0.0.1 8001 (a chat, in two terminals)");
    reactor.run()
}
