//! Strings with their length before them, in 1, 2 or 4 bytes, most significant first.

use super::unconsumed::Unconsumed;
use super::{MAX_STRING, StringProtocol, TooLong};
use crate::failure::Result;
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::io::IoSlice;
use std::marker::PhantomData;

/// A length of one byte before each string.
#[doc(alias = "Int8StringReceiver")]
pub type Int8Receiver<P> = IntReceiver<P, u8>;
/// A length of two bytes before each string.
#[doc(alias = "Int16StringReceiver")]
pub type Int16Receiver<P> = IntReceiver<P, u16>;
/// A length of four bytes before each string.
#[doc(alias = "Int32StringReceiver")]
pub type Int32Receiver<P> = IntReceiver<P, u32>;

/// The protocol around a [`StringProtocol`]: cuts what arrives into strings with a length before them.
///
/// A length over the limit (99 999 bytes) is refused before the string itself arrives.
///
/// ```
/// use ropewalk::framing::{Int16Receiver, StringProtocol, send_int};
/// use ropewalk::{Address, Reactor, Result, Transport};
///
/// struct Echo;
/// impl StringProtocol for Echo {
///     fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
///         Ok(send_int::<u16>(transport, string, 500)?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| Int16Receiver::new(Echo).max_length(500))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct IntReceiver<P, N> {
    protocol: P,
    max_length: usize,
    kept: Unconsumed,
    prefix: PhantomData<N>,
}

/// An integer that a string's length can be written in.
///
/// ```
/// use ropewalk::framing::Prefix;
///
/// assert_eq!(u16::read(&[1, 2, 3]), Some((258, 2)));
/// assert_eq!(u16::read(&[1]), None);
/// assert_eq!(<u8 as Prefix>::LONGEST, 255);
/// ```
pub trait Prefix {
    /// The longest string that has such a prefix.
    const LONGEST: usize;

    /// The number that stands at the start of `data`, and in how many bytes; `None` if it is not all
    /// there.
    fn read(data: &[u8]) -> Option<(usize, usize)>;

    /// The bytes of a number that is no greater than `LONGEST`.
    fn write(number: usize) -> impl AsRef<[u8]>;
}

macro_rules! prefixes {
    ($($integer:ty),*) => {$(
        impl Prefix for $integer {
            const LONGEST: usize = <$integer>::MAX as usize;

            fn read(data: &[u8]) -> Option<(usize, usize)> {
                let bytes = data.first_chunk()?;
                Some((<$integer>::from_be_bytes(*bytes) as usize, bytes.len()))
            }

            fn write(number: usize) -> impl AsRef<[u8]> {
                (number as $integer).to_be_bytes()
            }
        }
    )*};
}

prefixes!(u8, u16, u32);

impl<P: StringProtocol, N: Prefix> IntReceiver<P, N> {
    /// Around a protocol, with the usual limit.
    pub fn new(protocol: P) -> IntReceiver<P, N> {
        IntReceiver {
            protocol,
            max_length: MAX_STRING,
            kept: Unconsumed::default(),
            prefix: PhantomData,
        }
    }

    /// How many bytes a string may have.
    #[doc(alias = "MAX_LENGTH")]
    #[must_use]
    pub fn max_length(mut self, limit: usize) -> IntReceiver<P, N> {
        self.max_length = limit;
        self
    }

    fn deliver(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let IntReceiver { protocol, max_length, kept, .. } = self;
        kept.deliver(transport, data, |rest| {
            let Some((length, start)) = N::read(rest) else { return Ok(0) };
            if length > *max_length {
                protocol.length_limit_exceeded(transport, length)?;
                transport.lose_connection();
                return Ok(rest.len());
            }
            let end = start.saturating_add(length);
            let Some(string) = rest.get(start..end) else { return Ok(0) };
            protocol.string_received(transport, string)?;
            Ok(end)
        })
    }
}

impl<P: StringProtocol, N: Prefix> Protocol for IntReceiver<P, N> {
    cuts_pieces!();
}

/// Sends a string with its length before it, if it is no longer than the limit and the prefix allow.
///
/// ```
/// use ropewalk::framing::{MAX_STRING, send_int};
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Relay;
/// impl Protocol for Relay {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         Ok(send_int::<u32>(transport, data, MAX_STRING)?)
///     }
/// }
/// ```
#[doc(alias = "sendString")]
pub fn send_int<N: Prefix>(
    transport: &Transport,
    string: impl AsRef<[u8]>,
    limit: usize,
) -> Result<(), TooLong> {
    let string = string.as_ref();
    let limit = limit.min(N::LONGEST);
    if string.len() > limit {
        return Err(TooLong { length: string.len(), limit });
    }
    let prefix = N::write(string.len());
    transport.write_vectored(&[IoSlice::new(prefix.as_ref()), IoSlice::new(string)]);
    Ok(())
}
