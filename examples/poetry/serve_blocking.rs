//! The slow server without a reactor: whoever comes second waits until the first has it all.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ropewalk::{Failure, Result};

use crate::arguments::{Pace, Serve};
use crate::serve::{address, poem, title};
use crate::voice::say;

pub(crate) fn run(options: Serve) -> Result {
    let poem = poem(&options)?;
    let address = address(&options)?;
    let listener = TcpListener::bind(address)
        .map_err(|error| Failure::msg(format!("cannot listen at {address}: {error}")))?;
    say(format_args!("Serving {} on {}", title(&options), listener.local_addr()?));
    loop {
        let (socket, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            // Who left before being served is no reason to stop.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = recite(socket, &poem, options.pace) {
            eprintln!("poetry: {peer} left early: {error}");
        }
    }
}

fn recite(mut socket: TcpStream, poem: &[u8], pace: Pace) -> io::Result<()> {
    // Others wait: who does not listen is left.
    socket.set_write_timeout(Some(Duration::from_secs(30)))?;
    for (i, piece) in poem.chunks(pace.num_bytes).enumerate() {
        if i > 0 {
            thread::sleep(pace.delay);
        }
        socket.write_all(piece)?;
    }
    Ok(())
}
