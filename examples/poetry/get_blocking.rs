//! The standard library alone: one poem after the other, each read waits.

use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

use ropewalk::{Failure, Result};

use crate::recital::{Recital, Task};

pub(crate) fn get(recital: &Recital) -> Result {
    for task in recital.tasks() {
        let started = Instant::now();
        recital.started(task);
        match get_poem(recital, task) {
            Ok(poem) => recital.finished(task, &poem, started.elapsed()),
            Err(failure) => recital.failed(task, &failure),
        }
    }
    Ok(())
}

fn get_poem(recital: &Recital, task: Task) -> Result<Vec<u8>> {
    let address = recital.address(task);
    let mut socket = TcpStream::connect(address)
        .map_err(|error| Failure::msg(format!("cannot connect to {address}: {error}")))?;
    let mut poem = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = socket
            .read(&mut buffer)
            .map_err(|error| Failure::msg(format!("lost {address}: {error}")))?;
        if n == 0 {
            return Ok(poem);
        }
        recital.piece(task, &mut poem, &buffer[..n])?;
    }
}
