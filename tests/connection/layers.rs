//! A layer of the user's that uses its own connection while it is called, or panics.

use super::kit::{Notes, Peer, census, hear_reports, pattern, turn, until};
use futures_util::AsyncReadExt;
use ropewalk::driver::{ByteStream, Layer};
use ropewalk::forward_byte_stream;
use ropewalk::{Address, Failure, Panicked, Protocol, Reactor, Result, Transport};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What a layer does when it is called to write.
pub(crate) type OnWrite = Rc<RefCell<dyn FnMut(&mut Chatty, &[u8]) -> io::Result<usize>>>;

pub(crate) struct Chatty {
    pub(crate) below: Box<dyn ByteStream>,
    transport: Transport,
    on_write: OnWrite,
}

impl Chatty {
    pub(crate) fn put_on(transport: &Transport, on_write: OnWrite) {
        let own = transport.clone();
        let wrap = move |below| -> Box<dyn ByteStream> {
            Box::new(Chatty { below, transport: own, on_write })
        };
        transport.replace_stream(wrap).unwrap();
    }
}

impl ByteStream for Chatty {
    forward_byte_stream!(self.below: all except write, as_layer);

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let on_write = self.on_write.clone();
        let mut on_write = on_write.borrow_mut();
        on_write(self, data)
    }
    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Layer for Chatty {}

/// Writes what it is told to for the first bytes that it gets; more are edges, and mean nothing.
struct Writer {
    on_write: OnWrite,
    pieces: Vec<Vec<u8>>,
    notes: Notes,
}

impl Protocol for Writer {
    fn connection_made(&mut self, transport: &Transport) {
        Chatty::put_on(transport, self.on_write.clone());
    }
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        self.pieces.drain(..).for_each(|piece| transport.write(piece));
        Ok(())
    }
    fn connection_lost(&mut self, reason: &Failure) {
        let what = if reason.is::<Panicked>() { "panicked" } else { "lost otherwise" };
        self.notes.add(what);
    }
}

/// A peer of a connection whose layer writes as told, and the notes of its protocol.
fn scene(
    reactor: &Reactor,
    pieces: &[&[u8]],
    on_write: impl FnMut(&mut Chatty, &[u8]) -> io::Result<usize> + 'static,
) -> (Peer, Notes) {
    let (on_write, notes): (OnWrite, _) = (Rc::new(RefCell::new(on_write)), Notes::default());
    let (pieces, log): (Vec<_>, _) =
        (pieces.iter().map(|piece| piece.to_vec()).collect(), notes.clone());
    let build = move |_: &Address| Writer {
        on_write: on_write.clone(),
        pieces: pieces.clone(),
        notes: log.clone(),
    };
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    turn(reactor);
    peer.send(b"go");
    (peer, notes)
}

/// How much the layer takes of what it is first called with, and what it writes to its own connection then.
fn is_kept_in_order(pieces: &[&[u8]], most: usize, own: &[u8]) {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (mut is_first, words) = (true, own.to_vec());
    let (mut peer, notes) = scene(&reactor, pieces, move |layer, data| {
        let most = if is_first { most.min(data.len()) } else { data.len() };
        if std::mem::replace(&mut is_first, false) {
            layer.transport.write(&words);
        }
        layer.below.write(&data[..most])
    });
    let expected = [pieces.concat(), own.to_vec()].concat();
    until(&reactor, "the peer hears all", || {
        // A part taken says that there is no room; that there is some again, an edge says.
        peer.send(b".");
        peer.hear().len() >= expected.len()
    });
    assert!(peer.got == expected, "other bytes, or in another order");
    assert_eq!((notes.len(), reports.len()), (0, 0));
}

#[test]
fn what_a_layer_writes_to_its_own_connection_goes_behind_what_it_is_called_with() {
    let large = pattern(16 * 1024);
    let larger = pattern(40_000);
    for own in [&b"own"[..], &large, &larger] {
        // From the cork, past the cork, and what waited because the cork was full.
        for pieces in [&[&b"answer"[..]][..], &[&larger], &[b"an ", &larger, b"answer"]] {
            is_kept_in_order(pieces, usize::MAX, own);
        }
    }
}

