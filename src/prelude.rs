//! What most programs name: `use ropewalk::prelude::*;`.
//!
//! The core types, and the extension traits of futures' input and output, so that `stream.read`,
//! `stream.read_line`, `stream.write_all` and `listener.next()` are there without a dependency of one's own
//! on `futures-util`. Its `Result` is [`ropewalk::Result`](crate::Result), which is std's with a
//! [`Failure`] unless told otherwise.
//!
//! ```
//! use ropewalk::prelude::*;
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     let port = reactor.serve("127.0.0.1:0", async |mut stream| {
//!         let mut line = String::new();
//!         stream.read_line(&mut line).await?;
//!         stream.write_all(line.to_uppercase().as_bytes()).await?;
//!         Ok(())
//!     })?;
//!     let opening = reactor.open(&port.host());
//!     let answer = reactor.run_until(async move {
//!         let mut stream = opening.await?;
//!         stream.write_all(b"hello\n").await?;
//!         let mut answer = String::new();
//!         stream.read_to_string(&mut answer).await?;
//!         Ok(answer)
//!     })?;
//!     assert_eq!(answer, "HELLO\n");
//!     Ok(())
//! }
//! ```

pub use crate::{
    Address, ClientEndpoint, Connected, Deferred, Factory, Failure, Listener, Port, Protocol,
    Reactor, Result, ServerEndpoint, Stream, Transport,
};
pub use futures_util::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};
pub use futures_util::stream::StreamExt;
