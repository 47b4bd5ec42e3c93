//! A client on the reactor's lowest level: a socket of its own, and the reactor says when to read.
//!
//!     cargo run --release --example bare_descriptor
//!     cargo run --release --example bare_descriptor 127.0.0.1:10000
//!
//! It prints what it reads until the other side is done; without an address there is one inside.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use ropewalk::{ConnectionDone, Failure, Reactor, ReadDescriptor, Result};

struct Reader {
    socket: TcpStream,
    reactor: Reactor,
}

impl ReadDescriptor for Reader {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn do_read(&mut self) -> Result {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(ConnectionDone.into()),
                Ok(n) => io::stdout().write_all(&buffer[..n])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        println!("{reason}");
        let _ = self.reactor.stop();
    }
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("bare_descriptor: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let address = std::env::args().nth(1).map_or_else(writer, Ok)?;
    let socket = TcpStream::connect(&address)
        .map_err(|error| Failure::msg(format!("cannot connect to {address}: {error}")))?;
    socket.set_nonblocking(true)?;
    let reactor = Reactor::new()?;
    reactor.add_reader(Reader { socket, reactor: reactor.clone() })?;
    reactor.run()
}

/// The address of someone who writes a line.
fn writer() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || listener.accept()?.0.write_all(b"hemp, yarn, strand, rope\n"));
    Ok(address)
}
