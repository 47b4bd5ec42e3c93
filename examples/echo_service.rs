//! An echo server as a service of an application, with all that a program of a runner has.
//!
//!     cargo run --features runner --example echo_service -- --help
//!     cargo run --features runner --example echo_service -- --pidfile /tmp/echo.pid
//!     socat - TCP:127.0.0.1:8000
//!
//! Ctrl-C drains it; `kill -USR2 $(cat /tmp/echo.pid)` puts a new process in its place.

use ropewalk::application::Application;
use ropewalk::prelude::*;
use ropewalk::service::{Running, service};
use std::process::ExitCode;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn main() -> ExitCode {
    let at = std::env::var("ECHO_PORT").unwrap_or("127.0.0.1:8000".into());
    let echo = service("echo", async move |up: Running| {
        let port = up.listen(&*at, |_: &Address| Echo)?;
        println!("echoing at {}", port.host());
        up.ready();
        up.stopping().await; // its connections have been drained by then
        Ok(())
    });
    Application::new("echo_service").add_service(echo).run()
}
