//! The reactor's lowest level: our own sockets, and the reactor only says when to read.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use ropewalk::reactor::ReadDescriptor;
use ropewalk::transport::ConnectionDone;
use ropewalk::{Failure, Reactor, Result};

use crate::recital::{Recital, Task};

struct PoetrySocket {
    socket: TcpStream,
    poem: Vec<u8>,
    task: Task,
    recital: Rc<Recital>,
    reactor: Reactor,
}

pub(crate) fn get(recital: &Rc<Recital>) -> Result {
    let reactor = Reactor::new()?;
    recital.stops_with(&reactor);
    for task in recital.tasks() {
        match connect(recital.address(task)) {
            Ok(socket) => {
                let (recital, reactor) = (recital.clone(), reactor.clone());
                let poem = Vec::new();
                reactor.clone().add_reader(PoetrySocket {
                    socket,
                    poem,
                    task,
                    recital,
                    reactor,
                })?;
            }
            Err(failure) => recital.failed(task, &failure),
        }
    }
    // Nothing would stop a reactor that has nothing to read.
    if recital.is_over() { Ok(()) } else { reactor.run() }
}

fn connect(address: &str) -> Result<TcpStream> {
    TcpStream::connect(address)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .map_err(|error| Failure::msg(format!("cannot connect to {address}: {error}")))
}

impl ReadDescriptor for PoetrySocket {
    fn fileno(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn do_read(&mut self) -> Result {
        // Once a call: if there is more the reactor calls again.
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(ConnectionDone.into()),
            Ok(n) => self.recital.piece(self.task, &mut self.poem, &buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if reason.is::<ConnectionDone>() {
            self.recital.finished(self.task, &self.poem, self.recital.elapsed());
        } else {
            self.recital.failed(self.task, reason);
        }
        if self.recital.is_over() {
            let _ = self.reactor.stop();
        }
    }
}
