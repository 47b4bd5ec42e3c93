// Forms with files in them, part by part as they come.
//
// # Theory
// `parser` finds the parts in the bytes, whatever way they are cut. Here they are pulled from the body: a
// part borrows the form, so that one is read, or left unread, before the next is asked for. What is kept of
// the body is one piece of it, and nothing is ever collected that was not asked for.

mod parser;

pub use parser::PartHead;

use super::body::Body;
use super::reply::Error as Answer;
use super::status::Status;
use crate::failure::Result;
use parser::{Parser, PartEvent, boundary_of};
use std::error::Error;
use std::fmt;

/// How much a form may have; a limit that is met is told with its number.
///
/// ```
/// use ropewalk::http::MultipartLimits;
///
/// let limits = MultipartLimits { parts: 2, ..MultipartLimits::default() };
/// assert_eq!(limits.bytes, 16 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartLimits {
    /// Bytes of the whole body: 16 MiB.
    pub bytes: u64,
    /// Parts: 64.
    pub parts: usize,
    /// Bytes of one part's head: 8 KiB.
    pub head: usize,
}

impl Default for MultipartLimits {
    fn default() -> MultipartLimits {
        MultipartLimits { bytes: 16 << 20, parts: 64, head: 8 << 10 }
    }
}

/// Why a body is not a form, or not one that is taken.
///
/// ```
/// use ropewalk::http::InvalidMultipart;
///
/// let error = InvalidMultipart::TooManyParts(64);
/// assert_eq!(error.to_string(), "a form of more than 64 parts");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidMultipart {
    /// The content type is not `multipart/form-data`, or names no boundary.
    ContentType,
    /// A part's head cannot be read, or has no name of a field.
    Head,
    /// Something else than a line's end stands behind a boundary.
    Boundary,
    /// The body ended within a part.
    CutShort,
    /// More bytes than that.
    TooLong(u64),
    /// More parts than that.
    TooManyParts(usize),
    /// A part's head has more bytes than that.
    HeadTooLong(usize),
}

impl fmt::Display for InvalidMultipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidMultipart::ContentType => {
                f.write_str("the content type is no multipart/form-data with a boundary")
            }
            InvalidMultipart::Head => f.write_str("the head of a form's part cannot be read"),
            InvalidMultipart::Boundary => f.write_str("a boundary of a form ends in no line's end"),
            InvalidMultipart::CutShort => f.write_str("a form ended within a part"),
            InvalidMultipart::TooLong(limit) => write!(f, "a form of more than {limit} bytes"),
            InvalidMultipart::TooManyParts(limit) => write!(f, "a form of more than {limit} parts"),
            InvalidMultipart::HeadTooLong(limit) => {
                write!(f, "the head of a form's part has more than {limit} bytes")
            }
        }
    }
}

impl Error for InvalidMultipart {}

/// A form with files in it, whose parts come one after the other; [`Body::multipart`] gives it.
///
/// ```
/// use ropewalk::http::{MultipartLimits, Request, leaf};
///
/// let upload = leaf(async |request: Request| {
///     let mut form = request.body().multipart(MultipartLimits::default())?;
///     let mut told = String::new();
///     while let Some(mut part) = form.next().await? {
///         let (name, file) = (part.head().name().to_owned(), part.head().file_name().is_some());
///         let mut count = 0;
///         while let Some(chunk) = part.chunk().await? {
///             count += chunk.len(); // or written to where it belongs
///         }
///         told.push_str(&format!("{name}: {count} bytes, a file: {file}\n"));
///     }
///     Ok(told)
/// });
/// # let _ = upload;
/// ```
#[doc(alias = "cgi.parse_multipart")]
pub struct Multipart {
    body: Body,
    parser: Parser,
    /// A piece of the body, of which `at` bytes were looked at.
    piece: Vec<u8>,
    at: usize,
    is_within_part: bool,
}

/// One part of a form.
///
/// See [`Multipart`]. What of it is not read is skipped.
pub struct Part<'a> {
    form: &'a mut Multipart,
    head: PartHead,
}

