// Forms with files in them: RFC 7578 on RFC 2046, 5.1, as bytes.
//
// # Theory
// A part ends where CR LF `--` and the boundary stand, wherever the pieces that come are cut. So the
// last bytes of a piece that may begin such a line are kept until more came; they are fewer than the
// line is long. Everything else of a part's content is handed on as it came, without a copy.
//
// ```text
//              1 delimiter                   2 blank line               3 delimiter
//   preamble ─────────────► head of a part ──────────────► its content ─────────────► head …
//                 │                                              │
//                 └───────────────► epilogue ◄───────────────────┘  4 delimiter with `--`
// ```
//
// What is before the first delimiter and behind the last counts for nothing, but is counted: all bytes
// of a body are of its sender's choosing. A delimiter at the very beginning has no CR LF before it, so
// the parser behaves as if it had seen one.

use super::{InvalidMultipart, MultipartLimits};
use crate::http::Headers;
use crate::http::parameters::parameters;
use crate::http::syntax::is_token;

/// What a part says of itself; [`Part::head`](super::Part::head) gives it.
#[derive(Clone, Debug)]
pub struct PartHead {
    name: String,
    file_name: Option<String>,
    headers: Headers,
}

impl PartHead {
    /// The name of its field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that its file has on the sender's machine, without folders; never a path to write to.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// What it says its content is.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.text("content-type")
    }

    /// All fields of its head.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    fn read(head: &[u8]) -> Option<PartHead> {
        let mut headers = Headers::new();
        for line in head.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = str::from_utf8(&line[..colon]).ok()?;
            headers.append(name, line[colon + 1..].trim_ascii()).ok()?;
        }
        let (mut name, mut file_name) = (None, None);
        let disposition = headers.text("content-disposition")?;
        let (kind, rest) = disposition.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return None;
        }
        // Browsers escape a quote as %22 and nothing with a backslash, so a folder's separator of
        // another system stays: RFC 7578, 4.2, and HTML's multipart encoding.
        for parameter in parameters(rest) {
            match parameter? {
                (key, value) if key.eq_ignore_ascii_case("name") => name = Some(value),
                (key, value) if key.eq_ignore_ascii_case("filename") => file_name = Some(value),
                _ => {}
            }
        }
        let file_name = file_name.map(|path| {
            let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
            name.to_owned()
        });
        Some(PartHead { name: name?, file_name, headers })
    }
}

/// The boundary that a content type names: RFC 2046, 5.1.1.
pub(crate) fn boundary_of(content_type: &str) -> Result<String, InvalidMultipart> {
    let (kind, rest) = content_type.split_once(';').ok_or(InvalidMultipart::ContentType)?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(InvalidMultipart::ContentType);
    }
    let named = parameters(rest).flatten().find(|(key, _)| key.eq_ignore_ascii_case("boundary"));
    let boundary = named.map(|(_, value)| value).ok_or(InvalidMultipart::ContentType)?;
    let may_stand = |byte: u8| is_token(byte) || b"(),/:=? ".contains(&byte);
    let is_good = (1..=70).contains(&boundary.len())
        && boundary.bytes().all(may_stand)
        && !boundary.ends_with(' ');
    if is_good { Ok(boundary) } else { Err(InvalidMultipart::ContentType) }
}

/// What was found next.
#[derive(Debug)]
pub(crate) enum PartEvent<'i> {
    Head(PartHead),
    /// Some of the content of the part that was begun last.
    Content(&'i [u8]),
    /// That many bytes of content which were kept back: the beginning of the delimiter.
    Kept(usize),
    /// The part is whole.
    End,
}

/// Finds the parts in a body that comes in pieces.
#[derive(Debug)]
pub(crate) struct Parser {
    /// CR LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// How many bytes of the delimiter stand at the end of what came.
    matched: usize,
    state: State,
    head: Vec<u8>,
    bytes: u64,
    parts: usize,
    limits: MultipartLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a delimiter, with what of `--` or of a line's end has come.
    Behind(u8),
    Head,
    Content,
    Epilogue,
}

