//! Adding what is not there: a protocol that reaches itself, a framing, a layer, a policy, a transport.
//!
//! All of it is made with public items, as the crate's own framings, policies and TLS are.
//!
//! # A login protocol with a timer and a Deferred
//!
//! In Twisted `self` is at hand wherever a callback is written. Here a protocol that is to be called by a timer
//! or a Deferred stands in a [`Reachable`](crate::net::Reachable), which gives it a [`Connected`](crate::Connected)
//! of itself: `me.call(|this, transport| ..)` runs at once, or right after the callback in progress, and never
//! after `connection_lost`.
//!
//! ```
//! use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
//! use ropewalk::net::Reachable;
//! use ropewalk::policies::Timeout;
//! use ropewalk::{Address, Connected, Deferred, Reactor, Result, Transport};
//! use std::{rc::Rc, time::Duration};
//!
//! type Directory = Rc<dyn Fn(&str) -> Deferred<String>>;
//!
//! struct Login {
//!     me: Connected<Login>,
//!     users: Directory,
//!     /// Taken off when the protocol is dropped.
//!     late: Timeout,
//!     name: Option<String>,
//! }
//!
//! impl Login {
//!     fn new(me: Connected<Login>, users: Directory, reactor: Reactor) -> Login {
//!         let own = me.clone();
//!         let late = Timeout::new(reactor, move || drop(own.call(|_, transport| {
//!             send_line(transport, "too late")?;
//!             Ok(transport.lose_connection())
//!         })));
//!         Login { me, users, late, name: None }
//!     }
//! }
//!
//! impl LineProtocol for Login {
//!     fn connection_made(&mut self, transport: &Transport) {
//!         self.late.set(Some(Duration::from_secs(30)));
//!         transport.write("login: ");
//!     }
//!
//!     fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
//!         if let Some(name) = &self.name {
//!             return Ok(send_line(transport, format!("you are {name}"))?);
//!         }
//!         transport.pause_reading(); // further lines wait for the answer
//!         let me = self.me.clone();
//!         let user = (self.users)(&String::from_utf8_lossy(line));
//!         user.add_callback(move |name: String| me.call(|this, transport| {
//!             this.late.set(None);
//!             send_line(transport, format!("hello {name}"))?;
//!             this.name = Some(name);
//!             Ok(transport.resume_reading())
//!         }));
//!         Ok(())
//!     }
//! }
//!
//! fn serve(reactor: &Reactor, at: &str, users: Directory) -> Result {
//!     let clock = reactor.clone();
//!     reactor.listen(at, move |_: &Address| {
//!         let (users, clock) = (users.clone(), clock.clone());
//!         LineReceiver::new(Reachable::new(|me| Login::new(me, users, clock)))
//!     })?;
//!     Ok(())
//! }
//! # use futures_util::{AsyncReadExt, AsyncWriteExt};
//! # let simulation = ropewalk::simulation::Simulation::new(1);
//! # let (server, client) = (simulation.host("server"), simulation.host("client"));
//! # let waits = server.reactor();
//! # let users: Directory = Rc::new(move |name| {
//! #     let name = name.to_uppercase();
//! #     ropewalk::deferred::defer_later(&waits, Duration::from_secs(5), move || Ok(name))
//! # });
//! # serve(&server.reactor(), "0.0.0.0:80", users)?;
//! # for (said, heard) in [("joe\r\nwho\r\n", "login: hello JOE\r\nyou are JOE\r\n"), ("", "login: too late\r\n")] {
//! #     let opening = client.reactor().open("server:80");
//! #     let got = simulation.run_until(async move {
//! #         let (mut stream, mut got) = (opening.await?, vec![0; heard.len()]);
//! #         stream.write_all(said.as_bytes()).await?;
//! #         stream.read_exact(&mut got).await?;
//! #         Ok(String::from_utf8(got)?)
//! #     })?;
//! #     assert_eq!(got, heard);
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # A framing, a layer and a policy, held to the battery
//!
//! A framing is a [`Protocol`](crate::Protocol) around a smaller one:
//! [`forward_protocol!`](crate::forward_protocol) has the calls that it takes no part in, and
//! [`Unconsumed`](crate::framing::Unconsumed) keeps what is not delivered yet. A layer is a
//! [`ByteStream`](crate::driver::ByteStream) over another, written with
//! [`forward_byte_stream!`](crate::forward_byte_stream); one that keeps bytes back, shakes hands or sends a last word
//! is a [`Layer`](crate::driver::Layer) too, whose page has the order of the calls. A
//! [`Policy`](crate::policies::Policy) puts it under each connection. The battery says whether all of it together
//! is a transport still.
//!
//! ```
//! use futures_util::StreamExt;
//! use ropewalk::conformance::{self, Harness};
//! use ropewalk::driver::ByteStream;
//! use ropewalk::framing::Unconsumed;
//! use ropewalk::policies::{self, Policy};
//! use ropewalk::{Address, Deferred, Factory, Protocol, Reactor, Result, Stream, Transport};
//! use ropewalk::{fail, forward_byte_stream, forward_protocol};
//! use std::io::{self, IoSlice};
//!
//! /// The framing: what comes is received in pieces of at most 500 bytes.
//! struct Pieces<P> {
//!     inner: P,
//!     kept: Unconsumed,
//! }
//!
//! impl<P: Protocol> Pieces<P> {
//!     fn deliver(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         let Pieces { inner, kept } = self;
//!         kept.deliver(transport, data, |rest| {
//!             let piece = &rest[..rest.len().min(500)];
//!             inner.data_received(transport, piece)?;
//!             Ok(piece.len())
//!         })
//!     }
//! }
//!
//! impl<P: Protocol> Protocol for Pieces<P> {
//!     forward_protocol!(self.inner: all except data_received, reading_resumed, read_closed);
//!
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         self.deliver(transport, data)
//!     }
//!     fn reading_resumed(&mut self, transport: &Transport) -> Result {
//!         self.deliver(transport, &[])?;
//!         self.inner.reading_resumed(transport)?;
//!         if self.kept.may_tell_end(transport) {
//!             self.inner.read_closed(transport);
//!         }
//!         Ok(())
//!     }
//!     fn read_closed(&mut self, transport: &Transport) {
//!         self.kept.note_end();
//!         if self.kept.may_tell_end(transport) {
//!             self.inner.read_closed(transport);
//!         }
//!     }
//! }
//!
//! /// The layer: bytes pass with their bits turned round.
//! struct Masked(Box<dyn ByteStream>);
//!
//! impl ByteStream for Masked {
//!     forward_byte_stream!(self.0: all except read, write, write_vectored);
//!
//!     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
//!         let count = self.0.read(buffer)?;
//!         buffer[..count].iter_mut().for_each(|byte| *byte = !*byte);
//!         Ok(count)
//!     }
//!     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
//!         let masked: Vec<u8> = data.iter().map(|byte| !byte).collect();
//!         self.0.write(&masked)
//!     }
//!     fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
//!         let first = slices.iter().find(|slice| !slice.is_empty());
//!         self.write(first.map_or(&[], |slice| slice))
//!     }
//! }
//!
//! fn mask(transport: &Transport) -> Result {
//!     transport.replace_stream(|below| Box::new(Masked(below)))
//! }
//!
//! /// The policy: each connection is masked.
//! #[derive(Clone, Copy)]
//! struct Masks;
//!
//! impl Policy for Masks {
//!     type Pass = ();
//!     fn admit(&self, _: &Address) -> Option<()> {
//!         Some(())
//!     }
//!     fn apply(&self, transport: &Transport) -> Result {
//!         mask(transport)
//!     }
//! }
//!
//! /// One protocol in all of it.
//! fn once(protocol: Box<dyn Protocol>) -> impl Factory {
//!     let mut inner = Some(protocol);
//!     policies::factory(Masks, move |_: &Address| {
//!         let inner = inner.take().expect("one connection is made");
//!         Pieces { inner, kept: Unconsumed::default() }
//!     })
//! }
//!
//! /// The transport, both ends of it.
//! struct Ground;
//!
//! impl Harness for Ground {
//!     fn protocols(
//!         &self,
//!         reactor: &Reactor,
//!         server: Box<dyn Protocol>,
//!         client: Box<dyn Protocol>,
//!     ) -> Deferred<()> {
//!         match reactor.listen("127.0.0.1:0", once(server)) {
//!             Ok(port) => reactor.connect(&port.host(), once(client)).map(drop),
//!             Err(failure) => fail(failure),
//!         }
//!     }
//!
//!     fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
//!         let mut listener = match reactor.accept("127.0.0.1:0") {
//!             Ok(listener) => listener,
//!             Err(failure) => return fail(failure),
//!         };
//!         let opening = reactor.open(&listener.host());
//!         reactor.spawn(async move {
//!             let client = opening.await?;
//!             let server = listener.next().await.expect("one was opened");
//!             mask(&client.transport())?;
//!             mask(&server.transport())?;
//!             Ok((server, client))
//!         })
//!     }
//! }
//!
//! conformance::run(&Ground)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # A transport of one's own
//!
//! Where bytes pass neither a socket nor a pipe of the system's (through memory, here; through another
//! connection, or a device), a [`ByteStream`](crate::driver::ByteStream) is what carries them, and a
//! [`Listener`](crate::driver::Listener) is what brings streams.
//! [`ServerEndpoint::custom`](crate::ServerEndpoint::custom) and
//! [`ClientEndpoint::custom`](crate::ClientEndpoint::custom) give them to the verbs, with protocols, streams, TLS
//! and policies above them as above any. No system says when they are ready: they keep the key that they are
//! registered with, and [`notify_ready`](crate::Reactor::notify_ready) says so.
//!
//! ```
//! use futures_util::StreamExt;
//! use ropewalk::conformance::{self, Harness};
//! use ropewalk::driver::{ByteStream, Key, Layer, Listener, Readiness, Socket};
//! use ropewalk::{Address, ClientEndpoint, Deferred, Protocol, Reactor, ServerEndpoint, Stream, fail};
//! use std::cell::{Cell, RefCell};
//! use std::collections::VecDeque;
//! use std::io::{self, IoSlice};
//! use std::{rc::Rc, time::Duration};
//!
//! /// Bytes on their way to one end, and who reads and writes them.
//! #[derive(Default)]
//! struct Way {
//!     bytes: VecDeque<u8>,
//!     has_ended: bool,
//!     is_broken: bool,
//!     reader: Option<Key>,
//!     writer: Option<Key>,
//! }
//!
//! /// More than this waits with whoever writes.
//! const MOST: usize = 64 << 10;
//!
//! struct End {
//!     reactor: Reactor,
//!     from: Rc<RefCell<Way>>,
//!     to: Rc<RefCell<Way>>,
//!     is_aborted: bool,
//! }
//!
//! impl End {
//!     fn pair(reactor: &Reactor) -> [End; 2] {
//!         let (one, other) = (Rc::<RefCell<Way>>::default(), Rc::<RefCell<Way>>::default());
//!         [(&one, &other), (&other, &one)].map(|(from, to)| End {
//!             reactor: reactor.clone(),
//!             from: from.clone(),
//!             to: to.clone(),
//!             is_aborted: false,
//!         })
//!     }
//!
//!     fn tell_reader(&self, readiness: Readiness) {
//!         let reader = self.to.borrow().reader;
//!         reader.into_iter().for_each(|key| self.reactor.notify_ready(key, readiness));
//!     }
//!
//!     fn tell_writer(&self) {
//!         let writer = self.from.borrow().writer;
//!         writer.into_iter().for_each(|key| self.reactor.notify_ready(key, Readiness::WRITABLE));
//!     }
//! }
//!
//! impl ByteStream for End {
//!     fn register(&mut self, key: Key) -> io::Result<()> {
//!         self.from.borrow_mut().reader = Some(key);
//!         self.to.borrow_mut().writer = Some(key);
//!         self.reactor.notify_ready(key, Readiness::READABLE.and(Readiness::WRITABLE));
//!         Ok(())
//!     }
//!
//!     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
//!         let mut way = self.from.borrow_mut();
//!         let count = buffer.len().min(way.bytes.len());
//!         match (count, way.is_broken, way.has_ended) {
//!             (_, true, _) => return Err(io::ErrorKind::ConnectionReset.into()),
//!             (0, _, true) => return Ok(0),
//!             (0, ..) => return Err(io::ErrorKind::WouldBlock.into()),
//!             _ => buffer.iter_mut().zip(way.bytes.drain(..count)).for_each(|(to, byte)| *to = byte),
//!         }
//!         drop(way);
//!         self.tell_writer();
//!         Ok(count)
//!     }
//!
//!     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
//!         let mut way = self.to.borrow_mut();
//!         if way.is_broken {
//!             return Err(io::ErrorKind::BrokenPipe.into());
//!         }
//!         let count = data.len().min(MOST - way.bytes.len());
//!         if count == 0 && !data.is_empty() {
//!             return Err(io::ErrorKind::WouldBlock.into());
//!         }
//!         way.bytes.extend(&data[..count]);
//!         drop(way);
//!         self.tell_reader(Readiness::READABLE);
//!         Ok(count)
//!     }
//!
//!     fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
//!         let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
//!         self.write(&all)
//!     }
//!
//!     fn shutdown_write(&mut self) -> io::Result<()> {
//!         self.to.borrow_mut().has_ended = true;
//!         self.tell_reader(Readiness::READABLE.and(Readiness::READ_CLOSED));
//!         Ok(())
//!     }
//!
//!     fn peer(&self) -> io::Result<Address> {
//!         Ok(Address::Pipe("memory".into()))
//!     }
//!
//!     fn host(&self) -> io::Result<Address> {
//!         self.peer()
//!     }
//!
//!     fn as_socket(&mut self) -> Option<&mut dyn Socket> {
//!         Some(self)
//!     }
//!
//!     // A read that comes short leaves nothing, and a write that comes short leaves no room.
//!     fn as_layer(&mut self) -> Option<&mut dyn Layer> {
//!         None
//!     }
//! }
//!
//! impl Socket for End {
//!     fn finish_connecting(&mut self) -> io::Result<()> {
//!         Ok(())
//!     }
//!     fn is_at_end(&mut self) -> io::Result<bool> {
//!         let way = self.from.borrow();
//!         Ok(way.bytes.is_empty() && (way.has_ended || way.is_broken))
//!     }
//!     fn set_abort(&mut self) {
//!         self.is_aborted = true;
//!     }
//!     fn set_nodelay(&mut self, _: bool) -> io::Result<()> {
//!         Ok(())
//!     }
//!     fn set_keepalive(&mut self, _: Option<Duration>) -> io::Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! impl Drop for End {
//!     fn drop(&mut self) {
//!         // What was sent still arrives; what the other end sends goes nowhere.
//!         self.from.borrow_mut().is_broken = true;
//!         self.to.borrow_mut().has_ended = true;
//!         self.to.borrow_mut().is_broken |= self.is_aborted;
//!         self.tell_writer();
//!         self.tell_reader(Readiness::READABLE.and(Readiness::READ_CLOSED));
//!     }
//! }
//!
//! /// Where ends wait to be accepted.
//! #[derive(Clone, Default)]
//! struct Door(Rc<(RefCell<VecDeque<End>>, Cell<Option<Key>>)>);
//!
//! impl Door {
//!     fn endpoint(&self) -> ServerEndpoint {
//!         ServerEndpoint::custom(self.clone())
//!     }
//!
//!     fn knock(&self, reactor: &Reactor) -> ClientEndpoint {
//!         let [here, there] = End::pair(reactor);
//!         self.0.0.borrow_mut().push_back(there);
//!         self.0.1.get().into_iter().for_each(|key| reactor.notify_ready(key, Readiness::READABLE));
//!         ClientEndpoint::custom(here)
//!     }
//! }
//!
//! impl Listener for Door {
//!     fn register(&mut self, key: Key) -> io::Result<()> {
//!         self.0.1.set(Some(key));
//!         Ok(())
//!     }
//!     fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
//!         let end = self.0.0.borrow_mut().pop_front().ok_or(io::ErrorKind::WouldBlock)?;
//!         let peer = end.peer()?;
//!         Ok((Box::new(end), peer))
//!     }
//!     fn host(&self) -> io::Result<Address> {
//!         Ok(Address::Pipe("door".into()))
//!     }
//! }
//!
//! struct Memory;
//!
//! impl Harness for Memory {
//!     fn protocols(
//!         &self,
//!         reactor: &Reactor,
//!         server: Box<dyn Protocol>,
//!         client: Box<dyn Protocol>,
//!     ) -> Deferred<()> {
//!         let (door, once) = (Door::default(), |protocol| {
//!             let mut protocol = Some(protocol);
//!             move |_: &Address| protocol.take().expect("one connection is made")
//!         });
//!         match reactor.listen(door.endpoint(), once(server)) {
//!             Ok(_port) => reactor.connect(door.knock(reactor), once(client)).map(drop),
//!             Err(failure) => fail(failure),
//!         }
//!     }
//!
//!     fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
//!         let door = Door::default();
//!         let mut listener = match reactor.accept(door.endpoint()) {
//!             Ok(listener) => listener,
//!             Err(failure) => return fail(failure),
//!         };
//!         let opening = reactor.open(door.knock(reactor));
//!         reactor.spawn(async move {
//!             let client = opening.await?;
//!             Ok((listener.next().await.expect("one was opened"), client))
//!         })
//!     }
//! }
//!
//! conformance::run(&Memory)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
