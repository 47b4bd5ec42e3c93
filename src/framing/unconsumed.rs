// What came and was not delivered: the unfinished last piece, and whole ones while reading is paused.
//
// # Invariants
// * What came before TLS is not delivered after its start: somebody on the way may have written it, to
//   be taken for the peer's.

use super::broken;
use crate::failure::Result;
use crate::transport::Transport;

/// Bytes that a framing has received and not delivered: the joint for a framing of one's own.
///
/// It offers them piece by piece, no longer than the connection wants bytes, keeps what is unfinished,
/// refuses what came before a start of TLS, and says when the peer's end is due.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::framing::Unconsumed;
/// use ropewalk::{Protocol, Result, Transport, forward_protocol};
///
/// /// Cuts records of four bytes, each of which is one `data_received` of the protocol inside.
/// struct Records<P> {
///     inner: P,
///     kept: Unconsumed,
/// }
///
/// impl<P: Protocol> Records<P> {
///     fn deliver(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         let Records { inner, kept } = self;
///         kept.deliver(transport, data, |rest| {
///             let Some(record) = rest.get(..4) else { return Ok(0) };
///             inner.data_received(transport, record)?;
///             Ok(4)
///         })
///     }
/// }
///
/// impl<P: Protocol> Protocol for Records<P> {
///     forward_protocol!(self.inner: all except data_received, reading_resumed, read_closed);
///
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         self.deliver(transport, data)
///     }
///
///     fn reading_resumed(&mut self, transport: &Transport) -> Result {
///         self.deliver(transport, &[])?;
///         if self.kept.may_tell_end(transport) {
///             self.inner.read_closed(transport);
///         }
///         Ok(())
///     }
///
///     fn read_closed(&mut self, transport: &Transport) {
///         self.kept.note_end();
///         if self.kept.may_tell_end(transport) {
///             self.inner.read_closed(transport);
///         }
///     }
/// }
///
/// # use ropewalk::simulation::RecordingTransport;
/// # #[derive(Default)]
/// # struct Count(usize);
/// # impl Protocol for Count {
/// #     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
/// #         assert_eq!(data.len(), 4);
/// #         self.0 += 1;
/// #         Ok(())
/// #     }
/// # }
/// let mut records = Records { inner: Count(0), kept: Unconsumed::default() };
/// let recording = RecordingTransport::new();
/// records.data_received(&recording.transport(), b"onetw")?;
/// records.data_received(&recording.transport(), b"o thr")?;
/// assert_eq!(records.inner.0, 2);
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug, Default)]
pub struct Unconsumed {
    /// Without memory of its own when nothing is kept.
    bytes: Vec<u8>,
    /// The transport's upgrade epoch when they came.
    epoch: u8,
    /// The peer's half has ended, and the protocol was not told.
    has_ended: bool,
}

impl Unconsumed {
    /// Offers what is kept and `data` after it to `step`, again and again while the connection wants
    /// bytes. `step` says how many it used up; 0 waits for more of them. An error of its is the outcome.
    pub fn deliver(
        &mut self,
        transport: &Transport,
        data: &[u8],
        step: impl FnMut(&[u8]) -> Result<usize>,
    ) -> Result {
        let epoch = transport.upgrade_epoch();
        if self.bytes.is_empty() {
            self.epoch = epoch;
            let used = offer(transport, data, step)?;
            self.bytes = data[used..].to_vec();
            return Ok(());
        }
        if self.epoch != epoch {
            return Err(broken(transport, in_the_clear(self.bytes.len())));
        }
        self.bytes.extend_from_slice(data);
        let mut bytes = std::mem::take(&mut self.bytes);
        let used = offer(transport, &bytes, step)?;
        if used < bytes.len() {
            bytes.drain(..used);
            self.bytes = bytes;
        }
        Ok(())
    }

    /// The peer's half has ended: call it in `read_closed`.
    pub fn note_end(&mut self) {
        self.has_ended = true;
    }

    /// Whether the peer's end is the next thing to tell; true once.
    pub fn may_tell_end(&mut self, transport: &Transport) -> bool {
        // While bytes are wanted, all that is kept is a piece that will stay unfinished.
        let may = self.has_ended && (transport.is_reading() || self.bytes.is_empty());
        self.has_ended &= !may;
        may
    }
}

/// What is wrong with bytes that came before the layer that they seem to come from.
fn in_the_clear(count: usize) -> String {
    format!("{count} bytes came in the clear behind the start of TLS")
}

fn offer(
    transport: &Transport,
    data: &[u8],
    mut step: impl FnMut(&[u8]) -> Result<usize>,
) -> Result<usize> {
    let mut used = 0;
    let epoch = transport.upgrade_epoch();
    while used < data.len() && transport.is_reading() {
        match step(&data[used..])? {
            0 => break,
            count => used += count,
        }
        if used < data.len() && transport.upgrade_epoch() != epoch {
            return Err(broken(transport, in_the_clear(data.len() - used)));
        }
    }
    Ok(used)
}
