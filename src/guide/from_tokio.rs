//! For those who know tokio: what it is called here, and three things that will surprise you.
//!
//! # Names
//!
//! The search box of these pages finds them by tokio's name.
//!
//! | tokio | here |
//! |---|---|
//! | `#[tokio::main]`, `Runtime::block_on` | [`Reactor::run_until`](crate::Reactor::run_until), [`react`](crate::react) |
//! | `spawn_local`, `JoinHandle` | [`Reactor::spawn`](crate::Reactor::spawn) or [`spawn`](crate::spawn): the [`Deferred`](crate::Deferred) it gives is the handle |
//! | `JoinHandle::abort` | [`Deferred::cancel`](crate::Deferred::cancel) |
//! | `spawn_blocking` | [`Reactor::defer_to_thread`](crate::Reactor::defer_to_thread) |
//! | `time::sleep`, `timeout`, `interval` | [`sleep`](crate::sleep), [`timeout`](crate::timeout), [`interval`](crate::interval) |
//! | `TcpListener::bind`, `accept` | [`Reactor::accept`](crate::Reactor::accept), a [`Listener`](crate::Listener) that is a stream of streams; most often [`Reactor::serve`](crate::Reactor::serve), which has the loop in it |
//! | `TcpStream::connect` | [`Reactor::open`](crate::Reactor::open) |
//! | `AsyncReadExt`, `AsyncWriteExt`, `BufReader` | futures' traits of those names; a [`Stream`](crate::Stream) is `AsyncBufRead` itself |
//! | `into_split` | [`Stream::split`](crate::Stream::split) |
//! | `UdpSocket::bind` | [`Reactor::bind_udp`](crate::Reactor::bind_udp) |
//! | `lookup_host` | [`Reactor::resolve`](crate::Reactor::resolve) |
//! | `sync::oneshot` | [`Deferred::new`](crate::Deferred::new) |
//! | `sync::mpsc` | [`DeferredQueue`](crate::deferred::DeferredQueue) |
//! | `sync::Semaphore`, `Mutex` | [`DeferredSemaphore`](crate::deferred::DeferredSemaphore), [`DeferredLock`](crate::deferred::DeferredLock) |
//! | `sync::Notify` | a [`DeferredQueue`](crate::deferred::DeferredQueue) of `()`, or a [`Deferred`](crate::Deferred) for a single time |
//! | `JoinSet` | [`gather_results`](crate::gather_results), [`DeferredList`](crate::deferred::DeferredList) |
//! | `JoinError`, `Elapsed` | [`Panicked`](crate::Panicked) and [`Cancelled`](crate::deferred::Cancelled), [`TimedOut`](crate::deferred::TimedOut) |
//! | `runtime::Handle` | a clone of the [`Reactor`](crate::Reactor); from other threads [`Remote`](crate::Remote) |
//! | `task_local!` | [`Reactor::local`](crate::Reactor::local) |
//! | `process::Command`, `Child` | `process::ProcessOptions` and `ProcessStreams` (feature `process`), with `stdin`, `stdout`, `stderr` and `wait` |
//! | `codec::Framed` | [`framing`](crate::framing) for protocols; for a stream futures' `lines`, or tokio-util itself |
//! | `copy_bidirectional` | [`Stream::split`](crate::Stream::split) and futures' `copy_buf`, each way |
//! | `signal::ctrl_c` | `run` ends in order by itself; [`Reactor::signal`](crate::Reactor::signal) |
//! | `select!`, `join!` | futures' own, or [`race`](crate::race), [`gather_results`](crate::gather_results) |
//! | `time::pause` | a [`Simulation`](crate::simulation::Simulation): its whole network runs on virtual time |
//!
//! # The same program twice
//!
//! ```text
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     tokio::spawn(async move {
//!         let (mut stream, _) = listener.accept().await.unwrap();
//!         stream.write_all(b"hello").await.unwrap();
//!     });
//!     let mut stream = timeout(SECOND, TcpStream::connect(address)).await??;
//!     let mut greeting = String::new();
//!     stream.read_to_string(&mut greeting).await?;
//!     assert_eq!(greeting, "hello");
//!     Ok(())
//! }
//! ```
//!
//! ```
//! use ropewalk::prelude::*;
//! use std::time::Duration;
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     reactor.run_until(async {
//!         let port = reactor.serve("127.0.0.1:0", async |mut stream| {
//!             Ok(stream.write_all(b"hello").await?)
//!         })?;
//!         let opening = reactor.open(&port.host());
//!         let mut stream = reactor.timeout(Duration::from_secs(1), opening).await??;
//!         let mut greeting = String::new();
//!         stream.read_to_string(&mut greeting).await?;
//!         assert_eq!(greeting, "hello");
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Three surprises
//!
//! **A Deferred runs on when it is dropped, until it was polled.** A `JoinHandle` that is dropped leaves its
//! task alone, and so does a spawned Deferred that nobody polled. Once it was awaited, dropping it means
//! what dropping a future means: the task is cancelled. [`guide::deferreds_and_futures`](super::deferreds_and_futures)
//! has the table.
//!
//! **A write that is ready has not left yet.** `write_all` gives the bytes to the connection, which sends
//! them when the task next waits; `flush().await` says that the system has them all. No write waits while
//! less than 64 KiB are unsent; more than that is where back-pressure begins.
//!
//! **Nothing is `Send`.** Tasks, streams and Deferreds stay on their reactor's thread: `Rc` and `RefCell`
//! instead of `Arc` and `Mutex`, no bounds on what you spawn. Other threads reach a reactor through its
//! [`Remote`](crate::Remote), and a trigger through [`Reactor::sendable`](crate::Reactor::sendable).