impl Parser {
    pub(crate) fn new(boundary: &str, limits: MultipartLimits) -> Parser {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let state = State::Preamble;
        // As if a line's end stood before the body.
        Parser { delimiter, matched: 2, state, head: Vec::new(), bytes: 0, parts: 0, limits }
    }

    /// The bytes of the delimiter, for [`PartEvent::Kept`].
    pub(crate) fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// Takes from the front of `input` until something is found; `None` asks for more.
    pub(crate) fn feed<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<PartEvent<'i>>, InvalidMultipart> {
        while !input.is_empty() {
            let event = match self.state {
                State::Preamble | State::Content => self.seek(input)?,
                State::Behind(seen) => {
                    let byte = self.take_byte(input)?;
                    self.state = self.behind(seen, byte)?;
                    None
                }
                State::Head => self.take_head(input)?,
                State::Epilogue => {
                    let count = input.len();
                    self.take(input, count)?;
                    None
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The body ended.
    pub(crate) fn finish(&self) -> Result<(), InvalidMultipart> {
        match self.state {
            State::Epilogue => Ok(()),
            _ => Err(InvalidMultipart::CutShort),
        }
    }

    fn take<'i>(
        &mut self,
        input: &mut &'i [u8],
        count: usize,
    ) -> Result<&'i [u8], InvalidMultipart> {
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.bytes += count as u64;
        match self.bytes > self.limits.bytes {
            true => Err(InvalidMultipart::TooLong(self.limits.bytes)),
            false => Ok(taken),
        }
    }

    fn take_byte(&mut self, input: &mut &[u8]) -> Result<u8, InvalidMultipart> {
        self.take(input, 1).map(|taken| taken[0])
    }

    /// Goes on to the delimiter, and hands on what is content.
    fn seek<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<PartEvent<'i>>, InvalidMultipart> {
        if self.matched == 0 {
            // CR stands in a delimiter at its beginning only, so nothing before one can belong to it.
            let end = input.iter().position(|&byte| byte == b'\r').unwrap_or(input.len());
            if end > 0 {
                let content = self.take(input, end)?;
                return Ok(self.content(PartEvent::Content(content)));
            }
        }
        if input[0] != self.delimiter[self.matched] {
            let kept = std::mem::take(&mut self.matched);
            return Ok(self.content(PartEvent::Kept(kept)));
        }
        self.take(input, 1)?;
        self.matched += 1;
        if self.matched < self.delimiter.len() {
            return Ok(None);
        }
        self.matched = 0;
        let was_content = self.state == State::Content; // 3
        self.state = State::Behind(0); // 1
        Ok(was_content.then_some(PartEvent::End))
    }

