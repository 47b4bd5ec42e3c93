//! Datagrams that wait to be sent together.

use crate::address::Address;

/// Datagrams to one place, of one length but for the last, which may be shorter.
pub(super) struct Gathered {
    /// Of all of them; what was sent already too.
    bytes: Vec<u8>,
    /// No more than there are bytes.
    sent: usize,
    each: usize,
    /// Absent on a connected socket.
    to: Option<Address>,
}

/// So many datagrams go in one train.
const MOST_DATAGRAMS: usize = 64;
/// So many bytes: what IP carries, less its header, the options that it may have, and UDP's header.
const MOST_BYTES: usize = 65_000;

impl Gathered {
    /// A datagram that waits alone.
    pub(super) fn single(data: &[u8], to: Option<&Address>) -> Gathered {
        Gathered { bytes: data.to_vec(), sent: 0, each: data.len(), to: to.cloned() }
    }

    /// A datagram with room for as many others as may join it.
    pub(super) fn first(data: &[u8], to: Option<&Address>) -> Gathered {
        let most = data.len() * (MOST_BYTES / data.len().max(1)).min(MOST_DATAGRAMS);
        let mut bytes = Vec::with_capacity(most);
        bytes.extend_from_slice(data);
        Gathered { bytes, sent: 0, each: data.len(), to: to.cloned() }
    }

    /// Adds a datagram, if it fits behind the others.
    pub(super) fn join(&mut self, data: &[u8], to: Option<&Address>) -> bool {
        // An empty one would vanish.
        let fits = (1..=self.each).contains(&data.len());
        let joins = fits && !self.is_full() && self.to.as_ref() == to;
        if joins {
            self.bytes.extend_from_slice(data);
        }
        joins
    }

    /// Whether no other can join: there are enough, or the last is shorter.
    pub(super) fn is_full(&self) -> bool {
        let length = self.bytes.len();
        self.each == 0
            || !length.is_multiple_of(self.each)
            || length / self.each >= MOST_DATAGRAMS
            || length + self.each > MOST_BYTES
    }

    pub(super) fn each(&self) -> usize {
        self.each
    }

    pub(super) fn to(&self) -> Option<&Address> {
        self.to.as_ref()
    }

    /// What is not sent yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The first that is not sent yet.
    pub(super) fn next(&self) -> &[u8] {
        let rest = self.rest();
        &rest[..self.each.min(rest.len())]
    }

    /// So many bytes were sent, or given up.
    pub(super) fn skip(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
    }

    /// Gives the room back that others might have taken: this one waits for long.
    pub(super) fn advance(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lengths: &[usize]) -> Vec<bool> {
        let mut train = Gathered::first(&vec![0; lengths[0]], None);
        lengths[1..].iter().map(|&length| train.join(&vec![0; length], None)).collect()
    }

    #[test]
    fn a_shorter_datagram_joins_as_the_last_and_a_longer_or_empty_one_does_not() {
        assert_eq!(joined(&[5, 5, 3, 5]), [true, true, false]);
        assert_eq!(joined(&[5, 6, 5, 0, 5]), [false, true, false, true]);
        assert_eq!(joined(&[0, 0, 1]), [false, false]);
    }

    #[test]
    fn a_train_has_64_datagrams_and_what_ip_carries_at_most() {
        let count = |length| joined(&[length; 100]).into_iter().filter(|&joins| joins).count();
        assert_eq!((count(1), count(1000), count(1200)), (63, 63, 53));
        assert_eq!((count(32_500), count(32_501), count(65_507)), (1, 0, 0));
    }

    #[test]
    fn a_datagram_to_elsewhere_does_not_join() {
        let to = |port| Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let mut train = Gathered::first(b"here", Some(&to(1)));
        assert!(!train.join(b"else", Some(&to(2))) && !train.join(b"else", None));
        assert!(train.join(b"here", Some(&to(1))));
    }

    #[test]
    fn what_was_sent_is_gone_piece_by_piece() {
        let mut train = Gathered::single(b"abc", None);
        assert!(train.join(b"def", None) && train.join(b"g", None));
        let mut seen = Vec::new();
        while !train.rest().is_empty() {
            seen.push(train.next().to_vec());
            train.skip(train.next().len());
        }
        assert_eq!(seen, [&b"abc"[..], b"def", b"g"]);
    }
}
