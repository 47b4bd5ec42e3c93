//! A client on the reactor's lowest level: a socket of its own, and the reactor says when to read.
//!
//!     cargo run --release --example bare_descriptor [127.0.0.1:10000]
//!
//! It prints what it reads until the other side is done; without an address there is one inside.

use ropewalk::reactor::ReadDescriptor;
use ropewalk::transport::ConnectionDone;
use ropewalk::{Failure, Reactor, Result};
use std::io::{ErrorKind, Read, Write, stdout};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

struct Reader(TcpStream, Reactor);

impl ReadDescriptor for Reader {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn do_read(&mut self) -> Result {
        // Once a call: if there is more the reactor calls again, and whoever writes without end does
        // not keep it from others.
        let mut buffer = [0; 4096];
        match self.0.read(&mut buffer) {
            Ok(0) => Err(ConnectionDone.into()),
            Ok(n) => Ok(stdout().write_all(&buffer[..n])?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        // Who reads no more will not miss it.
        let _ = writeln!(stdout(), "{reason}");
        self.1.stop().expect("it runs: it has called");
    }
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("bare_descriptor: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let (address, reactor) = (std::env::args().nth(1).map_or_else(writer, Ok)?, Reactor::new()?);
    let cannot = |error| Failure::msg(format!("cannot connect to {address}: {error}"));
    let socket = TcpStream::connect(&address).map_err(cannot)?;
    socket.set_nonblocking(true)?;
    reactor.add_reader(Reader(socket, reactor.clone()))?;
    reactor.run()
}

/// The address of someone who writes a line.
fn writer() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || listener.accept()?.0.write_all(b"hemp, yarn, strand, rope\n"));
    Ok(address)
}
