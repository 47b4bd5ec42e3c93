// Digest: a hash of the password with what the server chose for this once. RFC 7616.
//
// # Theory
// ```text
//   A1 = name ":" realm ":" password        A2 = method ":" target
//   response = H( H(A1) ":" nonce ":" nc ":" cnonce ":" "auth" ":" H(A2) )
// ```
// Only `qop=auth` is spoken: without it (RFC 2069) a response can be replayed, and `auth-int` wants the
// whole body first. MD5 is answered, since much of what is installed knows nothing else, but SHA-256 is
// offered first. A nonce is the time it was made and a keyed hash of it, so that the server keeps
// nothing; how old it may be is the server's choice.

use crate::http::parameters::parameters;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn of(name: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|it| name.eq_ignore_ascii_case(it.name()))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hexadecimal(&md5::compute(text).0),
            Algorithm::Sha256 => hexadecimal(&hmac_sha256::Hash::hash(text.as_bytes())),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a server asks with: `WWW-Authenticate`, or a proxy's field.
pub(crate) struct Challenge {
    pub(crate) realm: String,
    pub(crate) nonce: String,
    #[cfg(test)]
    pub(crate) opaque: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) is_stale: bool,
}

impl Challenge {
    pub(crate) fn text(&self) -> String {
        let Challenge { realm, nonce, algorithm, .. } = self;
        let stale = if self.is_stale { ", stale=true" } else { "" };
        let (realm, algorithm) = (quoted(realm), algorithm.name());
        format!(
            "Digest realm={realm}, qop=\"auth\", algorithm={algorithm}, nonce=\"{nonce}\"{stale}"
        )
    }

    // What a client does, for as long as only tests are one.

    /// Reads what follows `Digest `; `None` for one that asks for what is not spoken here.
    #[cfg(test)]
    pub(crate) fn read(rest: &str) -> Option<Challenge> {
        let (mut realm, mut nonce, mut opaque) = (None, None, None);
        let (mut algorithm, mut is_stale, mut has_auth) = (Algorithm::Md5, false, false);
        for (key, value) in fields(rest)? {
            match key.as_str() {
                "realm" => realm = Some(value),
                "nonce" => nonce = Some(value),
                "opaque" => opaque = Some(value),
                "algorithm" => algorithm = Algorithm::of(&value)?,
                "stale" => is_stale = value.eq_ignore_ascii_case("true"),
                "qop" => has_auth = value.split(',').any(|it| it.trim() == "auth"),
                _ => {}
            }
        }
        let (realm, nonce) = (realm?, nonce?);
        has_auth.then_some(Challenge { realm, nonce, opaque, algorithm, is_stale })
    }

    /// What a client answers with in `Authorization`.
    #[cfg(test)]
    pub(crate) fn answer(
        &self,
        (name, password): (&str, &str),
        (method, target): (&str, &str),
        count: u32,
        cnonce: &str,
    ) -> String {
        let Challenge { realm, nonce, algorithm, opaque, .. } = self;
        let response = DigestResponse {
            name: name.into(),
            realm: realm.clone(),
            nonce: nonce.clone(),
            target: target.into(),
            count: format!("{count:08x}"),
            cnonce: cnonce.into(),
            algorithm: *algorithm,
            response: String::new(),
        };
        let hash = response.expected(password, method);
        let (name, realm) = (quoted(name), quoted(realm));
        let opaque = opaque.as_ref().map(|it| format!(", opaque={}", quoted(it)));
        format!(
            "Digest username={name}, realm={realm}, uri={}, algorithm={}, nonce={}, nc={}, \
             cnonce={}, qop=auth, response=\"{hash}\"{}",
            quoted(target),
            algorithm.name(),
            quoted(nonce),
            response.count,
            quoted(cnonce),
            opaque.unwrap_or_default(),
        )
    }
}

/// What a client answered.
pub(crate) struct DigestResponse {
    pub(crate) name: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) target: String,
    count: String,
    cnonce: String,
    pub(crate) algorithm: Algorithm,
    response: String,
}

impl DigestResponse {
    pub(super) fn read(rest: &str) -> Option<DigestResponse> {
        let fields = fields(rest)?;
        let of = |name: &str| {
            let mut named = fields.iter().filter(|(key, _)| key == name);
            let (_, value) = named.next()?;
            // Twice is once too often: two readers could take different ones.
            named.next().is_none().then(|| value.clone())
        };
        if of("qop")? != "auth" {
            return None;
        }
        Some(DigestResponse {
            name: of("username")?,
            realm: of("realm")?,
            nonce: of("nonce")?,
            target: of("uri")?,
            count: of("nc")?,
            cnonce: of("cnonce")?,
            algorithm: of("algorithm").map_or(Some(Algorithm::Md5), |it| Algorithm::of(&it))?,
            response: of("response")?,
        })
    }

