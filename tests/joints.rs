//! The joints: what wrappers of a protocol or of a stream leave to what they wrap.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use ropewalk::driver::{ByteStream, Layer, Socket};
use ropewalk::simulation::RecordingTransport;
use ropewalk::{
    Address, Failure, Protocol, Reactor, Result, Transport, forward_byte_stream, forward_protocol,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

const PROTOCOL: &str = include_str!("../src/protocol/contract.rs");
const FORWARD_PROTOCOL: &str = include_str!("../src/protocol/forward.rs");
const AWAIT_PROTOCOL: &str = include_str!("../src/awaited/await_protocol.rs");
const STREAM: &str = include_str!("../src/driver/stream.rs");
const FORWARD_STREAM: &str = include_str!("../src/driver/forward.rs");

/// The names of a trait's methods.
fn methods<'t>(text: &'t str, header: &str) -> BTreeSet<&'t str> {
    let body = text.split(header).nth(1).unwrap().split("\n}\n").next().unwrap();
    body.lines().filter_map(|line| line.strip_prefix("    fn ")?.split('(').next()).collect()
}

/// The names of which a macro has a method to emit.
fn emitted(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    (@")?.split_once(" [] ["))
        .map(|it| it.0)
        .collect()
}

/// The names in each list that a macro forwards `all` of.
fn lists(text: &str) -> Vec<BTreeSet<&str>> {
    let calls = text.split("!(@each [$($($except)+)?] [").skip(1);
    let names = calls.map(|call| call.split_once(']').unwrap().1.split(");").next().unwrap());
    names.map(|names| names.split_whitespace().collect()).collect()
}

#[test]
fn the_macros_know_every_method_of_the_traits_and_no_other() {
    let protocol = methods(PROTOCOL, "\npub trait Protocol {");
    assert!(protocol.contains("data_received") && protocol.len() >= 9, "{protocol:?}");
    assert_eq!(emitted(FORWARD_PROTOCOL), protocol);
    assert_eq!(lists(FORWARD_PROTOCOL), [protocol.clone(), protocol]);

    let streams = ["ByteStream", "Socket: ByteStream", "Layer: ByteStream"]
        .map(|name| methods(STREAM, &format!("\npub trait {name} {{")));
    assert!(streams.iter().all(|names| names.len() >= 6), "{streams:?}");
    assert_eq!(lists(FORWARD_STREAM), streams);
    let all: BTreeSet<_> = streams.iter().flatten().copied().collect();
    assert_eq!(emitted(FORWARD_STREAM), all);
}

/// The names of the methods that an arm of a macro writes out, async or not.
fn written(arm: &str) -> BTreeSet<&str> {
    let lines = arm.lines().map(|line| line.trim_start().trim_start_matches("async "));
    lines.filter_map(|line| line.strip_prefix("fn ")?.split('(').next()).collect()
}

#[test]
fn awaited_protocols_have_every_event_that_is_no_framings_own() {
    let (awaits, defaults) = AWAIT_PROTOCOL.split_once("    (defaults) => {").unwrap();
    let awaits = awaits.split_once("macro_rules!").unwrap().1;
    let mut events = methods(PROTOCOL, "\npub trait Protocol {");
    let is_framings = ["data_received", "reading_resumed"].map(|name| events.remove(name));
    assert_eq!(is_framings, [true, true]);
    let mut awaited = written(awaits);
    assert!(awaited.remove("$received"), "{awaited:?}");
    assert_eq!(awaited, events);
    let is_adapters = ["pause_writing", "resume_writing"].map(|name| events.remove(name));
    assert_eq!(is_adapters, [true, true]);
    assert_eq!(written(defaults), events);
}

/// Forwards all, and clippy reads that it is all.
struct Whole(Box<dyn ByteStream>);

#[deny(clippy::missing_trait_methods)]
impl ByteStream for Whole {
    forward_byte_stream!(self.0: all except as_socket, as_layer);

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Socket for Whole {
    forward_byte_stream!(self.0: socket);
}

#[deny(clippy::missing_trait_methods)]
impl Layer for Whole {
    forward_byte_stream!(self.0: layer);
}

#[test]
fn a_layer_that_forwards_all_is_not_to_be_seen() {
    let reactor = Reactor::new().unwrap();
    let put_on = |_: &Address| {
        Echo(|transport: &Transport| {
            transport.replace_stream(|below| Box::new(Whole(below))).unwrap();
        })
    };
    let port = reactor.listen("127.0.0.1:0", put_on).unwrap();
    let opening = reactor.open(port.host().socket_addr().unwrap());
    let heard = reactor.run_until(async move {
        let mut stream = opening.await?;
        futures_util::AsyncWriteExt::write_all(&mut stream, b"there and back").await?;
        stream.transport().lose_write_connection();
        let mut heard = String::new();
        futures_util::AsyncReadExt::read_to_string(&mut stream, &mut heard).await?;
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), "there and back");
}

struct Echo<F>(F);

impl<F: FnMut(&Transport)> Protocol for Echo<F> {
    fn connection_made(&mut self, transport: &Transport) {
        (self.0)(transport);
    }
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Notes the name of each of its methods that is called.
struct Noting(Rc<RefCell<Vec<&'static str>>>);

impl Protocol for Noting {
    fn connection_made(&mut self, _: &Transport) {
        self.0.borrow_mut().push("connection_made");
    }
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        self.0.borrow_mut().push("data_received");
        Ok(())
    }
    fn reading_resumed(&mut self, _: &Transport) -> Result {
        self.0.borrow_mut().push("reading_resumed");
        Ok(())
    }
    fn connection_lost(&mut self, _: &Failure) {
        self.0.borrow_mut().push("connection_lost");
    }
    fn read_closed(&mut self, _: &Transport) {
        self.0.borrow_mut().push("read_closed");
    }
    fn write_closed(&mut self, _: &Transport) {
        self.0.borrow_mut().push("write_closed");
    }
    fn pause_writing(&mut self, _: &Transport) {
        self.0.borrow_mut().push("pause_writing");
    }
    fn resume_writing(&mut self, _: &Transport) {
        self.0.borrow_mut().push("resume_writing");
    }
    fn drain(&mut self, _: &Transport) {
        self.0.borrow_mut().push("drain");
    }
    fn file_descriptor_received(&mut self, _: &Transport, _: std::os::fd::OwnedFd) {
        self.0.borrow_mut().push("file_descriptor_received");
    }
}

struct Deep<P> {
    parts: (u8, P),
}

impl<P: Protocol> Protocol for Deep<P> {
    forward_protocol!(self.parts.1: all except read_closed, connection_lost);

    fn read_closed(&mut self, transport: &Transport) {
        self.parts.0 += 1;
        self.parts.1.read_closed(transport);
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.parts.0 += 1;
    }
}

#[test]
fn a_wrapper_forwards_each_call_to_the_method_of_its_name_but_what_it_keeps() {
    let notes = Rc::new(RefCell::new(Vec::new()));
    let mut protocol = Box::new(Deep { parts: (0, Noting(notes.clone())) });
    let recording = RecordingTransport::new();
    let transport = recording.transport();
    let (reader, _writer) = std::io::pipe().unwrap();
    protocol.connection_made(&transport);
    protocol.data_received(&transport, b"!").unwrap();
    protocol.reading_resumed(&transport).unwrap();
    protocol.pause_writing(&transport);
    protocol.resume_writing(&transport);
    protocol.drain(&transport);
    protocol.file_descriptor_received(&transport, reader.into());
    protocol.write_closed(&transport);
    protocol.read_closed(&transport);
    protocol.connection_lost(&Failure::msg("over"));
    let told = [
        "connection_made",
        "data_received",
        "reading_resumed",
        "pause_writing",
        "resume_writing",
        "drain",
        "file_descriptor_received",
        "write_closed",
        "read_closed",
    ];
    assert_eq!(*notes.borrow(), told);
    assert_eq!(protocol.parts.0, 2);
}
