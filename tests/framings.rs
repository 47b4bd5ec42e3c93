//! Framings over real connections: what a pause holds back is delivered when reading goes on.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
use ropewalk::{Address, Reactor, Result, Transport};
use std::time::Duration;

/// Answers each line in a later turn, and takes no other before.
struct Slow;

impl LineProtocol for Slow {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        transport.pause_reading();
        let (line, transport) = (line.to_owned(), transport.clone());
        transport.reactor().call_later(Duration::ZERO, move || {
            send_line(&transport, &line).expect("it came as one line");
            transport.resume_reading();
        });
        Ok(())
    }
}

#[test]
fn lines_held_back_by_a_pause_are_answered_one_by_one_and_before_the_peers_end() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", |_: &Address| LineReceiver::new(Slow)).unwrap();
    let opening = reactor.open(port.host());
    let answers = reactor.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(b"one\r\ntwo\r\nthree\r\nunfinished").await?;
        stream.close().await?;
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await?;
        Ok(answers)
    });
    assert_eq!(answers.unwrap(), "one\r\ntwo\r\nthree\r\n");
}