    /// How many requests the client says to have made with this nonce.
    pub(crate) fn count(&self) -> Option<u32> {
        let is_count = self.count.len() == 8 && self.count.bytes().all(|it| it.is_ascii_hexdigit());
        is_count.then(|| u32::from_str_radix(&self.count, 16).ok()).flatten()
    }

    /// Whether it was made with a password, for a request of this method.
    pub(crate) fn is_by(&self, password: &str, method: &str) -> bool {
        let expected = self.expected(password, method);
        super::is_same_secret(expected.as_bytes(), self.response.to_ascii_lowercase().as_bytes())
    }

    fn expected(&self, password: &str, method: &str) -> String {
        let DigestResponse { name, realm, nonce, target, count, cnonce, .. } = self;
        let hash = |text: String| self.algorithm.hash(&text);
        let (a1, a2) =
            (hash(format!("{name}:{realm}:{password}")), hash(format!("{method}:{target}")));
        hash(format!("{a1}:{nonce}:{count}:{cnonce}:auth:{a2}"))
    }
}

/// Names in small letters, and values; `None` if one of them is none.
fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    for element in crate::http::list::elements(text.as_bytes()) {
        for parameter in parameters(str::from_utf8(element).ok()?) {
            let (name, value) = parameter?;
            fields.push((name.to_ascii_lowercase(), value));
        }
    }
    Some(fields)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A nonce that says when it was made and that its server made it.
pub(crate) fn nonce(secret: &[u8], seconds: u64) -> String {
    let proof = hmac_sha256::HMAC::mac(seconds.to_be_bytes(), secret);
    format!("{seconds:x}-{}", hexadecimal(&proof))
}

/// When a nonce was made, in seconds, if its server made it.
pub(crate) fn made_at(secret: &[u8], text: &str) -> Option<u64> {
    let seconds = u64::from_str_radix(text.split_once('-')?.0, 16).ok()?;
    super::is_same_secret(nonce(secret, seconds).as_bytes(), text.as_bytes()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(algorithm: &str) -> Challenge {
        let text = format!(
            "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        Challenge::read(&text).unwrap()
    }

    /// RFC 7616, 3.9.1.
    #[test]
    fn the_answers_of_the_rfc_are_ours() {
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let answer = challenge(algorithm).answer(
                ("Mufasa", "Circle of Life"),
                ("GET", "/dir/index.html"),
                1,
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            );
            assert!(answer.contains(&format!("response=\"{expected}\"")), "{answer}");
            let response = DigestResponse::read(answer.strip_prefix("Digest ").unwrap()).unwrap();
            assert!(response.is_by("Circle of Life", "GET"));
            assert!(!response.is_by("Circle of Life", "POST"));
            assert!(!response.is_by("circle of life", "GET"));
            assert_eq!(response.count(), Some(1));
        }
    }

    #[test]
    fn what_is_not_spoken_or_said_twice_is_no_response() {
        for (from, to) in [
            ("qop=auth,", "qop=auth-int,"),
            ("qop=auth, ", ""),
            ("algorithm=MD5", "algorithm=SHA-512"),
            ("nc=00000001", "nc=00000001, nc=00000002"),
            ("uri=\"/\"", "uri=\"/\", uri=\"/b\""),
            ("uri=\"/\"", "uri=\"/"),
        ] {
            let answer = challenge("MD5").answer(("a", "b"), ("GET", "/"), 1, "c");
            let broken = answer.replace(from, to);
            assert_ne!(answer, broken);
            assert!(
                DigestResponse::read(broken.strip_prefix("Digest ").unwrap()).is_none(),
                "{to}"
            );
        }
    }

    #[test]
    fn a_nonce_is_known_by_its_server_only() {
        let text = nonce(b"secret", 1234);
        assert_eq!(made_at(b"secret", &text), Some(1234));
        assert_eq!(made_at(b"another", &text), None);
        for wrong in ["", "-", "4d2", "4d2-", &text.replace("4d2-", "4d3-"), &text[..20]] {
            assert_eq!(made_at(b"secret", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_challenge_is_read_as_it_is_written() {
        let text =
            Challenge { is_stale: true, realm: "a \"b\"".into(), ..challenge("SHA-256") }.text();
        let read = Challenge::read(text.strip_prefix("Digest ").unwrap()).unwrap();
        assert_eq!(
            (&*read.realm, read.is_stale, read.algorithm),
            ("a \"b\"", true, Algorithm::Sha256)
        );
        assert!(Challenge::read("realm=x, nonce=y").is_none());
    }
}
