//! Failures of an application's own: how the peer sees them, and what of the last words it gets.

use super::kit::{Notes, Peer, hear_reports, pattern, turn, until};
use ropewalk::transport::{Producer, Producing};
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};

/// Where a protocol fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    ConnectionMade,
    ReadingResumed,
    ReadClosed,
    WriteClosed,
    Producing,
}

struct Failing(At, Notes);

impl Failing {
    fn fail_at(&self, at: At, transport: &Transport) {
        if self.0 == at {
            transport.write(b"last words");
            panic!("on purpose");
        }
    }
}

struct Faulty;

impl Producer for Faulty {
    fn resume_producing(&mut self, transport: &Transport) {
        transport.write(b"last words");
        panic!("on purpose");
    }
}

impl Protocol for Failing {
    fn connection_made(&mut self, transport: &Transport) {
        self.fail_at(At::ConnectionMade, transport);
    }
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        match self.0 {
            At::ReadingResumed => {
                transport.pause_reading();
                transport.resume_reading();
            }
            At::WriteClosed => transport.lose_write_connection(),
            At::Producing => transport.register_producer(Faulty, Producing::Pull)?,
            _ => {}
        }
        Ok(())
    }
    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        if self.0 == At::ReadingResumed {
            transport.write(b"last words");
            return Err(Failure::msg("on purpose"));
        }
        Ok(())
    }
    fn read_closed(&mut self, transport: &Transport) {
        self.fail_at(At::ReadClosed, transport);
    }
    fn write_closed(&mut self, transport: &Transport) {
        self.fail_at(At::WriteClosed, transport);
    }
    fn connection_lost(&mut self, reason: &Failure) {
        self.1.add(reason);
    }
}

#[test]
fn wherever_a_protocol_fails_the_peer_sees_a_reset_behind_the_last_words() {
    for at in
        [At::ConnectionMade, At::ReadingResumed, At::ReadClosed, At::WriteClosed, At::Producing]
    {
        let (reactor, reports, notes) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
        let log = notes.clone();
        let build = move |_: &Address| Failing(at, log.clone());
        let port = reactor.listen("127.0.0.1:0", build).unwrap();
        let mut peer = Peer::call(&port);
        if at != At::ConnectionMade {
            turn(&reactor);
            peer.send(b"go");
        }
        if at == At::ReadClosed {
            peer.half_close();
        }
        // What is written when the writing half has ended is dropped, and the end of stream came first.
        let (words, end) = match at {
            At::WriteClosed => ("", "end of stream"),
            _ => ("last words", "ConnectionReset"),
        };
        assert_eq!(peer.until_end(&reactor), end, "{at:?}");
        assert_eq!(String::from_utf8_lossy(&peer.got), words, "{at:?}");
        until(&reactor, "it is told", || notes.len() > 0);
        assert_eq!((notes.len(), reports.len()), (1, 1), "{at:?}: {:?}", reports.all());
        assert!(notes.all()[0].ends_with("on purpose"), "{at:?}");
    }
}

#[test]
fn who_answers_and_then_ends_is_heard_to_the_end() {
    struct Refuses;
    impl Protocol for Refuses {
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            transport.write(pattern(1 << 20));
            transport.lose_connection();
            Ok(())
        }
    }
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Refuses).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"nonsense");
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert!(peer.got == pattern(1 << 20));
    reports.expect(&[]);
}

#[test]
fn what_a_callback_wrote_does_not_leave_through_another_connection_that_gets_a_layer() {
    use std::{cell::RefCell, rc::Rc};

    /// The second of two has the first one's stream replaced from inside its callback.
    #[derive(Clone, Default)]
    struct Both(Rc<RefCell<Vec<Transport>>>);
    impl Protocol for Both {
        fn connection_made(&mut self, transport: &Transport) {
            self.0.borrow_mut().push(transport.clone());
        }
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            let first = self.0.borrow()[0].clone();
            transport.write(b"for the second");
            first.replace_stream(|stream| stream)?;
            // It takes no descriptor; what it is asked to do before that, it does.
            let (descriptor, _) = std::io::pipe()?;
            first.send_file_descriptor(descriptor.into()).unwrap_err();
            first.write(b"for the first");
            Ok(())
        }
    }
    let (reactor, both) = (Reactor::new().unwrap(), Both::default());
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| both.clone()).unwrap();
    let mut first = Peer::call(&port);
    turn(&reactor);
    let mut second = Peer::call(&port);
    turn(&reactor);
    second.send(b"go");
    second.until_heard(&reactor, b"for the second");
    first.until_heard(&reactor, b"for the first");
}
