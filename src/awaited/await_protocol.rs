// Async forms of protocols: the defaults of their handlers, and how `Awaited` is a protocol around them.

/// What an async form of a protocol has beside the handler of its bytes: for framings of your own.
///
/// * `await_protocol!(defaults)` stands in the async trait: the handlers of the events that a framing has no
///   part in, with their defaults.
/// * `await_protocol!(P: line_received)` stands in the `impl` of the framing's trait for an
///   [`Awaited`](crate::awaited::Awaited)`<P>`: each of its methods has the handler of its name awaited,
///   this one with what was received.
///
/// ```
/// use ropewalk::awaited::Awaited;
/// use ropewalk::{Address, Protocol, Reactor, Result, Transport, await_protocol, forward_protocol};
///
/// /// The framing's own trait, and the framing: each byte is a key that was pressed.
/// trait KeyProtocol {
///     fn key_pressed(&mut self, transport: &Transport, key: &[u8]) -> Result;
///     forward_protocol!(defaults);
/// }
/// struct Keys<P>(P);
/// impl<P: KeyProtocol> Protocol for Keys<P> {
///     forward_protocol!(self.0: all except data_received, reading_resumed);
///
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         data.chunks(1).try_for_each(|key| self.0.key_pressed(transport, key))
///     }
/// }
///
/// /// Its async form.
/// trait AsyncKeyProtocol {
///     async fn key_pressed(&mut self, transport: &Transport, key: &[u8]) -> Result;
///     await_protocol!(defaults);
/// }
/// impl<P: AsyncKeyProtocol + 'static> KeyProtocol for Awaited<P> {
///     await_protocol!(P: key_pressed);
/// }
///
/// struct Typewriter;
/// impl AsyncKeyProtocol for Typewriter {
///     async fn key_pressed(&mut self, transport: &Transport, key: &[u8]) -> Result {
///         transport.reactor().yield_now().await;
///         transport.write(key);
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| Keys(Awaited::new(Typewriter)))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[macro_export]
macro_rules! await_protocol {
    ($protocol:ident : $received:ident) => {
        fn connection_made(&mut self, transport: &$crate::Transport) {
            self.begin(transport, $protocol::connection_lost, |mut events| async move {
                loop {
                    let event = events.next_event().await;
                    let (protocol, transport, received) = events.parts();
                    let outcome = match event {
                        $crate::awaited::Event::Received => {
                            protocol.$received(transport, received).await
                        }
                        $crate::awaited::Event::Made => protocol.connection_made(transport).await,
                        $crate::awaited::Event::ReadClosed => protocol.read_closed(transport).await,
                        $crate::awaited::Event::WriteClosed => {
                            protocol.write_closed(transport).await
                        }
                        $crate::awaited::Event::Drain => protocol.drain(transport).await,
                        $crate::awaited::Event::Descriptor(descriptor) => {
                            protocol.file_descriptor_received(transport, descriptor).await
                        }
                    };
                    events.done(outcome);
                }
            });
        }

        #[inline]
        fn $received(&mut self, _: &$crate::Transport, received: &[u8]) -> $crate::Result {
            self.receive(received)
        }

        fn connection_lost(&mut self, reason: &$crate::Failure) {
            self.lose(reason);
        }

        fn read_closed(&mut self, transport: &$crate::Transport) {
            self.handle(transport, $crate::awaited::Event::ReadClosed);
        }

        fn write_closed(&mut self, transport: &$crate::Transport) {
            self.handle(transport, $crate::awaited::Event::WriteClosed);
        }

        fn drain(&mut self, transport: &$crate::Transport) {
            self.handle(transport, $crate::awaited::Event::Drain);
        }

        fn file_descriptor_received(
            &mut self,
            transport: &$crate::Transport,
            descriptor: ::std::os::fd::OwnedFd,
        ) {
            self.handle(transport, $crate::awaited::Event::Descriptor(descriptor));
        }

        fn pause_writing(&mut self, _: &$crate::Transport) {
            self.set_full(true);
        }

        fn resume_writing(&mut self, _: &$crate::Transport) {
            self.set_full(false);
        }
    };
    (defaults) => {
        /// The connection is there; what it awaits is awaited before anything is received.
        #[doc(alias = "connectionMade")]
        async fn connection_made(&mut self, transport: &$crate::Transport) -> $crate::Result {
            let _ = transport;
            Ok(())
        }

        /// The peer will send nothing more. The default ends the connection, after what was written.
        #[doc(alias = "readConnectionLost")]
        async fn read_closed(&mut self, transport: &$crate::Transport) -> $crate::Result {
            transport.lose_connection();
            Ok(())
        }

        /// Nothing more can be written: `lose_write_connection` was called, and its time has come.
        #[doc(alias = "writeConnectionLost")]
        async fn write_closed(&mut self, transport: &$crate::Transport) -> $crate::Result {
            let _ = transport;
            Ok(())
        }

        /// The server stops: finish what is under way, and then end the connection. The default does
        /// nothing. It waits for its turn as every event does.
        async fn drain(&mut self, transport: &$crate::Transport) -> $crate::Result {
            let _ = transport;
            Ok(())
        }

        /// A descriptor came through a Unix socket, with what is received next. The default closes it.
        #[doc(alias = "fileDescriptorReceived")]
        async fn file_descriptor_received(
            &mut self,
            transport: &$crate::Transport,
            descriptor: ::std::os::fd::OwnedFd,
        ) -> $crate::Result {
            let _ = (transport, descriptor);
            Ok(())
        }

        /// The connection has ended; see `Protocol::connection_lost`. A handler that waited is dropped.
        #[doc(alias = "connectionLost")]
        fn connection_lost(&mut self, reason: &$crate::Failure) {
            let _ = reason;
        }
    };
}
