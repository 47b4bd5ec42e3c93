//! What the loop owes a connection without another event of its socket. Most networks here are
//! simulated: there nothing comes from the other end that it does not send.

use super::kit::{Notes, pattern, turn, until};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Host, Link, Simulation};
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Stream, Transport};
use std::cell::RefCell;
use std::io::{Write, pipe};
use std::rc::Rc;
use std::time::Duration;

/// The calling end: hears what comes, and does nothing by itself, come what may.
#[derive(Clone, Default)]
struct Caller {
    heard: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Caller {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.heard.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn read_closed(&mut self, _: &Transport) {}
}

/// What the called end answers, and then what it is told.
#[derive(Clone)]
struct Called<A> {
    answer: A,
    told: Notes,
}

impl<A: FnMut(&Transport) + 'static> Protocol for Called<A> {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        (self.answer)(transport);
        Ok(())
    }

    fn write_closed(&mut self, transport: &Transport) {
        self.told.add("write closed");
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.told.add(format!("lost: {reason}"));
    }
}

fn listen(server: &Host, answer: impl FnMut(&Transport) + Clone + 'static) -> Notes {
    let told = Notes::default();
    let called = Called { answer, told: told.clone() };
    server.reactor().listen("0.0.0.0:7", move |_: &Address| called.clone()).unwrap();
    told
}

const LONG: Duration = Duration::from_secs(1);

/// Has the caller call, and say something once the called end has nothing left to do.
fn call(simulation: &Simulation, caller: Caller) -> Transport {
    let mut caller = Some(caller);
    let build = move |_: &Address| caller.take().unwrap();
    let connecting = simulation.host("client").reactor().connect("server:7", build);
    let transport = simulation.run_until(connecting).unwrap().transport().clone();
    simulation.run_for(LONG).unwrap();
    transport.write(b"well?");
    simulation.run_for(LONG).unwrap();
    transport
}

#[test]
fn a_half_ended_in_a_callback_is_ended_when_that_returns() {
    let simulation = Simulation::new(1);
    let told = listen(&simulation.host("server"), Transport::lose_write_connection);
    call(&simulation, Caller::default());
    assert!(told.has("write closed"));
}

#[test]
fn the_end_that_write_closed_asks_for_needs_no_event_to_come() {
    // Pipes: a socket that is shut down is named by the system once more, and that would hide it.
    let ((input, mut to), (_from, output)) = (pipe().unwrap(), pipe().unwrap());
    let (reactor, told) = (Reactor::new().unwrap(), Notes::default());
    let called = Called { answer: Transport::lose_write_connection, told: told.clone() };
    reactor.connect_pipes(input, output, called).unwrap();
    turn(&reactor);
    to.write_all(b"well?").unwrap();
    until(&reactor, "the half ends", || told.has("write closed"));
    turn(&reactor);
    told.expect(&["write closed", "lost: the connection was closed in order"]);
}

#[test]
fn both_halves_ended_is_the_end_of_a_stream_that_nobody_drops() {
    let simulation = Simulation::new(1);
    let held = Rc::new(RefCell::new(None));
    let shelf = held.clone();
    let handler = async move |mut stream: Stream| {
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        shelf.replace(Some(stream));
        Ok(())
    };
    simulation.host("server").reactor().serve("0.0.0.0:7", handler).unwrap();
    call(&simulation, Caller::default()).lose_write_connection();
    simulation.run_for(LONG).unwrap();
    assert!(!held.borrow().as_ref().unwrap().transport().is_connected());
}

#[test]
fn a_large_write_stays_behind_what_the_socket_did_not_take_of_a_small_one() {
    let simulation = Simulation::new(1);
    simulation.set_default_link(Link::new().window(6_000));
    let all = pattern(30_000);
    let words = all.clone();
    listen(&simulation.host("server"), move |transport| {
        let (small, large) = words.split_at(10_000);
        transport.write(small);
        transport.write(large);
    });
    let caller = Caller::default();
    call(&simulation, caller.clone());
    assert!(*caller.heard.borrow() == all, "{} bytes came", caller.heard.borrow().len());
}
