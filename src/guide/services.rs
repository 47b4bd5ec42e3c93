//! A program of several parts, grown from one: who starts first, what a stop finishes, what a failure costs.
//!
//! # One part
//! A server alone needs no service: `reactor.serve(..)` and `reactor.run()` are a program. It ends at SIGTERM with
//! whatever its connections were at. The first reason for a service is to end better than that:
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::TcpServer;
//! # use ropewalk::simulation::Simulation;
//!
//! async fn shout(mut stream: Stream) -> Result {
//!     let mut line = String::new();
//!     loop {
//!         line.clear();
//!         let Some(read) = stream.draining().or(stream.read_line(&mut line)).await else {
//!             return Ok(stream.write_all(b"BYE\r\n").await?);
//!         };
//!         if read? == 0 {
//!             return Ok(());
//!         }
//!         stream.write_all(line.to_uppercase().as_bytes()).await?;
//!     }
//! }
//!
//! let application = Application::new("shouting").add_service(TcpServer::serve("0.0.0.0:7", shout));
//! # let simulation = Simulation::new(1);
//! # let (host, client) = (simulation.host("host"), simulation.host("client"));
//! # let reactor = host.reactor();
//! let starting = application.run_on(&reactor);
//! // In a program: `drop(starting); reactor.run()`. Here it is a simulation:
//! # let running = simulation.run_until(starting)?;
//! # let opening = client.reactor().open("host:7");
//! # let mut stream = simulation.run_until(async move {
//! #     let (mut stream, mut answer) = (opening.await?, [0; 3]);
//! #     stream.write_all(b"hi\n").await?;
//! #     stream.read_exact(&mut answer).await?;
//! #     assert_eq!(&answer, b"HI\n");
//! #     Ok(stream)
//! # })?;
//! # let stopping = running.stop_service();
//! let last = simulation.run_until(async move {
//!     let mut last = String::new();
//!     stream.read_to_string(&mut last).await?;
//!     Ok(last)
//! })?;
//! assert_eq!(last, "BYE\r\n");
//! # simulation.run_until(stopping)?;
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A stop closes the port and asks each connection; one that is idle says goodbye, one that is at work finishes
//! its line. Those that do neither are cut off after 20 s, and the stop fails with their number.
//!
//! # Several parts
//! What stands on something else comes behind it. Each is ready before the next begins, and stops after what
//! stands on it has:
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{ClientService, Restart, TcpServer, TimerService};
//! # use ropewalk::simulation::Simulation;
//! use std::{cell::Cell, rc::Rc, time::Duration};
//!
//! // A feed of numbers that we follow, whenever it can be had.
//! let latest = Rc::new(Cell::new(0));
//! let follows = latest.clone();
//! let feed = ClientService::serve("feed:7001", async move |mut stream| {
//!     let mut line = String::new();
//!     while stream.read_line(&mut line).await? > 0 {
//!         follows.set(line.trim().parse()?);
//!         line.clear();
//!     }
//!     Ok(())
//! });
//! let log = TimerService::new(Duration::from_secs(3600), || println!("an hour has passed"));
//! let web = TcpServer::serve("0.0.0.0:80", async move |mut stream| {
//!     Ok(stream.write_all(format!("{}\r\n", latest.get()).as_bytes()).await?)
//! });
//! let application = Application::new("numbers")
//!     .restart(Restart::rest_for_one()) // the web is started again with the feed
//!     .add_service(log)
//!     .add_service(feed.named("feed"))
//!     .add_service(web);
//! # use ropewalk::service::Service;
//! # let simulation = Simulation::new(1);
//! # let (host, other) = (simulation.host("host"), simulation.host("feed"));
//! # other.reactor().serve("0.0.0.0:7001", async |mut stream| {
//! #     stream.write_all(b"41\n42\n").await?;
//! #     Ok(drop(stream.read(&mut [0]).await?))
//! # })?;
//! # let running = simulation.run_until(application.run_on(&host.reactor()))?;
//! # simulation.run_for(Duration::from_secs(1))?;
//! # let opening = other.reactor().open("host:80");
//! # let said = simulation.run_until(async move {
//! #     let mut said = String::new();
//! #     opening.await?.read_to_string(&mut said).await?;
//! #     Ok(said)
//! # })?;
//! # assert_eq!(said, "42\r\n");
//! # simulation.run_until(running.stop_service())?;
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! The feed is ready at once, connected or not: that it is away is its matter, and it comes back by itself. Had the
//! web to wait for it, its start would `feed.when_connected(None)`.
//!
//! # What it owns
//! Nothing has to be handed to the service for it to know of it. What begins in a service is its own, and so is what
//! begins in that: a task that a handler spawns with `ropewalk::spawn` is waited for at a stop; one that never ends
//! is named, with the line that spawned it. Two kinds are told apart:
//!
//! | began | a stop |
//! |---|---|
//! | for a connection that was accepted: it, its handler, tasks and timers of these | waits 20 s, in all services at once |
//! | for the service itself: tasks, connections that it made | waits 5 s once `stop_service` is done |
//!
//! So a task of the service's own that goes on and on has to look whether it should:
//!
//! ```
//! use futures_util::future::{Either, select};
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, service};
//! use std::time::Duration;
//!
//! let sweeper = service("sweeper", async |up: Running| {
//!     up.ready();
//!     let mut minutes = up.reactor().interval(Duration::from_secs(60));
//!     while let Either::Left(_) = select(Box::pin(minutes.tick()), up.stopping()).await {
//!         println!("sweeps");
//!     }
//!     Ok(())
//! });
//! # let _ = sweeper;
//! ```
//!
//! # What fails
//! A service that fails later is started again after a wait that doubles; 5 times in 30 s, and then its parent has
//! failed: a [`MultiService`](crate::service::MultiService) is started again as one, and an application stops in
//! order. Say for each what it deserves:
//!
//! | | |
//! |---|---|
//! | `.permanent()` | started again however it ended |
//! | (default) | started again if it failed |
//! | `.temporary()` | never: a job that is done when it is done |
//! | `Err(Permanent::of(failure))` | never again, for it would be no other the next time |
//!
//! # Trying it
//! All of it runs in a simulation: a crash at any moment, a stop at any other, and nothing may be left. See
//! [testing](crate::guide::testing); `tests/services/` does it with ten thousand seeds.