#[test]
fn what_a_layer_leaves_over_goes_before_what_it_wrote_meanwhile() {
    let large = pattern(16 * 1024);
    let larger = pattern(40_000);
    for own in [&b"own"[..], &large, &larger] {
        for pieces in [&[&b"answer"[..]][..], &[&larger], &[b"an ", &larger, b"answer"]] {
            is_kept_in_order(pieces, 2, own);
        }
    }
}

#[test]
fn what_waits_goes_first_though_a_layer_writes_each_time_that_it_takes_a_part() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let mut calls = 0;
    let (mut peer, _notes) = scene(&reactor, &[b"answer"], move |layer, data| {
        calls += 1;
        if calls <= 3 {
            layer.transport.write(b"+");
        }
        if calls % 2 == 1 {
            return layer.below.write(&data[..1]);
        }
        // An error of this kind takes nothing and leaves the room: the loop tries again.
        Err(io::ErrorKind::Interrupted.into())
    });
    // A part taken says that there is no room: that there is some again is told by an edge.
    until(&reactor, "all is heard", || {
        peer.send(b".");
        peer.hear().len() == 9
    });
    assert_eq!(peer.got, b"answer+++");
    reports.expect(&[]);
}

#[test]
fn a_layer_that_asks_when_all_is_sent_is_told_when_it_is() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (log, mut is_first) = (notes.clone(), true);
    let (mut peer, _lost) = scene(&reactor, &[b"answer"], move |layer, data| {
        if std::mem::replace(&mut is_first, false) {
            let told = log.clone();
            layer.transport.drained().map(move |()| told.add("drained"));
            log.add("asked");
        }
        let count = layer.below.write(data)?;
        log.add("written");
        Ok(count)
    });
    peer.until_heard(&reactor, b"answer");
    until(&reactor, "it is told", || notes.len() == 3);
    notes.expect(&["asked", "written", "drained"]);
}

#[test]
fn a_layer_that_panics_loses_its_own_connection_and_is_reported_once() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (mut peer, notes) = scene(&reactor, &[b"answer"], |_, _| panic!("in a layer"));
    assert_eq!(peer.until_end(&reactor), "ConnectionReset");
    notes.expect(&["panicked"]);
    assert_eq!((reports.len(), reports.count("panic in a layer: panicked: in a layer")), (1, 1));
    // The port, and nothing else.
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn who_panics_while_a_layer_is_made_loses_that_connection_alone() {
    struct Bad(Notes);
    impl Protocol for Bad {
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            let put = transport.replace_stream(|_| panic!("no layer"));
            self.0.add(put.unwrap_err());
            Ok(())
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.add(reason);
        }
    }
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Bad(log.clone())).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"go");
    peer.until_end(&reactor);
    notes.expect(&["panicked: no layer", "panicked: no layer"]);
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
}

#[test]
fn much_that_is_written_outside_of_a_callback_goes_out_at_once_and_little_with_the_turn() {
    let (reactor, calls) = (Reactor::new().unwrap(), Notes::default());
    let made = Rc::<RefCell<Option<Transport>>>::default();
    let (log, place) = (calls.clone(), made.clone());
    let handler = async move |mut stream: ropewalk::Stream| {
        let log = log.clone();
        let on_write = move |layer: &mut Chatty, data: &[u8]| {
            log.add(data.len());
            layer.below.write(data)
        };
        Chatty::put_on(&stream.transport(), Rc::new(RefCell::new(on_write)));
        place.replace(Some(stream.transport()));
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    until(&reactor, "it is accepted", || made.borrow().is_some());
    let (transport, seen) = (made.take().unwrap(), calls.clone());
    reactor.call_later(Duration::ZERO, move || {
        transport.write(pattern(20_000));
        assert_eq!(seen.len(), 1, "much goes out at once");
        transport.write(b"and");
        transport.write(b" so on");
        assert_eq!(seen.len(), 1, "of little there may be more");
    });
    let expected = [&pattern(20_000)[..], b"and so on"].concat();
    peer.until_heard(&reactor, &expected);
    calls.expect(&["20000", "9"]);
}
