//! Tutorial: a service that tells who is who, grown in ten steps, each a program that runs.
//!
//! It is asked for a name by a line, and answers by a line, as finger did. Try a step by copying it into
//! `src/main.rs` with a fixed port in place of 0, and asking it by `socat - TCP:127.0.0.1:1079`.
//!
//! # 1. Something that listens
//! A reactor calls what is yours when something happens. A protocol is what one connection does; a new one is
//! made for each by the closure.
//!
//! ```
//! use ropewalk::prelude::*;
//!
//! struct Who;
//! impl Protocol for Who {
//!     fn connection_made(&mut self, transport: &Transport) {
//!         transport.write(b"nobody is known here\r\n");
//!         transport.lose_connection(); // after what was written
//!     }
//!     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
//!         Ok(())
//!     }
//! }
//! let reactor = Reactor::new()?;
//! let port = reactor.listen("127.0.0.1:0", |_: &Address| Who)?;
//! println!("asked at {}", port.host());
//! # use futures_util::AsyncReadExt;
//! # let asking = reactor.clone();
//! # let heard = reactor.run_until(async move {
//! #     let mut text = String::new();
//! #     asking.open(port.host()).await?.read_to_string(&mut text).await?;
//! #     Ok(text)
//! # })?;
//! # assert_eq!(heard, "nobody is known here\r\n");
//! # return Ok::<(), ropewalk::Failure>(());
//! reactor.run()?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 2. Lines
//! Bytes come in pieces, however they were sent. A [`LineReceiver`](crate::framing::LineReceiver) makes lines of
//! them, wherever they were cut, and has a limit for their length.
//!
//! ```
//! use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
//! use ropewalk::prelude::*;
//!
//! struct Who;
//! impl LineProtocol for Who {
//!     fn line_received(&mut self, transport: &Transport, name: &[u8]) -> Result {
//!         let name = String::from_utf8_lossy(name);
//!         send_line(transport, format!("{name} is not known here").as_bytes())?;
//!         Ok(transport.lose_connection())
//!     }
//! }
//! let reactor = Reactor::new()?;
//! let port = reactor.listen("127.0.0.1:0", |_: &Address| LineReceiver::new(Who))?;
//! # let heard = ask(&reactor, &port, "moshez")?;
//! # assert_eq!(heard, "moshez is not known here\r\n");
//! # fn ask(reactor: &Reactor, port: &Port, name: &str) -> Result<String> {
//! #     let (asking, at, line) = (reactor.clone(), port.host(), format!("{name}\r\n"));
//! #     reactor.run_until(async move {
//! #         use futures_util::{AsyncReadExt, AsyncWriteExt};
//! #         let (mut stream, mut text) = (asking.open(at).await?, String::new());
//! #         stream.write_all(line.as_bytes()).await?;
//! #         stream.read_to_string(&mut text).await?;
//! #         Ok(text)
//! #     })
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 3. Somebody who is known
//! What all connections share is an `Rc`: a reactor is one thread, and needs no locks.
//!
//! ```
//! use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
//! use ropewalk::prelude::*;
//! use std::collections::HashMap;
//! use std::rc::Rc;
//!
//! struct Who(Rc<HashMap<String, String>>);
//! impl LineProtocol for Who {
//!     fn line_received(&mut self, transport: &Transport, name: &[u8]) -> Result {
//!         let known = self.0.get(&*String::from_utf8_lossy(name));
//!         send_line(transport, known.map_or("nobody", String::as_str).as_bytes())?;
//!         Ok(transport.lose_connection())
//!     }
//! }
//! let people = Rc::new(HashMap::from([("moshez".into(), "happy and well".into())]));
//! let reactor = Reactor::new()?;
//! let port = reactor.listen("127.0.0.1:0", move |_: &Address| LineReceiver::new(Who(people.clone())))?;
//! # let heard = ask(&reactor, &port, "moshez")?;
//! # assert_eq!(heard, "happy and well\r\n");
//! # fn ask(reactor: &Reactor, port: &Port, name: &str) -> Result<String> {
//! #     let (asking, at, line) = (reactor.clone(), port.host(), format!("{name}\r\n"));
//! #     reactor.run_until(async move {
//! #         use futures_util::{AsyncReadExt, AsyncWriteExt};
//! #         let (mut stream, mut text) = (asking.open(at).await?, String::new());
//! #         stream.write_all(line.as_bytes()).await?;
//! #         stream.read_to_string(&mut text).await?;
//! #         Ok(text)
//! #     })
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 4. A look-up that takes time
//! Most look-ups wait for somebody else. They give a [`Deferred`](crate::Deferred): callbacks are added now, and
//! called when the value is there; a failure goes past them to the first errback. Nothing else waits meanwhile.
//!
//! ```
//! use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
//! use ropewalk::prelude::*;
//! use std::time::Duration;
//!
//! /// As slow as a database would be.
//! fn look_up(reactor: &Reactor, name: String) -> Deferred<String> {
//!     let (trigger, deferred) = Deferred::new();
//!     reactor.call_later(Duration::from_millis(1), move || match &*name {
//!         "moshez" => drop(trigger.callback("happy and well".into())),
//!         _ => drop(trigger.errback(ropewalk::Failure::msg("nobody"))),
//!     });
//!     deferred
//! }
//! struct Who;
//! impl LineProtocol for Who {
//!     fn line_received(&mut self, transport: &Transport, name: &[u8]) -> Result {
//!         let name = String::from_utf8_lossy(name).into_owned();
//!         let answered = transport.clone();
//!         look_up(&transport.reactor(), name)
//!             .add_errback(|failure| Ok(failure.to_string()))
//!             .add_callback(move |answer| {
//!                 send_line(&answered, answer.as_bytes())?;
//!                 Ok(answered.lose_connection())
//!             });
//!         Ok(())
//!     }
//! }
//! let reactor = Reactor::new()?;
//! let port = reactor.listen("127.0.0.1:0", |_: &Address| LineReceiver::new(Who))?;
//! # assert_eq!(ask(&reactor, &port, "moshez")?, "happy and well\r\n");
//! # assert_eq!(ask(&reactor, &port, "spiv")?, "nobody\r\n");
//! # fn ask(reactor: &Reactor, port: &Port, name: &str) -> Result<String> {
//! #     let (asking, at, line) = (reactor.clone(), port.host(), format!("{name}\r\n"));
//! #     reactor.run_until(async move {
//! #         use futures_util::{AsyncReadExt, AsyncWriteExt};
//! #         let (mut stream, mut text) = (asking.open(at).await?, String::new());
//! #         stream.write_all(line.as_bytes()).await?;
//! #         stream.read_to_string(&mut text).await?;
//! #         Ok(text)
//! #     })
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 5. An answer from a file
//! To read a file may block, so a thread does it, and gives a Deferred as well. The file is read for each
//! question, so that it may change.
//!
//! ```
//! use ropewalk::prelude::*;
//! use std::path::PathBuf;
//!
//! /// Lines of a file are `name: answer`.
//! fn look_up(reactor: &Reactor, file: PathBuf, name: String) -> Deferred<String> {
//!     reactor.defer_to_thread(move || {
//!         let text = std::fs::read_to_string(file)?;
//!         let lines = text.lines().filter_map(|line| line.split_once(": "));
//!         let found = lines.filter(|(known, _)| *known == name).next();
//!         Ok(found.map_or("nobody", |(_, answer)| answer).to_owned())
//!     })
//! }
//! # let file = std::env::temp_dir().join(format!("ropewalk-who-{}", std::process::id()));
//! # std::fs::write(&file, "moshez: happy and well\n")?;
//! let reactor = Reactor::new()?;
//! let answer = reactor.run_until(look_up(&reactor, file.clone(), "moshez".into()))?;
//! assert_eq!(answer, "happy and well");
//! # std::fs::remove_file(file)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 6. The other face
//! The same server as an `async fn`: a Deferred is a future, and a connection a stream. Which face a server has
//! is a matter of taste; both may listen in one program, and what follows holds for either.
//!
//! ```
//! use futures_util::{AsyncBufReadExt, AsyncReadExt};
//! use ropewalk::prelude::*;
//!
//! async fn look_up(name: &str) -> Result<String> {
//!     Ok(if name == "moshez" { "happy and well" } else { "nobody" }.to_owned())
//! }
//! async fn who(mut stream: Stream) -> Result {
//!     let mut name = String::new();
//!     (&mut stream).take(1000).read_line(&mut name).await?; // no longer than that
//!     let answer = look_up(name.trim_end()).await?;
//!     Ok(stream.write_all(format!("{answer}\r\n").as_bytes()).await?)
//! }
//! let reactor = Reactor::new()?;
//! let port = reactor.serve("127.0.0.1:0", who)?;
//! # assert_eq!(ask(&reactor, &port, "moshez")?, "happy and well\r\n");
//! # fn ask(reactor: &Reactor, port: &Port, name: &str) -> Result<String> {
//! #     let (asking, at, line) = (reactor.clone(), port.host(), format!("{name}\r\n"));
//! #     reactor.run_until(async move {
//! #         let (mut stream, mut text) = (asking.open(at).await?, String::new());
//! #         stream.write_all(line.as_bytes()).await?;
//! #         stream.read_to_string(&mut text).await?;
//! #         Ok(text)
//! #     })
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 7. A service
//! A program has parts that begin and end together. A service listens when it is started and is ready then;
//! what it began through `up` is its own, and ends with it.
//!
//! ```
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, service};
//!
//! let who = service("who", async |up: Running| {
//!     up.serve("127.0.0.1:0", async |mut stream| Ok(stream.write_all(b"nobody\r\n").await?))?;
//!     up.ready();
//!     up.stopping().await; // until somebody stops it
//!     Ok(())
//! });
//! let reactor = Reactor::new()?;
//! let running = reactor.run_until(Application::new("who").add_service(who).run_on(&reactor))?;
//! assert!(running.is_ready());
//! reactor.run_until(running.stop_service())?;
//! assert!(reactor.open_ports().is_empty());
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 8. A second port, for another protocol, with the same state
//! Who may say how he is does so at a port of his own: a Unix socket here, which only this user can reach. Both
//! are services, which share the state, and are started one after the other.
//!
//! ```
//! use futures_util::AsyncBufReadExt;
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{AsyncService, Running, service};
//! use std::cell::RefCell;
//! use std::collections::HashMap;
//! use std::rc::Rc;
//!
//! type People = Rc<RefCell<HashMap<String, String>>>;
//!
//! async fn line_of(stream: &mut Stream) -> Result<String> {
//!     let mut line = String::new();
//!     stream.read_line(&mut line).await?;
//!     Ok(line.trim_end().to_owned())
//! }
//! async fn ask(mut stream: Stream, people: People) -> Result {
//!     let name = line_of(&mut stream).await?;
//!     // The borrow ends before anything is awaited.
//!     let answer = people.borrow().get(&name).cloned().unwrap_or("nobody".into());
//!     Ok(stream.write_all(answer.as_bytes()).await?)
//! }
//! async fn tell(mut stream: Stream, people: People) -> Result {
//!     let name = line_of(&mut stream).await?;
//!     let answer = line_of(&mut stream).await?;
//!     people.borrow_mut().insert(name, answer);
//!     Ok(stream.write_all(b"thank you").await?)
//! }
//! # let socket = std::env::temp_dir().join(format!("ropewalk-tell-{}", std::process::id()));
//! # let (socket, path) = (format!("unix:{}:mode=600", socket.display()), format!("unix:{}", socket.display()));
//! let people = People::default();
//! let (asked, told) = (people.clone(), people);
//! let questions = service("questions", async move |up: Running| {
//!     let people = asked.clone();
//!     up.serve("127.0.0.1:0", async move |stream| ask(stream, people.clone()).await)?;
//!     up.ready();
//!     Ok(up.stopping().await)
//! });
//! let answers = service("answers", async move |up: Running| {
//!     let people = told.clone();
//!     up.serve(&*socket, async move |stream| tell(stream, people.clone()).await)?; // unix:/run/who:mode=600
//!     up.ready();
//!     Ok(up.stopping().await)
//! });
//! let reactor = Reactor::new()?;
//! let application = Application::new("who").add_service(questions).add_service(answers);
//! let running = reactor.run_until(application.run_on(&reactor))?;
//! # let at = reactor.open_ports()[0].1.host();
//! # let asking = reactor.clone();
//! # let heard = reactor.run_until(async move {
//! #     use futures_util::AsyncReadExt;
//! #     let mut text = String::new();
//! #     for (to, said) in [(path.parse::<ClientEndpoint>()?, "moshez\nwell\n"), (at.into(), "moshez\n")] {
//! #         let mut stream = asking.open(to).await?;
//! #         stream.write_all(said.as_bytes()).await?;
//! #         stream.read_to_string(&mut text).await?;
//! #     }
//! #     Ok(text)
//! # })?;
//! # assert_eq!(heard, "thank youwell");
//! reactor.run_until(running.stop_service())?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 9. Drain and reload
//! A service that is stopped closes its ports; who is connected may finish, for 20 s unless told otherwise, and
//! hears that he should: [`Protocol::drain`](crate::Protocol::drain), or
//! [`Stream::draining`](crate::Stream::draining). To reload is to read again what it was configured by; what
//! cannot be read changes nothing.
//!
//! ```
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, Service};
//! use ropewalk::application::Application;
//! use std::cell::RefCell;
//! use std::path::PathBuf;
//! use std::rc::Rc;
//!
//! struct Who {
//!     file: PathBuf,
//!     answer: Rc<RefCell<String>>,
//!     port: Option<Port>,
//! }
//! impl Service for Who {
//!     fn start_service(&mut self, up: &Running) -> Deferred<()> {
//!         let answer = self.answer.clone();
//!         let greet = async move |mut stream: Stream| {
//!             let text = answer.borrow().clone();
//!             Ok(stream.write_all(text.as_bytes()).await?)
//!         };
//!         match up.serve("127.0.0.1:0", greet) {
//!             Ok(port) => self.port = Some(port),
//!             Err(failure) => return ropewalk::fail(failure),
//!         }
//!         self.reload(up)
//!     }
//!     fn stop_service(&mut self, up: &Running) -> Deferred<()> {
//!         up.drain(self.port.take())
//!     }
//!     fn reload(&mut self, up: &Running) -> Deferred<()> {
//!         let (file, answer) = (self.file.clone(), self.answer.clone());
//!         let read = up.reactor().defer_to_thread(move || Ok(std::fs::read_to_string(file)?));
//!         read.add_callback(move |text| Ok(answer.replace(text)).map(drop))
//!     }
//! }
//! # let file = std::env::temp_dir().join(format!("ropewalk-reload-{}", std::process::id()));
//! # std::fs::write(&file, "well\r\n")?;
//! let who = Who { file: file.clone(), answer: Rc::default(), port: None };
//! let reactor = Reactor::new()?;
//! let running = reactor.run_until(Application::new("who").add_service(who).run_on(&reactor))?;
//! std::fs::write(&file, "better\r\n")?;
//! reactor.run_until(running.reload())?;
//! # std::fs::remove_file(&file)?;
//! # assert!(reactor.run_until(running.reload()).is_err(), "and answers as before");
//! # let (asking, at) = (reactor.clone(), reactor.open_ports()[0].1.host());
//! # let heard = reactor.run_until(async move {
//! #     use futures_util::AsyncReadExt;
//! #     let mut text = String::new();
//! #     asking.open(at).await?.read_to_string(&mut text).await?;
//! #     Ok(text)
//! # })?;
//! # assert_eq!(heard, "better\r\n");
//! reactor.run_until(running.stop_service())?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # 10. The program
//! With the feature `runner` the application is a program: with options, a log, signals that drain, reload and
//! restart it, the background, another user, systemd. `who --help` says which.
//!
//! ```
//! # #[cfg(all(feature = "runner", target_os = "linux"))] {
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, service};
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let who = service("who", async |up: Running| {
//!         up.serve("127.0.0.1:0", async |mut stream| Ok(stream.write_all(b"nobody\r\n").await?))?;
//!         up.ready();
//! #       let pid = std::process::id().to_string();
//! #       std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
//!         up.stopping().await; // SIGTERM, Ctrl-C
//!         Ok(())
//!     });
//!     Application::new("who").add_service(who).run()
//! }
//! # assert_eq!(main(), ExitCode::SUCCESS);
//! # }
//! ```
//!
//! From here: [In production](super::in_production), and [services](crate::service) for trees of them, restarts
//! and what each limit is.
