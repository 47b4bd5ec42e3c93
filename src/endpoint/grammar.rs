//! The grammar of descriptions: words, escapes, and an error that points at its place.

use std::fmt;
use std::ops::Range;

/// A description, cut into its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) kind: Word,
    pub(super) arguments: Vec<Argument>,
}

/// A piece of a description without its escapes, and where it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Bytes of the description, on the borders of characters.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) keyword: Option<Word>,
    pub(super) value: Word,
}

impl Description {
    pub(super) fn parse(text: &str) -> Result<Description, EndpointError> {
        let mut arguments = split(text)?.into_iter();
        let Argument { keyword, value: kind } =
            arguments.next().expect("a split text has at least one piece");
        if let Some(keyword) = keyword {
            return Err(EndpointError::new(
                text,
                keyword.at,
                "the type comes first, as in tcp:8080",
            ));
        }
        if kind.text.is_empty() {
            return Err(EndpointError::new(text, kind.at, "a type was expected, as in tcp:8080"));
        }
        Ok(Description { kind, arguments: arguments.collect() })
    }

    /// For types without arguments; their colon may stand there.
    pub(super) fn expect_nothing(&self, text: &str) -> Result<(), EndpointError> {
        match &self.arguments[..] {
            [] => Ok(()),
            [Argument { keyword: None, value }] if value.text.is_empty() => Ok(()),
            [Argument { value, .. }, ..] => {
                Err(EndpointError::new(text, value.at.clone(), "it takes no arguments"))
            }
        }
    }

    /// For types that are known, but not to this build.
    #[cfg(not(all(feature = "tls", feature = "process")))]
    pub(super) fn lacks(&self, text: &str, feature: &str) -> EndpointError {
        let kind = self.kind.text.to_ascii_lowercase();
        let problem = format!("{kind} needs ropewalk's feature `{feature}`, built without it");
        EndpointError::new(text, self.kind.at.clone(), problem)
    }

    pub(super) fn has_keyword(&self, name: &str) -> bool {
        let mut keywords = self.arguments.iter().filter_map(|argument| argument.keyword.as_ref());
        keywords.any(|keyword| keyword.text.eq_ignore_ascii_case(name))
    }

    /// The description that stands in the arguments of this one, `tcp:80` in `haproxy:tcp:80`.
    pub(super) fn into_nested(self, text: &str) -> Result<Description, EndpointError> {
        let mut arguments = self.arguments.into_iter();
        match arguments.next() {
            Some(Argument { keyword: None, value: kind }) if !kind.text.is_empty() => {
                Ok(Description { kind, arguments: arguments.collect() })
            }
            _ => {
                let end = self.kind.at.end;
                let problem = "another description was expected after it, as in haproxy:tcp:80";
                Err(EndpointError::new(text, end..text.len(), problem))
            }
        }
    }
}

/// Cuts at the colons, and each piece at its first equals sign.
fn split(text: &str) -> Result<Vec<Argument>, EndpointError> {
    let mut pieces = Vec::new();
    let mut keyword = None;
    let mut word = Word::default();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ':' => {
                word.at.end = at;
                let value = std::mem::replace(&mut word, Word::starting(at + 1));
                pieces.push(Argument { keyword: keyword.take(), value });
            }
            '=' if keyword.is_none() => {
                word.at.end = at;
                keyword = Some(std::mem::replace(&mut word, Word::starting(at + 1)));
            }
            '\\' => match characters.next() {
                Some((_, escaped)) => word.text.push(escaped),
                None => return Err(EndpointError::new(text, at..at + 1, NOTHING_ESCAPED)),
            },
            other => word.text.push(other),
        }
    }
    word.at.end = text.len();
    pieces.push(Argument { keyword, value: word });
    Ok(pieces)
}

const NOTHING_ESCAPED: &str = "this backslash escapes nothing; write two for one";

impl Word {
    fn starting(at: usize) -> Word {
        Word { text: String::new(), at: at..at }
    }

    /// Parses a description that is this one argument of another, where it stands escaped.
    #[cfg(feature = "tls")]
    pub(super) fn within<T>(
        &self,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, EndpointError>,
    ) -> Result<T, EndpointError> {
        parse(&self.text).map_err(|bad| {
            let at = self.place_of(text, bad.at.start)..self.place_of(text, bad.at.end);
            EndpointError::new(text, at, bad.problem)
        })
    }

    /// Where in the description a place of this word is, in bytes.
    #[cfg(feature = "tls")]
    fn place_of(&self, text: &str, place: usize) -> usize {
        let (mut passed, mut is_escaped) = (0, false);
        for (at, character) in text[self.at.clone()].char_indices() {
            if character == '\\' && !is_escaped {
                is_escaped = true;
                continue;
            }
            if passed >= place {
                // An escaped character begins with its backslash.
                return self.at.start + at - usize::from(is_escaped);
            }
            passed += character.len_utf8();
            is_escaped = false;
        }
        self.at.end
    }
}