/// What the parser found, without a borrow of the piece.
enum Step {
    Head(PartHead),
    Content(Vec<u8>),
    End,
    /// The form is over.
    Over,
}

impl Body {
    /// The parts of a form with files in it, as they come.
    ///
    /// Fails with an [`Error`](super::Error) of 415 if the body says that it is something else; other faults
    /// of a form are answered with 400, a limit that is met with 413 ([`InvalidMultipart`] has the sentences).
    pub fn multipart(self, limits: MultipartLimits) -> Result<Multipart> {
        let kind = self.content_type().unwrap_or_default();
        let boundary = boundary_of(&kind).map_err(answer)?;
        if let Some(length) = self.length()
            && length > limits.bytes
        {
            return Err(answer(InvalidMultipart::TooLong(limits.bytes)));
        }
        let parser = Parser::new(&boundary, limits);
        Ok(Multipart { body: self, parser, piece: Vec::new(), at: 0, is_within_part: false })
    }
}

impl Multipart {
    /// The next part; `None` behind the last. What of the part before was not read is skipped.
    #[allow(clippy::should_implement_trait, reason = "it is asynchronous, and lends what it gives")]
    pub async fn next(&mut self) -> Result<Option<Part<'_>>> {
        loop {
            match self.step().await? {
                Step::Head(head) => return Ok(Some(Part { form: self, head })),
                Step::Content(_) | Step::End => {}
                Step::Over => return Ok(None),
            }
        }
    }

    async fn step(&mut self) -> Result<Step> {
        loop {
            let mut input = &self.piece[self.at..];
            let before = input.len();
            let event = self.parser.feed(&mut input).map_err(answer)?;
            self.at += before - input.len();
            match event {
                Some(PartEvent::Head(head)) => {
                    self.is_within_part = true;
                    return Ok(Step::Head(head));
                }
                Some(PartEvent::Content(bytes)) => return Ok(Step::Content(bytes.to_vec())),
                Some(PartEvent::Kept(count)) => {
                    return Ok(Step::Content(self.parser.delimiter()[..count].to_vec()));
                }
                Some(PartEvent::End) => {
                    self.is_within_part = false;
                    return Ok(Step::End);
                }
                None => {}
            }
            match self.body.chunk().await? {
                Some(piece) => (self.piece, self.at) = (piece, 0),
                None => {
                    self.parser.finish().map_err(answer)?;
                    return Ok(Step::Over);
                }
            }
        }
    }
}

impl Part<'_> {
    /// What it says of itself.
    pub fn head(&self) -> &PartHead {
        &self.head
    }

    /// The next bytes of its content, however many; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        if !self.form.is_within_part {
            return Ok(None);
        }
        match self.form.step().await? {
            Step::Content(bytes) => Ok(Some(bytes)),
            Step::End | Step::Head(_) | Step::Over => Ok(None),
        }
    }

    /// All of its content, if that is no more than `limit` bytes; else it fails with an answer of 413.
    pub async fn bytes(mut self, limit: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > limit {
                let name = self.head.name();
                let message = format!("the part {name:?} has more than {limit} bytes");
                return Err(Answer::new(Status::CONTENT_TOO_LARGE, message).into());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// The same as text; what is no UTF-8 is an answer of 400.
    pub async fn text(self, limit: usize) -> Result<String> {
        let text = String::from_utf8(self.bytes(limit).await?);
        Ok(text.map_err(|_| Answer::new(Status::BAD_REQUEST, "a part of the form is not UTF-8"))?)
    }
}

/// A fault of a form as the answer that it gets.
fn answer(fault: InvalidMultipart) -> crate::Failure {
    let status = match fault {
        InvalidMultipart::ContentType => Status::UNSUPPORTED_MEDIA_TYPE,
        InvalidMultipart::TooLong(_) | InvalidMultipart::TooManyParts(_) => {
            Status::CONTENT_TOO_LARGE
        }
        _ => Status::BAD_REQUEST,
    };
    Answer::new(status, fault.to_string()).into()
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").finish_non_exhaustive()
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("head", &self.head).finish_non_exhaustive()
    }
}
