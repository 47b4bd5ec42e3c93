//! Takes uploads of any size in a few kilobytes of memory, and tells what came.
//!
//!     cargo run --features http --example http_upload
//!     curl -T Cargo.lock http://127.0.0.1:8080/Cargo.lock
//!     curl -T /dev/zero  http://127.0.0.1:8080/zeros      refused beyond 64 MiB, while it is being sent
//!
//! Nothing is read of an upload before its handler asks for it, and no faster than that takes it; a
//! file without a name is refused before its first byte is sent.

use ropewalk::http::{Error, Request, Routes, Site, Status};
use ropewalk::{Reactor, Result};

/// As much as one upload may have.
const LIMIT: u64 = 64 << 20;

fn main() -> Result {
    let reactor = Reactor::new()?;
    let mut routes = Routes::new();
    routes.put("/{name}", upload)?;
    routes.get("/", |_: &Request| Ok("curl -T FILE http://127.0.0.1:8080/NAME\n"))?;
    let site = Site::new(routes).on_exchange(|record| println!("{}", record.combined()));
    let port = reactor.listen("127.0.0.1:8080", site)?;
    println!("Listening on {}", port.host());
    reactor.run()
}

async fn upload(request: Request) -> Result<String> {
    let name = request.param("name").ok_or(Error::from(Status::NOT_FOUND))?.into_owned();
    if request.body().length().is_some_and(|length| length > LIMIT) {
        return Err(too_large());
    }
    let (mut body, mut count, mut sum) = (request.body(), 0, 0_u64);
    while let Some(chunk) = body.chunk().await? {
        count += chunk.len() as u64;
        if count > LIMIT {
            return Err(too_large());
        }
        // Here a file would be written.
        sum = chunk.iter().fold(sum, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
    }
    Ok(format!("{name}: {count} bytes, checksum {sum:016x}\n"))
}

fn too_large() -> ropewalk::Failure {
    Error::new(Status::CONTENT_TOO_LARGE, format!("no more than {LIMIT} bytes")).into()
}