    fn content<'i>(&self, event: PartEvent<'i>) -> Option<PartEvent<'i>> {
        (self.state == State::Content).then_some(event)
    }

    /// What follows a delimiter: blanks and a line's end, or two hyphens.
    fn behind(&mut self, seen: u8, byte: u8) -> Result<State, InvalidMultipart> {
        match (seen, byte) {
            (0, b'-') => Ok(State::Behind(b'-')),
            (b'-', b'-') => Ok(State::Epilogue), // 4
            (0 | b' ', b' ' | b'\t') => Ok(State::Behind(b' ')),
            (0 | b' ', b'\r') => Ok(State::Behind(b'\r')),
            (b'\r', b'\n') => {
                self.parts += 1;
                if self.parts > self.limits.parts {
                    return Err(InvalidMultipart::TooManyParts(self.limits.parts));
                }
                Ok(State::Head)
            }
            _ => Err(InvalidMultipart::Boundary),
        }
    }

    fn take_head(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<PartEvent<'static>>, InvalidMultipart> {
        while !input.is_empty() {
            let end = input.iter().position(|&byte| byte == b'\n').map_or(input.len(), |at| at + 1);
            let room = self.limits.head.saturating_sub(self.head.len());
            if end > room {
                return Err(InvalidMultipart::HeadTooLong(self.limits.head));
            }
            let line = self.take(input, end)?;
            self.head.extend_from_slice(line);
            if self.head == b"\r\n" || self.head.ends_with(b"\r\n\r\n") {
                self.state = State::Content; // 2
                let head = PartHead::read(&self.head);
                self.head.clear();
                return head.map(|head| Some(PartEvent::Head(head))).ok_or(InvalidMultipart::Head);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\
        one\r\n\r\n-two\r\n--\r\n--b \r\ncontent-disposition: form-data; name=f; \
        filename=\"C:\\\\x\\\\../y.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b--epilogue\r\n--b\r\n";

    fn told(pieces: &[&[u8]], limits: MultipartLimits) -> Result<Vec<String>, InvalidMultipart> {
        let mut parser = Parser::new("b", limits);
        let (mut told, mut content) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = parser.feed(&mut input)? {
                match event {
                    PartEvent::Head(head) => {
                        told.push(format!("{} {:?}", head.name(), head.file_name()));
                    }
                    PartEvent::Content(bytes) => content.extend_from_slice(bytes),
                    PartEvent::Kept(count) => content.extend(&parser.delimiter()[..count]),
                    PartEvent::End => told.push(String::from_utf8(content.split_off(0)).unwrap()),
                }
            }
        }
        parser.finish().map(|()| told)
    }

    #[test]
    fn parts_are_found_in_every_split() {
        let expected = ["a None", "one\r\n\r\n-two\r\n--", "f Some(\"y.txt\")", ""];
        let form = FORM.as_bytes();
        for first in 0..=form.len() {
            for second in first..=form.len() {
                let pieces = [&form[..first], &form[first..second], &form[second..]];
                let told = told(&pieces, MultipartLimits::default());
                assert_eq!(told.unwrap(), expected, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = form.chunks(1).collect();
        assert_eq!(told(&bytes, MultipartLimits::default()).unwrap(), expected);
    }

    #[test]
    fn a_form_that_is_none_or_too_much_is_told_by_its_fault() {
        let start = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        let small = MultipartLimits { bytes: 1000, parts: 2, head: 60 };
        for (body, expected) in [
            (String::new(), InvalidMultipart::CutShort),
            (format!("{start}x"), InvalidMultipart::CutShort),
            (format!("{start}x\r\n--b"), InvalidMultipart::CutShort),
            (format!("{start}x\r\n--bc\r\n"), InvalidMultipart::Boundary),
            ("--b\r\nX: y\r\n\r\n".into(), InvalidMultipart::Head),
            ("--b\r\n\r\n".into(), InvalidMultipart::Head),
            ("--b\r\nno field\r\n\r\n".into(), InvalidMultipart::Head),
            (
                "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n".into(),
                InvalidMultipart::Head,
            ),
            (format!("--b\r\nX: {}", "y".repeat(60)), InvalidMultipart::HeadTooLong(60)),
            (format!("{start}\r\n{start}\r\n{start}"), InvalidMultipart::TooManyParts(2)),
            (format!("{start}{}", "x".repeat(1000)), InvalidMultipart::TooLong(1000)),
            ("x".repeat(1001), InvalidMultipart::TooLong(1000)),
            (format!("--b--{}", "x".repeat(1001)), InvalidMultipart::TooLong(1000)),
        ] {
            assert_eq!(told(&[body.as_bytes()], small.clone()), Err(expected), "{body:?}");
            let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
            assert_eq!(told(&bytes, small.clone()), Err(expected), "{body:?}");
        }
    }

    #[test]
    fn a_boundary_is_read_as_the_rfc_has_it() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for (content_type, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=x; BOUNDARY=\"a b:c\"", Some("a b:c")),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=abc", None),
            (&long, None),
        ] {
            assert_eq!(boundary_of(content_type).ok().as_deref(), expected, "{content_type}");
        }
    }
}
