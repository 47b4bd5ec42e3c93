// Parameters of a value: RFC 9110, 5.6.6.

use super::syntax::is_token;

/// Parameters as `name=value` or `name="value"`, split at `;`: those of `Content-Type` and its kin.
///
/// `None` for what is no parameter; a name stands as it was written.
pub(crate) fn parameters(text: &str) -> impl Iterator<Item = Option<(&str, String)>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return None;
        }
        let parameter = parameter(rest);
        rest = parameter.as_ref().map_or("", |(_, _, rest)| rest);
        Some(parameter.map(|(name, value, _)| (name, value)))
    })
}

fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(';').unwrap_or(rest.len());
        let value = rest[..end].trim_ascii_end();
        let is_good = !value.is_empty() && value.bytes().all(is_token);
        return is_good.then(|| (name, value.to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_tokens_or_quoted_and_what_is_neither_is_told() {
        let all: Vec<_> = parameters("; a=b;c=\"d;\\\"e\"; f=").collect();
        let some = |name, value: &str| Some((name, value.to_owned()));
        assert_eq!(all, [some("a", "b"), some("c", "d;\"e"), None]);
        assert_eq!(parameters("; a=\"b").collect::<Vec<_>>(), [None]);
        assert_eq!(parameters(" ; ").count(), 0);
    }
}
