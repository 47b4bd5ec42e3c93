// Who asks: RFC 7617 (Basic), 6750 (Bearer), 7616 (Digest).
//
// # Theory
// A scheme's credentials are read here and its answers computed, for both roles; who is let in is
// asked of the application. Nothing here is shown by `Debug`.

mod digest;

pub(crate) use digest::{Algorithm, Challenge, DigestResponse, made_at, nonce};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands in `Authorization`, by its scheme.
pub(crate) enum Credentials<'a> {
    Basic { name: String, password: String },
    Bearer(&'a str),
    Digest(DigestResponse),
}

impl<'a> Credentials<'a> {
    /// `None` for what cannot be read, or is of another scheme.
    pub(crate) fn read(value: &'a [u8]) -> Option<Credentials<'a>> {
        let (scheme, rest) = str::from_utf8(value).ok()?.split_once(' ')?;
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case("basic") {
            let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            let (name, password) = text.split_once(':')?;
            return Some(Credentials::Basic { name: name.into(), password: password.into() });
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return (!rest.is_empty()).then_some(Credentials::Bearer(rest));
        }
        let is_digest = scheme.eq_ignore_ascii_case("digest");
        is_digest.then(|| DigestResponse::read(rest)).flatten().map(Credentials::Digest)
    }
}

/// What a client says of itself with `Basic`.
#[cfg(test)]
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn is_same_secret(a: &[u8], b: &[u8]) -> bool {
    // Digests are compared, so that neither the length nor a common beginning shows.
    let key = b"a comparison";
    let (a, b) = (hmac_sha256::HMAC::mac(a, key), hmac_sha256::HMAC::mac(b, key));
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_read_as_it_is_written_and_a_password_may_have_colons() {
        let value = basic("Aladdin", "open:sesame");
        let Some(Credentials::Basic { name, password }) = Credentials::read(value.as_bytes())
        else {
            panic!("{value}");
        };
        assert_eq!((&*name, &*password), ("Aladdin", "open:sesame"));
        for value in ["Basic", "Basic !", "Basic bm9jb2xvbg==", "Basic //8=", "Other eA==", ""] {
            assert!(Credentials::read(value.as_bytes()).is_none(), "{value}");
        }
        assert!(matches!(Credentials::read(b"bearer a.b"), Some(Credentials::Bearer("a.b"))));
    }

    #[test]
    fn secrets_are_the_same_only_if_all_of_them_is() {
        assert!(is_same_secret(b"secret", b"secret") && is_same_secret(b"", b""));
        for other in ["secre", "secrets", "Secret", ""] {
            assert!(!is_same_secret(b"secret", other.as_bytes()), "{other}");
        }
    }
}
