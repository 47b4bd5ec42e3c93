//! A program that one can look into: an echo, and a console at ./console.sock, for this user only.
//!
//!     cargo run --example console                        an echo at 127.0.0.1:8007
//!     socat READLINE UNIX-CONNECT:console.sock           in another terminal: help, connections, tasks, drain
//!     echo json metrics | socat - UNIX-CONNECT:console.sock
//!
//! Type something into `nc 127.0.0.1 8007` and `log -f` into the console.

use ropewalk::application::Application;
use ropewalk::application::console::Console;
use ropewalk::application::log::{LogFormat, Logger, log_reports, write_to};
use ropewalk::service::TcpServer;
use ropewalk::{Address, Protocol, Reactor, Result, Transport};
use std::{cell::Cell, rc::Rc, time::Duration};

const LOG: Logger = Logger::new("echo");

struct Echo(Rc<Cell<u64>>);

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + 1);
        LOG.info(format_args!("{}: {}", transport.peer(), String::from_utf8_lossy(data)));
        transport.write(data);
        Ok(())
    }
}

fn main() -> Result {
    write_to(std::io::stderr(), LogFormat::Text).forever();
    log_reports();
    let (reactor, messages) = (Reactor::new()?, Rc::<Cell<u64>>::default());
    let watch = reactor.watch(Duration::from_millis(100), |slow| eprintln!("slow: {slow}"))?;
    let counted = messages.clone();
    let console = Console::new("unix:console.sock")
        .command("messages", "how many came in", move |_| Ok(counted.get().to_string()))
        .command_async("nap", "sleeps a second", async |_| {
            ropewalk::sleep(Duration::from_secs(1)).await;
            Ok("slept".to_owned())
        });
    let echo = TcpServer::new("127.0.0.1:8007", move |_: &Address| Echo(messages.clone()));
    let application = Application::new("example").add_service(echo).add_service(console);
    reactor.run_until(application.run_on(&reactor))?;
    LOG.info("console.sock answers");
    reactor.run()?;
    drop(watch);
    Ok(())
}
