//! What both faces promise alike: bytes in any cut, halves, ends.

use super::kit::{
    FACES, Face, MUCH, Peer, Role, census, hear_reports, pattern, serve, turn, until,
};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{Address, Protocol, Reactor, Result, Transport};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_message_cut_anywhere_is_echoed_whole() {
    let message = b"twelve bytes";
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        for first in 0..message.len() {
            for second in first..message.len() {
                let mut peer = Peer::call(&server.port);
                for end in [first, second, message.len()] {
                    peer.send(&message[peer.got.len()..end]);
                    peer.until_heard(&reactor, &message[..end]);
                }
                peer.half_close();
                assert_eq!(peer.until_end(&reactor), "end of stream");
            }
        }
        reports.expect(&[]);
        assert_eq!(census(&reactor), (1, 0), "{face:?}: the port is left");
    }
}

#[test]
fn bytes_that_came_with_the_end_are_answered_before_it() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        peer.send(b"all I have to say");
        peer.half_close();
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert_eq!(peer.got, b"all I have to say");
    }
}

#[test]
fn an_answer_to_the_end_of_the_peers_half_still_reaches_it() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Count);
        let mut peer = Peer::call(&server.port);
        peer.send(b"seven b");
        until(&reactor, "bytes arrive", || server.seen.borrow().len() == 7);
        peer.half_close();
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert_eq!(peer.got, b"7", "{face:?}");
    }
}

#[test]
fn after_the_end_of_this_half_the_other_is_still_read() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Bye);
        let mut peer = Peer::call(&server.port);
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert_eq!(peer.got, b"bye");
        assert!(server.ends.len() == 0 && server.transports.borrow()[0].is_connected());
        peer.send(b"one more thing");
        until(&reactor, "it is heard", || *server.seen.borrow() == b"one more thing");
        drop(peer);
        until(&reactor, "the connection ends", || server.ends.len() == 1);
        turn(&reactor);
        assert_eq!(census(&reactor), (1, 0), "{face:?}");
    }
}

#[test]
fn what_is_written_after_the_end_of_this_half_goes_nowhere() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Bye);
        let mut peer = Peer::call(&server.port);
        peer.until_end(&reactor);
        server.transports.borrow()[0].write(b"too late");
        turn(&reactor);
        peer.end = None;
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert_eq!(peer.got, b"bye");
    }
}

#[test]
fn both_halves_ended_is_an_end_in_order_though_a_stream_is_held() {
    let reactor = Reactor::new().unwrap();
    let held = Rc::new(RefCell::new(None));
    let shelf = held.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        stream.close().await?;
        assert_eq!(stream.read(&mut [0; 8]).await?, 0);
        shelf.replace(Some(stream));
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let peer = Peer::call(&port);
    peer.half_close();
    until(&reactor, "the handler is done", || held.borrow().is_some());
    turn(&reactor);
    assert!(!held.borrow().as_ref().unwrap().transport().is_connected());
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn many_bytes_arrive_whole_though_the_peer_takes_its_time() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Flood(MUCH));
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        turn(&reactor);
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert!(peer.got == pattern(MUCH), "{face:?}: {} bytes came", peer.got.len());
        until(&reactor, "the end", || server.ends.len() == 1);
        reports.expect(&[]);
    }
}

#[test]
fn many_bytes_are_echoed_whole() {
    let much = pattern(2 << 20);
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let (mut peer, mut sent) = (Peer::call(&server.port), 0);
        until(&reactor, "all is sent and heard", || {
            if let Ok(count) = peer.socket.write(&much[sent..]) {
                sent += count;
            }
            peer.hear().len() == much.len()
        });
        assert!(peer.got == much, "{face:?}");
    }
}