/// Escapes a text so that it stands for itself as an argument of a description.
///
/// ```
/// use ropewalk::endpoint::quote;
/// use ropewalk::ServerEndpoint;
///
/// let endpoint = format!("tcp:8080:interface={}", quote("::1"));
/// assert_eq!(endpoint, r"tcp:8080:interface=\:\:1");
/// assert!(endpoint.parse::<ServerEndpoint>().is_ok());
/// ```
#[doc(alias = "quoteStringArgument")]
pub fn quote(argument: &str) -> String {
    let mut quoted = String::with_capacity(argument.len());
    for character in argument.chars() {
        if matches!(character, '\\' | ':' | '=') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// A description that no endpoint can be made of; displayed, it points at the place.
///
/// ```
/// use ropewalk::ServerEndpoint;
///
/// let bad = "tcp:http".parse::<ServerEndpoint>().unwrap_err();
/// assert_eq!(
///     bad.to_string(),
///     "bad endpoint: the port is a number from 0 to 65535\n  tcp:http\n      ^^^^"
/// );
/// assert_eq!(bad.position(), 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    text: String,
    at: Range<usize>,
    problem: String,
}

impl EndpointError {
    pub(super) fn new(text: &str, at: Range<usize>, problem: impl Into<String>) -> EndpointError {
        EndpointError { text: text.to_owned(), at, problem: problem.into() }
    }

    /// What is wrong, or what was expected.
    ///
    /// ```
    /// # use ropewalk::ClientEndpoint;
    /// let bad = "tcp:example.org".parse::<ClientEndpoint>().unwrap_err();
    /// assert_eq!(bad.problem(), "the port is missing");
    /// ```
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Where, in bytes from the start of the description.
    ///
    /// ```
    /// # use ropewalk::ClientEndpoint;
    /// assert_eq!("tcp:example.org:http".parse::<ClientEndpoint>().unwrap_err().position(), 16);
    /// ```
    pub fn position(&self) -> usize {
        self.at.start
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A control character would break the line that the carets stand under.
        let shown: String =
            self.text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let width =
            |range: Range<usize>| self.text.get(range).map_or(0, |text| text.chars().count());
        let before = width(0..self.at.start);
        let carets = "^".repeat(width(self.at.clone()).max(1));
        write!(f, "bad endpoint: {}\n  {shown}\n  {:before$}{carets}", self.problem, "")
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(Option<String>, String)> {
        let texts = |a: Argument| (a.keyword.map(|word| word.text), a.value.text);
        split(text).unwrap().into_iter().map(texts).collect()
    }

    fn positional(text: &str) -> (Option<String>, String) {
        (None, text.into())
    }

    #[test]
    fn colons_separate_and_backslashes_take_the_next_character_as_it_is() {
        assert_eq!(
            words(r"a:b\:c:d\\:\="),
            [positional("a"), positional("b:c"), positional(r"d\"), positional("="),]
        );
    }

    #[test]
    fn only_the_first_equals_sign_of_an_argument_makes_a_keyword() {
        let keyword = |name: &str, value: &str| (Some(name.to_owned()), value.to_owned());
        assert_eq!(words("x:a=b=c:d="), [positional("x"), keyword("a", "b=c"), keyword("d", "")]);
    }

    #[test]
    fn an_empty_argument_is_an_argument() {
        assert_eq!(words("x::"), [positional("x"), positional(""), positional("")]);
    }

    #[test]
    fn a_backslash_at_the_end_is_pointed_at() {
        let bad = split("tcp:é\\").unwrap_err();
        assert!(bad.to_string().ends_with("\n  tcp:é\\\n       ^"), "{bad}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_place_in_an_escaped_description_is_found_in_the_whole() {
        let text = r"t:endpoint=a\:\\\:é";
        let word = &split(text).unwrap()[1].value;
        assert_eq!(word.text, r"a:\:é");
        let shown = |place| &text[word.place_of(text, place)..];
        assert_eq!([0, 1, 2, 4].map(shown), [r"a\:\\\:é", r"\:\\\:é", r"\\\:é", "é"]);
        assert_eq!(word.place_of(text, word.text.len()), text.len());
    }

    #[test]
    fn a_control_character_does_not_move_the_caret() {
        let bad = EndpointError::new("a\n:b", 3..4, "why");
        assert_eq!(bad.to_string(), "bad endpoint: why\n  a\u{fffd}:b\n     ^");
    }

    #[test]
    fn whatever_is_quoted_comes_back_as_one_argument() {
        for text in ["", "::1", r"\", "a=b", r"\:=\\", "é:ü"] {
            assert_eq!(words(&format!("k:{}", quote(text)))[1], positional(text));
        }
    }
}
