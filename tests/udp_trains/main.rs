//! Trains of datagrams on the loopback: in few calls, and still each whole, in order, and accounted for.

#![cfg(target_os = "linux")] // Elsewhere there are none.
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

mod double;
mod receiving;
mod refusals;
mod sending;

use double::{Calls, Double};
use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::{Address, Failure, Reactor, Result, on_report};
use std::cell::{Cell, RefCell};
use std::net::UdpSocket as StdSocket;
use std::rc::Rc;
use std::time::Duration;

/// Does with each datagram what its closure says.
struct Told<F>(F);

impl<F> DatagramProtocol for Told<F>
where
    F: FnMut(&DatagramTransport, &[u8], &Address) -> Result,
{
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        (self.0)(transport, data, from)
    }
}

/// A reactor whose calls for datagrams are counted, and a socket that hears nothing.
fn sender() -> (Reactor, Rc<Calls>, DatagramTransport) {
    let (driver, calls) = Double::new();
    let reactor = Reactor::with_driver(driver);
    let socket = reactor.listen_udp("127.0.0.1:0", Told(|_: &_, _: &_, _: &_| Ok(()))).unwrap();
    (reactor, calls, socket)
}

/// A socket of the standard library, whose datagrams are looked at when all was sent.
fn receiver() -> (StdSocket, Address) {
    let socket = StdSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let host = socket.local_addr().unwrap().into();
    (socket, host)
}

/// What a socket received so far; the loopback hands on at once.
fn received(socket: &StdSocket) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    let next = || socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec());
    std::iter::from_fn(next).collect()
}

/// Has something done in one callback of the reactor, and its turn ended.
fn in_a_callback(reactor: &Reactor, call: impl FnOnce() + 'static) {
    reactor.call_later(Duration::ZERO, move || {
        call();
        Ok(())
    });
    reactor.turn(Some(Duration::ZERO)).unwrap();
}

/// Datagrams of these lengths, each beginning with its number as far as there is room.
fn numbered(lengths: &[usize]) -> Vec<Vec<u8>> {
    let number = |(number, &length): (usize, &usize)| {
        let mut datagram = vec![number as u8; length];
        datagram.iter_mut().zip((number as u16).to_be_bytes()).for_each(|(to, from)| *to = from);
        datagram
    };
    lengths.iter().enumerate().map(number).collect()
}

fn reports() -> Rc<RefCell<Vec<String>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let sink = heard.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    heard
}

/// Keeps what it hears.
fn ear(heard: &Rc<RefCell<Vec<Vec<u8>>>>) -> impl DatagramProtocol + 'static {
    let heard = heard.clone();
    Told(move |_: &_, data: &[u8], _: &_| {
        heard.borrow_mut().push(data.to_vec());
        Ok(())
    })
}
