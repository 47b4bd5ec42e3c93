//! A console: looking into a program that runs, and having it do things, line by line.
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::application::Application;
//! use ropewalk::application::console::Console;
//! use ropewalk::simulation::Simulation;
//! use std::time::Duration;
//!
//! let console = Console::new("127.0.0.1:7000")
//!     .command("zones", "lists zones", |_| Ok("a\nb".to_owned()))
//!     .command_async("nap", "sleeps so many ms", async |words: Vec<String>| {
//!         let ms = words.first().map_or(Ok(1), |word| word.parse())?;
//!         ropewalk::sleep(Duration::from_millis(ms)).await;
//!         Ok("slept".to_owned())
//!     });
//! let simulation = Simulation::new(1);
//! let host = simulation.host("host");
//! let running = Application::new("dns").add_service(console).run_on(&host.reactor());
//! let running = simulation.run_until(running)?;
//! simulation.run_until(running.stop_service())?;
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! It is a service like others: what it shows and stops are those that it stands among. Twisted's manhole is
//! a Python prompt; what people do with it is this.
//!
//! # Lines
//! One command a line, at most 4 KiB. An answer is lines of text and an empty line behind them, at most 1 MiB;
//! one that failed begins with `error: `. After `json` the same command is answered by one line of JSON: an
//! array of objects, an object with `text`, or one with `error`. `help` lists the commands.
//!
//! `socat READLINE UNIX-CONNECT:/run/x.sock` speaks with it, and so does `telnet` where it listens at TCP.
//!
//! # Who may
//! A Unix socket is for this user alone, unless its endpoint says otherwise. TCP is for this machine alone
//! unless there is a [password](Console::password): whoever has connected gives it as the first line. After 10
//! wrong ones in 60 s from one address that address is refused. No more than 8 clients are served at a time. Whatever
//! peers sent is shown with escapes for what could command a terminal.

// # Not here
// What each command does: `commands.rs`; one client: `session.rs`; who may: `login.rs`; how rows become text or
// JSON: `answer.rs`; events as they come: `following.rs`.

mod answer;
mod commands;
mod following;
mod login;
mod session;

pub use answer::Answer;

use crate::application::log::LimitedHistory;
use crate::deferred::{fail, succeed};
use crate::service::{Running, Service};
use crate::{Address, Deferred, Failure, Port, Result, ServerEndpoint};
use login::Logins;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// So many clients are served at a time.
const CLIENTS: usize = 8;

type Answering = Pin<Box<dyn Future<Output = Result<Answer>>>>;

type Call = Box<dyn Fn(&Running, Vec<String>) -> Answering>;

type OnListening = Box<dyn Fn(&Port)>;

struct Command {
    help: String,
    call: Call,
}

/// What all clients share.
struct Table {
    commands: BTreeMap<String, Command>,
    logins: Logins,
    history: LimitedHistory,
    clients: Cell<usize>,
}

/// A console at an endpoint, as a service; see [the module](crate::application::console).
pub struct Console {
    at: ServerEndpoint,
    table: Rc<Table>,
    on_listening: Option<OnListening>,
    port: Option<Port>,
}

impl Console {
    /// One that listens there, with the commands that all have. It keeps the thread's last events from now on.
    pub fn new(at: impl Into<ServerEndpoint>) -> Console {
        let table = Table {
            commands: commands::all(),
            logins: Logins::default(),
            history: LimitedHistory::default(),
            clients: Cell::new(0),
        };
        let at = at.into().private();
        Console { at, table: Rc::new(table), on_listening: None, port: None }
    }

    /// Adds a command, or replaces one: called with the words behind its name.
    #[must_use]
    pub fn command<F>(self, name: impl Into<String>, help: impl Into<String>, call: F) -> Console
    where
        F: Fn(&[String]) -> Result<String> + 'static,
    {
        let call = move |_: &Running, words: Vec<String>| {
            let answer = call(&words).map(Answer::text);
            Box::pin(std::future::ready(answer)) as Answering
        };
        self.add(name.into(), help.into(), Box::new(call))
    }

    /// Adds a command that takes its time.
    #[must_use]
    pub fn command_async<F>(
        self,
        name: impl Into<String>,
        help: impl Into<String>,
        call: F,
    ) -> Console
    where
        F: AsyncFn(Vec<String>) -> Result<String> + 'static,
    {
        let call = Rc::new(call);
        let call = move |_: &Running, words: Vec<String>| {
            let call = call.clone();
            Box::pin(async move { call(words).await.map(Answer::text) }) as Answering
        };
        self.add(name.into(), help.into(), Box::new(call))
    }

    /// Asks each client for this password first.
    ///
    /// ```
    /// use ropewalk::application::console::Console;
    ///
    /// let console = Console::new("tcp:7000").password("correct horse battery staple");
    /// assert!(!format!("{console:?}").contains("horse"));
    /// ```
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Console {
        self.table_mut().logins.set_password(password.into());
        self
    }

    /// Calls `call` with the port when it listens: for one that the system chose.
    #[must_use]
    pub fn on_listening(mut self, call: impl Fn(&Port) + 'static) -> Console {
        self.on_listening = Some(Box::new(call));
        self
    }

    fn add(mut self, name: String, help: String, call: Call) -> Console {
        self.table_mut().commands.insert(name, Command { help, call });
        self
    }

    fn table_mut(&mut self) -> &mut Table {
        Rc::get_mut(&mut self.table).expect("it is shared once the console was started")
    }

    fn listen(&self, up: &Running) -> Result<Port> {
        up.reactor().observe();
        let (table, own) = (self.table.clone(), up.clone());
        let serve = async move |stream| session::serve(table.clone(), &own, stream).await;
        let port = up.serve(self.at.clone(), serve)?;
        if !self.table.logins.has_password() && !is_near(&port.host()) {
            // Nobody was accepted yet: no turn was made.
            drop(port.stop_listening());
            let why = format!("a console at {} can be reached from other machines", port.host());
            return Err(Failure::msg(format!("{why}: it needs a password")));
        }
        Ok(port)
    }
}

/// Whether only this machine can reach it.
fn is_near(host: &Address) -> bool {
    host.ip().is_none_or(|ip| ip.to_canonical().is_loopback())
}

impl Service for Console {
    fn name(&self) -> Option<&str> {
        Some("console")
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        match self.listen(up) {
            Ok(port) => {
                if let Some(call) = &self.on_listening {
                    call(&port);
                }
                self.port = Some(port);
                succeed(())
            }
            Err(failure) => fail(failure),
        }
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        up.drain(self.port.take())
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("at", &self.at).finish_non_exhaustive()
    }
}
