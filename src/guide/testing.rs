//! Testing without a network: from ten lines to a partition, and to a thousand seeds.
//!
//! No test here sleeps, opens a port or fails on a slow machine. What can be tested without a
//! simulation should be: the pages go from the smallest tool to the largest.
//!
//! # One protocol: call it
//!
//! A protocol is a value with methods. Give it a [`RecordingTransport`] and look at what it wrote.
//! Bytes arrive in any cut, so test every cut: [`every_split`] makes them.
//!
//! ```
//! use ropewalk::simulation::{RecordingTransport, every_split};
//! use ropewalk::{Protocol, Result, Transport};
//!
//! /// Says how long each line was.
//! #[derive(Default)]
//! struct Measure(Vec<u8>);
//! impl Protocol for Measure {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         for &byte in data {
//!             match byte {
//!                 b'\n' => transport.write(format!("{}\n", std::mem::take(&mut self.0).len())),
//!                 _ => self.0.push(byte),
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! every_split(b"one\nthree\n", |pieces| {
//!     let (mut measure, recording) = (Measure::default(), RecordingTransport::new());
//!     for piece in pieces {
//!         measure.data_received(&recording.transport(), piece).unwrap();
//!     }
//!     assert_eq!(recording.take(), b"3\n5\n");
//! });
//! ```
//!
//! # Time: a clock that you wind
//!
//! Whatever takes a [`&dyn Clock`](crate::clock::Clock) takes a [`TestClock`](crate::clock::TestClock):
//!
//! ```
//! use ropewalk::clock::{Clock, TestClock};
//! use std::{cell::Cell, rc::Rc, time::Duration};
//!
//! let (clock, rang) = (TestClock::new(), Rc::new(Cell::new(false)));
//! let bell = rang.clone();
//! clock.call_later(Duration::from_secs(60), Box::new(move || bell.set(true)));
//! clock.advance(Duration::from_secs(59));
//! assert!(!rang.get());
//! clock.advance(Duration::from_secs(1));
//! assert!(rang.get());
//! ```
//!
//! # Two protocols: a pump
//!
//! [`Pump`] holds a client's and a server's protocol and moves bytes and ends between them, as many at
//! a time as the test likes: `pump(1)` is the network that cuts after every byte.
//!
//! ```
//! use ropewalk::simulation::Pump;
//! use ropewalk::{Protocol, Result, Transport};
//!
//! struct Greets(String);
//! impl Protocol for Greets {
//!     fn connection_made(&mut self, transport: &Transport) {
//!         transport.write(b"hello\n");
//!         transport.lose_write_connection();
//!     }
//!     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
//!         self.0.push_str(std::str::from_utf8(data)?);
//!         Ok(())
//!     }
//! }
//! struct Echo;
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//! let mut pump = Pump::new(Greets(String::new()), Echo);
//! while pump.pump(1) {}
//! assert_eq!(pump.client().0, "hello\n");
//! assert!(pump.is_over());
//! ```
//!
//! # The whole program: a simulation
//!
//! A [`Simulation`] is a network of hosts in one thread. Each host has a reactor, and all that runs on
//! it is the code that will run in production; only who makes the reactor is different. So write the
//! program as a function of a reactor:
//!
//! ```
//! use futures_util::{AsyncReadExt, AsyncWriteExt};
//! use ropewalk::simulation::Simulation;
//! use ropewalk::{Reactor, Result};
//! use std::time::Duration;
//!
//! /// In production: `serve(&Reactor::new()?)`.
//! fn serve(reactor: &Reactor) -> Result {
//!     reactor.serve("0.0.0.0:80", async |mut stream| {
//!         let mut name = String::new();
//!         stream.read_to_string(&mut name).await?;
//!         stream.reactor().sleep(Duration::from_secs(3600)).await; // it thinks for an hour
//!         stream.write_all(format!("hello, {name}").as_bytes()).await?;
//!         Ok(())
//!     })?;
//!     Ok(())
//! }
//!
//! let simulation = Simulation::new(1);
//! let (server, client) = (simulation.host("server"), simulation.host("client"));
//! server.boot(serve);
//! let reactor = client.reactor();
//! let answer = simulation.run_until(async move {
//!     let mut stream = reactor.open("server:80").await?;
//!     stream.write_all(b"world").await?;
//!     stream.close().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     Ok(answer)
//! })?;
//! assert_eq!(answer, "hello, world");
//! assert!(simulation.time() > Duration::from_secs(3600)); // virtual ones: it took a millisecond
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! [`run_until`](Simulation::run_until) ends in one of three ways: with the result; with a deadlock,
//! when nothing is left to happen; or at a limit of virtual time. The last two are a
//! [`Deadlock`](crate::simulation::Deadlock) that says who waits for what:
//!
//! ```text
//! deadlock: nothing is left to happen, at 2.3ms of seed 6
//!   server is up, 1 tasks wait, no timer
//!     #1 with client is open, waits for bytes
//!   client is up, 1 tasks wait, no timer
//!     #1 with server is open, waits for bytes
//! ```
//!
//! # What nobody handled
//!
//! A run fails when something is reported: a task, timer or protocol panicked, a task failed and nobody
//! awaits it, a host's program did not boot. The error, an
//! [`UnhandledFailure`](crate::reactor::UnhandledFailure), says the seed, the time and your line; no test has
//! to look for it. What the network does to a connection fails nothing, and neither does a fault that
//! the test asked for. A failure that the test expects is allowed by a predicate:
//!
//! ```
//! use ropewalk::simulation::Simulation;
//! use ropewalk::reactor::UnhandledFailure;
//! use ropewalk::{Failure, Stream};
//!
//! let simulation = Simulation::new(1);
//! let (server, client) = (simulation.host("server"), simulation.host("client"));
//! let refuse = async |_: Stream| Err::<(), _>(Failure::msg("not today"));
//! server.reactor().serve("0.0.0.0:80", refuse)?;
//! let open = || client.reactor().open("server:80");
//! drop(simulation.run_until(open())?);
//! assert!(simulation.run_until_idle().unwrap_err().is::<UnhandledFailure>());
//!
//! # let simulation = Simulation::new(1);
//! # let (server, client) = (simulation.host("server"), simulation.host("client"));
//! # server.reactor().serve("0.0.0.0:80", refuse)?;
//! # let open = || client.reactor().open("server:80");
//! // And in a new one:
//! simulation.allow_reports(|report| report.failure().to_string() == "not today");
//! drop(simulation.run_until(open())?);
//! simulation.run_until_idle()?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! On a reactor that is none of a simulation, [`Reactor::fail_on_report`](crate::Reactor::fail_on_report)
//! makes a test fail with what nobody handled: a task that panicked, a Deferred without an errback.
//!
//! # Trouble: a partition, a crash
//!
//! Links have latency, bandwidth and loss; they are cut and healed, hosts crash and start again, by
//! calls ([`cut`](Simulation::cut), [`Host::crash`](crate::simulation::Host::crash)), by a script, or by
//! a plan that follows from the seed ([`plan_troubles`](Simulation::plan_troubles)). This is the test
//! that a client survives a partition:
//!
//! ```
//! use futures_util::AsyncReadExt;
//! use ropewalk::simulation::Simulation;
//! use ropewalk::{ClientEndpoint, Reactor, Result};
//! use std::time::Duration;
//!
//! /// Tries each second until it has heard the greeting.
//! async fn greeting(reactor: Reactor) -> Result<String> {
//!     loop {
//!         let to = ClientEndpoint::from("server:80").timeout(Duration::from_secs(1));
//!         if let Ok(mut stream) = reactor.open(to).await {
//!             let mut text = String::new();
//!             if stream.read_to_string(&mut text).await.is_ok() {
//!                 return Ok(text);
//!             }
//!         }
//!         reactor.sleep(Duration::from_secs(1)).await;
//!     }
//! }
//!
//! let simulation = Simulation::new(1);
//! let (server, client) = (simulation.host("server"), simulation.host("client"));
//! server.boot(|reactor| {
//!     reactor.serve("0.0.0.0:80", async |mut stream| {
//!         use futures_util::AsyncWriteExt;
//!         Ok(stream.write_all(b"at last").await?)
//!     })?;
//!     Ok(())
//! });
//! simulation.script("cut client-server at 0 s for 10 s\ncrash server at 2 s for 3 s")?;
//! let text = simulation.run_until(greeting(client.reactor()))?;
//! assert_eq!(text, "at last");
//! assert!(simulation.time() > Duration::from_secs(10));
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A [`partition`](Simulation::partition) cuts many hosts off from many others; in a script it is
//! `partition a, b | c at 3 s for 10 s`.
//!
//! # Memory that survives a crash
//!
//! A crash takes a program's memory: whatever must outlive it has to be on a disk. Each host has one,
//! [`Host::disk`](crate::simulation::Host::disk), on which nothing is certain that was not synced: what
//! was written since survives up to a place that the seed chooses, perhaps with half of a write at its end.
//! Give the program a trait of its own for its storage, with files behind it in production. (What a test
//! keeps in an `Rc` that `boot` captures survives too, and hides every sync that is missing.)
//!
//! ```
//! use ropewalk::simulation::{Disk, Simulation, for_each_seed};
//! use ropewalk::{Failure, Result};
//!
//! /// Counts its own starts.
//! fn count(disk: &Disk) -> Result<usize> {
//!     disk.append("starts", b"x")?;
//!     disk.sync("starts")?; // without this line some seed fails
//!     Ok(disk.read("starts")?.len())
//! }
//!
//! for_each_seed(0..20, |simulation| {
//!     let server = simulation.host("server");
//!     for start in 1..=3 {
//!         if count(&server.disk())? != start {
//!             return Err(Failure::msg("a start was forgotten"));
//!         }
//!         server.restart();
//!     }
//!     Ok(())
//! })?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Many seeds
//!
//! Everything that varies comes from the seed. [`for_each_seed`] runs a scenario under many and stops
//! at the first failure with the command that runs that one again; [`sweep_faults`] lets each single
//! call of the system fail in turn. In the failing run,
//! [`keep_trace`](Simulation::keep_trace) keeps what happens, [`trace`](Simulation::trace) prints it and
//! [`to_svg`](Simulation::to_svg) draws it as a sequence diagram.
//!
//! ```
//! use ropewalk::simulation::{Faults, for_each_seed};
//! use std::time::Duration;
//!
//! let report = for_each_seed(0..20, |simulation| {
//!     let (server, client) = (simulation.host("server"), simulation.host("client"));
//!     server.set_faults(Faults::pedantic()); // short reads, short writes, would-block storms
//!     server.boot(|reactor| reactor.serve("0.0.0.0:80", async |_stream| Ok(())).map(drop));
//!     let reactor = client.reactor();
//!     simulation.run_until(async move {
//!         reactor.open("server:80").await?;
//!         Ok(())
//!     })?;
//!     simulation.run_until_idle()
//! })?;
//! println!("{report}");
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # What breaks a seed
//!
//! A seed is one run as long as nothing is drawn elsewhere. These are:
//!
//! * **The order of a `HashMap` or `HashSet`**, another in each run: iterate over a `BTreeMap`, or sort.
//! * **Clocks**: `SystemTime::now` and `Instant::now` tell the machine's time. Ask
//!   [`Reactor::now`](crate::Reactor::now), and have the date given to you.
//! * **Threads** of your own, whose order no seed decides. What is given to
//!   [`defer_to_thread`](crate::Reactor::defer_to_thread) runs in the simulation's own thread.
//! * **`rand`** and what draws from it, unless it is seeded: draw from
//!   [`Simulation::random`](crate::simulation::Simulation::random), or seed a generator with it.
//! * **Addresses in memory**, printed or hashed, and files, variables and arguments that differ.
//! * **TLS**: its keys come from the system, and so its bytes differ. See
//!   [the simulation's page](crate::simulation) for what to give it and what follows from the seed then.
//!
//! [`check_determinism`] runs each seed twice and says where the two first differ:
//!
//! ```
//! use ropewalk::simulation::{Simulation, check_determinism};
//! use std::time::Duration;
//!
//! fn scenario(simulation: &Simulation) -> ropewalk::Result {
//!     let nap = simulation.random(|random| random.below(1_000));
//!     simulation.host("sleeper").reactor().call_later(Duration::from_millis(nap), || ());
//!     simulation.run_until_idle()
//! }
//! check_determinism(0..10, scenario)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # A larger example
//!
//! `examples/simulation` is a key-value service tested so, with a planted bug to be found.
//!
//! # Any bytes, any pieces, any faults
//!
//! A property is a test that draws its own input: [`for_all`] calls it under many seeds, with a
//! [`Draw`] that gives bytes, pieces of them, waits between the pieces, faults, and scripts of trouble.
//! What fails is made as small as it gets, and shown with its seed. A function that draws is a
//! strategy of your own, and gets smaller by itself:
//!
//! ```
//! use ropewalk::simulation::{Draw, RecordingTransport, Simulation, for_all};
//! use ropewalk::{Address, Failure, Protocol, Result, Transport};
//! use std::time::Duration;
//!
//! struct Echo;
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//!
//! fn lines(draw: &mut Draw) -> Vec<u8> {
//!     draw.list(5, |draw| [draw.bytes_of(b"ab \t", 20), b"\r\n".to_vec()].concat()).concat()
//! }
//!
//! // Calls only: however the bytes are cut, the same come back.
//! for_all(0..100, |draw| {
//!     let (text, recording) = (lines(draw), RecordingTransport::new());
//!     for piece in draw.split(&text) {
//!         Echo.data_received(&recording.transport(), piece)?;
//!     }
//!     if recording.take() == text { Ok(()) } else { Err(Failure::msg("something else came back")) }
//! })?;
//!
//! // A whole network: whenever they are sent, whatever the systems do but break the connection.
//! for_all(0..20, |draw| {
//!     use futures_util::{AsyncReadExt, AsyncWriteExt};
//!     let simulation = Simulation::new(draw.seed());
//!     let (server, client) = (simulation.host("server"), simulation.host("client"));
//!     server.reactor().listen("0.0.0.0:7", |_: &Address| Echo)?;
//!     server.set_faults(draw.faults(false));
//!     client.set_faults(draw.faults(false));
//!     simulation.script(&draw.script(&["server", "client"], 2, Duration::from_secs(3), false))?;
//!     let (text, second) = (lines(draw), Duration::from_secs(1));
//!     let schedule: Vec<(Duration, Vec<u8>)> =
//!         draw.schedule(&text, second).into_iter().map(|(wait, it)| (wait, it.to_vec())).collect();
//!     let reactor = client.reactor();
//!     let echoed = simulation.run_until(async move {
//!         let mut stream = reactor.open("server:7").await?;
//!         let mut echoed = Vec::new();
//!         for (wait, piece) in schedule {
//!             reactor.sleep(wait).await;
//!             stream.write_all(&piece).await?;
//!         }
//!         stream.close().await?;
//!         stream.read_to_end(&mut echoed).await?;
//!         Ok(echoed)
//!     })?;
//!     if echoed == text { Ok(()) } else { Err(Failure::msg("something else came back")) }
//! })?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A property that fails says so:
//!
//! ```text
//! the property fails under seed 3: a carriage return ends a piece
//! the smallest case drew:
//!   bytes b""
//!   pieces [b"\r", b"\n"]
//! find it again: ROPEWALK_SEED=3 cargo test -p codec --test lines -- --exact any_cut
//! ```
//!
//! # What a simulation does not tell
//!
//! How fast the program is, and how the real kernel behaves where this one's model of it ends. A turn
//! takes no virtual time.

#[cfg(doc)]
use crate::simulation::{
    Draw, Pump, RecordingTransport, Simulation, check_determinism, every_split, for_all,
    for_each_seed, sweep_faults,
};
