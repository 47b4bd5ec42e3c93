//! Callbacks that are `async fn`: an echo that looks two things up before it answers, and a chat in lines.
//!
//!     cargo run --example async_protocol [127.0.0.1:8000 127.0.0.1:8001]
//!
//! Then type `nc 127.0.0.1 8000` for the echo, and `nc -C 127.0.0.1 8001` twice for the chat.

mod chat;
mod room;

use chat::Guest;
use room::Room;
use ropewalk::awaited::{AsyncProtocol, Awaited};
use ropewalk::framing::LineReceiver;
use ropewalk::{Address, Deferred, Reactor, Result, Transport};
use std::io::{Write, stdout};
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
    let mut addresses = std::env::args().skip(1);
    let mut address = |usual: &str| addresses.next().unwrap_or_else(|| usual.to_owned());
    let reactor = Reactor::new()?;
    let echo = |_: &Address| Awaited::new(Echo);
    let port = reactor.listen(address("127.0.0.1:8000"), echo)?;
    writeln!(stdout(), "Echoing at {}", port.host())?;

    let room = Room::default();
    // Short lines: one can be said with the longest name before it.
    let seat =
        move |_: &Address| LineReceiver::new(Awaited::new(Guest::new(&room))).max_length(1000);
    let port = reactor.listen(address("127.0.0.1:8001"), seat)?;
    writeln!(stdout(), "Chatting at {}", port.host())?;
    reactor.run()
}
