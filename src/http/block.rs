// The memory of a message's head: one block of bytes, and where each field lies in it.
//
// # Theory
// A head arrives as bytes and mostly leaves as bytes. So it is kept as it came, request line and
// line ends included, and a field is two spans into it. Parsing a head of twenty fields makes no
// allocation but the block's own two, and none once the block is used again.
//
// # Invariants
// * Bytes are appended, never moved: a span stays true until [`Block::clear`].
// * A name is a token, a value has no CR, LF, NUL nor other control character but the tab. Who pushes
//   a field has looked.
// * No block is longer than `u32::MAX`: the parser's limit and [`Block::append`] see to it.

/// A piece of a block.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub(crate) fn end(self) -> usize {
        self.end as usize
    }

    #[inline]
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }
}

/// One field of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

#[derive(Clone, Default)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<Field>,
}

impl Block {
    /// Puts text at the end; `None` once the block would be too long for its spans.
    pub(crate) fn append(&mut self, text: &[u8]) -> Option<Span> {
        let (start, end) = (self.bytes.len(), self.bytes.len() + text.len());
        u32::try_from(end).ok()?;
        self.bytes.extend_from_slice(text);
        Some(Span::new(start, end))
    }

    /// Forgets the head and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    #[inline]
    pub(crate) fn text(&self, span: Span) -> &str {
        // What is asked for as text was found to be ASCII when it was parsed or pushed.
        str::from_utf8(span.of(&self.bytes)).unwrap_or_default()
    }
}