#[test]
fn small_and_large_writes_keep_their_order() {
    struct Sizes;
    impl Protocol for Sizes {
        fn connection_made(&mut self, transport: &Transport) {
            let all = pattern(400_000);
            let mut left = &all[..];
            for size in [1, 20_000, 5, 0, 16_383, 16_384, 3, 90_000, 1, 100_000].iter().cycle() {
                let (now, later) = left.split_at(left.len().min(*size));
                transport.write(now);
                left = later;
                if left.is_empty() {
                    return transport.lose_connection();
                }
            }
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Sizes).unwrap();
    let mut peer = Peer::call(&port);
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert!(peer.got == pattern(400_000));
}

#[test]
fn a_write_after_lose_connection_is_dropped() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let transport = server.transports.borrow()[0].clone();
        transport.write(b"first");
        transport.lose_connection();
        transport.write(b" second");
        transport.write([0; 20_000]);
        assert!(!transport.is_connected());
        assert_eq!(peer.until_end(&reactor), "end of stream");
        assert_eq!(peer.got, b"first");
    }
}

#[test]
fn an_abort_discards_what_was_written_and_resets_the_peer() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let transport = server.transports.borrow()[0].clone();
        transport.write(b"never sent");
        transport.abort_connection();
        assert_eq!(peer.until_end(&reactor), "ConnectionReset", "{face:?}");
        assert_eq!(peer.got, b"");
        until(&reactor, "the end is told", || server.ends.len() == 1);
        if face == Face::Protocol {
            let aborted = "lost: the connection was aborted here: abort_connection was called";
            server.ends.expect(&[aborted]);
        }
        reports.expect(&[]);
    }
}

#[test]
fn an_abort_overrules_an_end_in_order() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut peer = Peer::call(&server.port);
    until(&reactor, "accepted", || server.transports.borrow().len() == 1);
    let transport = server.transports.borrow()[0].clone();
    transport.write(vec![1; MUCH]);
    transport.lose_connection();
    turn(&reactor);
    assert_eq!(server.ends.len(), 0, "the peer has not taken all");
    transport.abort_connection();
    assert_eq!(peer.until_end(&reactor), "ConnectionReset");
    until(&reactor, "the end is told", || server.ends.has("lost: the connection was aborted"));
}

#[test]
fn addresses_can_be_asked_for_after_the_end() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let peer = Peer::call(&server.port);
        let address = Address::from(peer.socket.local_addr().unwrap());
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let transport = server.transports.borrow()[0].clone();
        drop(peer);
        until(&reactor, "the end", || server.ends.len() == 1);
        turn(&reactor);
        assert_eq!(transport.peer(), address);
        assert_eq!(transport.host(), server.port.host());
        assert!(!transport.is_connected());
    }
}

#[test]
fn a_transport_does_nothing_and_fails_nowhere_after_the_end() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    drop(Peer::call(&server.port));
    until(&reactor, "the end", || server.ends.len() == 1);
    let transport = server.transports.borrow()[0].clone();
    transport.write(b"nobody");
    transport.write_vectored(&[std::io::IoSlice::new(b"nobody")]);
    transport.lose_write_connection();
    transport.lose_connection();
    transport.abort_connection();
    transport.pause_reading();
    transport.resume_reading();
    transport.set_close_timeout(Duration::ZERO);
    assert!(transport.set_nodelay(true).is_err() && transport.set_keepalive(None).is_err());
    let drained = transport.drained();
    assert!(reactor.run_until(drained).unwrap_err().is::<ropewalk::transport::ConnectionDone>());
    turn(&reactor);
    server.ends.expect(&["lost: the connection was closed in order"]);
    reports.expect(&[]);
}

