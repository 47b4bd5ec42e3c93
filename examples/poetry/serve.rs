//! The slow server on the reactor: as many readers as come, each at its own place in the poem.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use futures_util::AsyncWriteExt;
use ropewalk::{Failure, Port, Reactor, Result};

use crate::arguments::{Pace, Serve};
use crate::voice::say;

pub(crate) fn run(options: Serve) -> Result {
    let poem = poem(&options)?;
    let reactor = Reactor::new()?;
    let port = slow_poetry(&reactor, address(&options)?, poem, options.pace)?;
    say(format_args!("Serving {} on {}", title(&options), port.host()));
    reactor.run()
}

pub(crate) fn slow_poetry(
    reactor: &Reactor,
    address: SocketAddr,
    poem: Vec<u8>,
    pace: Pace,
) -> Result<Port> {
    let poem = Rc::new(poem);
    reactor.serve(address, async move |mut stream| {
        for (i, piece) in poem.chunks(pace.num_bytes).enumerate() {
            if i > 0 {
                stream.reactor().sleep(pace.delay).await;
            }
            stream.write_all(piece).await?;
        }
        Ok(())
    })
}

/// What is served: the file asked for, or a poem of our own.
pub(crate) fn poem(options: &Serve) -> Result<Vec<u8>> {
    let Some(file) = &options.file else {
        return Ok(include_bytes!("ropewalk.txt").to_vec());
    };
    let failure = |error| Failure::msg(format!("cannot read {}: {error}", file.display()));
    fs::read(file).map_err(failure)
}

pub(crate) fn title(options: &Serve) -> String {
    match &options.file {
        Some(file) => file.display().to_string(),
        None => "a poem of our own".into(),
    }
}

/// IPv4 first: `localhost` is then the 127.0.0.1 that clients ask for when given a port alone.
pub(crate) fn address(options: &Serve) -> Result<SocketAddr> {
    let name = (options.iface.as_str(), options.port);
    let failure = |error| Failure::msg(format!("cannot find {}: {error}", options.iface));
    let mut all: Vec<_> = name.to_socket_addrs().map_err(failure)?.collect();
    all.sort_by_key(SocketAddr::is_ipv6);
    all.first().copied().ok_or_else(|| Failure::msg(format!("{} has no address", options.iface)))
}