#[test]
fn each_half_of_a_stream_works_in_a_task_of_its_own() {
    let reactor = Reactor::new().unwrap();
    let handler = async |stream: ropewalk::Stream| {
        let reactor = stream.reactor();
        let (mut read, mut write) = stream.split();
        let reading = reactor.spawn(async move {
            let mut all = Vec::new();
            read.read_to_end(&mut all).await?;
            Ok(all)
        });
        write.write_all(b"written meanwhile, ").await?;
        let all = reading.await?;
        write.write_all(&all).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    peer.until_heard(&reactor, b"written meanwhile, ");
    peer.send(b"read meanwhile");
    peer.half_close();
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(peer.got, b"written meanwhile, read meanwhile");
}

#[test]
fn dropping_the_writing_half_ends_it_and_the_reading_half_reads_on() {
    let reactor = Reactor::new().unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let sink = heard.clone();
    let handler = async move |stream: ropewalk::Stream| {
        let (mut read, mut write) = stream.split();
        write.write_all(b"that was all").await?;
        drop(write);
        read.read_to_end(&mut Vec::new()).await.map(drop)?;
        sink.borrow_mut().push("the peer's end");
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(peer.got, b"that was all");
    peer.send(b"and I go on");
    turn(&reactor);
    assert!(heard.borrow().is_empty());
    peer.half_close();
    until(&reactor, "the reading half hears the end", || !heard.borrow().is_empty());
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn dropping_the_reading_half_leaves_the_writing_half_at_work() {
    let reactor = Reactor::new().unwrap();
    let handler = async |stream: ropewalk::Stream| {
        let (read, mut write) = stream.split();
        drop(read);
        write.write_all(&pattern(300_000)).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert!(peer.got == pattern(300_000));
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn a_stream_reads_by_buffer_and_by_slice_in_turn() {
    use futures_util::AsyncBufReadExt;
    let reactor = Reactor::new().unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = lines.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        let (mut line, mut four) = (String::new(), [0; 4]);
        while stream.read_line(&mut line).await? > 0 {
            stream.read_exact(&mut four).await?;
            sink.borrow_mut().push((std::mem::take(&mut line), four));
        }
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"a line\nfouranother\nfi");
    turn(&reactor);
    peer.send(b"ve");
    peer.half_close();
    until(&reactor, "both", || lines.borrow().len() == 2);
    let expected = [("a line\n".into(), *b"four"), ("another\n".into(), *b"five")];
    assert_eq!(*lines.borrow(), expected);
}

#[test]
fn a_stream_that_is_written_to_and_ended_in_one_poll_is_ended() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum End {
        Abort,
        Lose,
        Half,
        Fail,
        Drop,
    }
    for end in [End::Abort, End::Lose, End::Half, End::Fail, End::Drop] {
        let (reactor, _reports) = (Reactor::new().unwrap(), hear_reports());
        let handler = async move |mut stream: ropewalk::Stream| {
            stream.read_exact(&mut [0; 2]).await?;
            stream.write_all(b"words").await?;
            match end {
                End::Abort => stream.transport().abort_connection(),
                End::Lose => stream.transport().lose_connection(),
                End::Half => stream.transport().lose_write_connection(),
                End::Fail => return Err(std::fmt::Error.into()),
                End::Drop => return Ok(()),
            }
            stream.write_all(b" too late").await.expect_err("it is ending");
            std::future::pending().await
        };
        let port = reactor.serve("127.0.0.1:0", handler).unwrap();
        let mut peer = Peer::call(&port);
        turn(&reactor);
        peer.send(b"go");
        let (seen, said) = match end {
            End::Abort => ("ConnectionReset", ""),
            End::Fail => ("ConnectionReset", "words"),
            _ => ("end of stream", "words"),
        };
        assert_eq!(peer.until_end(&reactor), seen, "{end:?}");
        assert_eq!(String::from_utf8_lossy(&peer.got), said, "{end:?}");
        turn(&reactor);
        let left = if end == End::Half { 2 } else { 1 };
        assert_eq!(census(&reactor).0, left, "{end:?}");
    }
}

#[test]
fn small_answers_that_a_full_socket_cuts_arrive_whole() {
    let much = pattern(8 << 20);
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let (mut peer, mut sent) = (Peer::call(&server.port), 0);
        turn(&reactor);
        // One small answer a turn, until the peer's and the system's buffers are full.
        for piece in much.chunks(8000) {
            let Ok(count) = peer.socket.write(piece) else { break };
            sent += count;
            reactor.turn(Some(Duration::ZERO)).unwrap();
            if count < piece.len() {
                break;
            }
        }
        until(&reactor, "all is sent and heard", || {
            if let Ok(count) = peer.socket.write(&much[sent..]) {
                sent += count;
            }
            peer.hear().len() == much.len()
        });
        assert!(peer.got == much, "{face:?}");
    }
}
