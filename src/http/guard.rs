// Who is let in: a resource around another that asks for a name and a password, or for a token.
//
// # Theory
// The scheme's part, reading what was sent and computing what should have been, stands in
// `authentication`; whom to let in is asked of the application, which may look it up. Whoever is not let
// in gets 401 with the challenge, and nothing of the body behind the request is looked at.
//
// Digest keeps nothing of a peer: a nonce is its time and a keyed hash of it. It is good for five
// minutes, and then told to be stale, so that browsers do not ask their user again.

use super::authentication::{Algorithm, Challenge, Credentials, DigestResponse, made_at, nonce};
use super::reply::Reply;
use super::request::Request;
use super::resource::Resource;
use super::response::Response;
use super::status::Status;
use crate::deferred::Deferred;
use crate::failure::Result;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// A resource for those alone who say who they are: HTTP's Basic, Digest (RFC 7616) and Bearer (RFC 6750).
///
/// Who was let in stands in the request's [`context`](Request::context) as a [`User`]. Basic and Bearer
/// send secrets as they are: use them over TLS. Digest hides the password from who listens, and no more.
///
/// ```
/// use ropewalk::http::{Files, Guard, Request, Site, User, leaf};
///
/// let diary = leaf(|request: &Request| {
///     Ok(request.context::<User>().map(|user| format!("the diary of {}", user.name())))
/// });
/// let site = Site::new(Guard::basic("diaries", |name, password| {
///     (name, password) == ("ann", "sesame") // or a Deferred of a bool, from a database
/// }, diary));
///
/// let tokens = Guard::bearer("api", |token| token == "a1b2c3", Files::new("src")?);
/// let digest = Guard::digest("files", |name| (name == "ann").then(|| "sesame".to_owned()), tokens);
/// # let _ = (site, digest);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "HTTPAuthSessionWrapper")]
#[doc(alias = "BasicCredentialFactory")]
#[doc(alias = "DigestCredentialFactory")]
#[derive(Clone)]
pub struct Guard(Rc<Inner>);

struct Inner {
    realm: String,
    scheme: Scheme,
    inner: Rc<dyn Resource>,
}

type Check = Box<dyn Fn(&str, &str) -> Verdict>;
type Password = Box<dyn Fn(&str) -> Option<String>>;

enum Scheme {
    Basic(Check),
    Bearer(Box<dyn Fn(&str) -> Verdict>),
    Digest {
        password: Password,
        /// Drawn when it is first needed: in a simulation by the seed.
        secret: OnceCell<[u8; 16]>,
    },
}

/// Who was let in by a [`Guard`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(String);

impl User {
    /// The name; empty with a token.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Whether somebody is let in, now or later: a `bool`, or a Deferred of one.
///
/// ```
/// use ropewalk::http::Verdict;
///
/// assert!(matches!(Verdict::from(true), Verdict::Now(true)));
/// assert!(matches!(Verdict::from(ropewalk::succeed(false)), Verdict::Later(_)));
/// ```
#[derive(Debug)]
pub enum Verdict {
    /// That is known.
    Now(bool),
    /// That has to be looked up; if it fails, the answer is 500 and a report.
    Later(Deferred<bool>),
}

impl From<bool> for Verdict {
    fn from(is_let_in: bool) -> Verdict {
        Verdict::Now(is_let_in)
    }
}

impl From<Deferred<bool>> for Verdict {
    fn from(is_let_in: Deferred<bool>) -> Verdict {
        Verdict::Later(is_let_in)
    }
}

/// So long a nonce is good for.
const FRESH: Duration = Duration::from_secs(300);

impl Guard {
    /// Asks for a name and a password, which `check` is asked about.
    pub fn basic<V: Into<Verdict>>(
        realm: impl Into<String>,
        check: impl Fn(&str, &str) -> V + 'static,
        inner: impl Resource + 'static,
    ) -> Guard {
        let check = move |name: &str, password: &str| check(name, password).into();
        Guard::new(realm, Scheme::Basic(Box::new(check)), inner)
    }

    /// Asks for a token, which `check` is asked about.
    pub fn bearer<V: Into<Verdict>>(
        realm: impl Into<String>,
        check: impl Fn(&str) -> V + 'static,
        inner: impl Resource + 'static,
    ) -> Guard {
        Guard::new(realm, Scheme::Bearer(Box::new(move |token| check(token).into())), inner)
    }

    /// Asks for a proof that the password of a name is known, which `password` gives.
    pub fn digest(
        realm: impl Into<String>,
        password: impl Fn(&str) -> Option<String> + 'static,
        inner: impl Resource + 'static,
    ) -> Guard {
        let scheme = Scheme::Digest { password: Box::new(password), secret: OnceCell::new() };
        Guard::new(realm, scheme, inner)
    }

    fn new(realm: impl Into<String>, scheme: Scheme, inner: impl Resource + 'static) -> Guard {
        Guard(Rc::new(Inner { realm: realm.into(), scheme, inner: Rc::new(inner) }))
    }

    fn judge(&self, request: &Request) -> Result<Reply> {
        let credentials = request.headers().get("authorization").and_then(Credentials::read);
        match (&self.0.scheme, credentials) {
            (Scheme::Basic(check), Some(Credentials::Basic { name, password })) => {
                self.follow(request, check(&name, &password), name)
            }
            (Scheme::Bearer(check), Some(Credentials::Bearer(token))) => {
                self.follow(request, check(token), String::new())
            }
            (Scheme::Digest { password, .. }, Some(Credentials::Digest(response))) => {
                let is_stale = !self.is_fresh(request, &response);
                let is_known = response.realm == self.0.realm
                    && response.target == request.target().as_str()
                    && response.count().is_some()
                    && password(&response.name)
                        .is_some_and(|it| response.is_by(&it, request.method().as_str()));
                match is_known && !is_stale {
                    true => self.follow(request, Verdict::Now(true), response.name),
                    // Only one who knows the password is told that no new one is needed.
                    false => self.challenge(request, is_known && is_stale),
                }
            }
            _ => self.challenge(request, false),
        }
    }

    fn follow(&self, request: &Request, verdict: Verdict, name: String) -> Result<Reply> {
        let later = match verdict {
            Verdict::Now(false) => return self.challenge(request, false),
            Verdict::Now(true) => {
                request.set_context(User(name));
                return request.render_by(&self.0.inner);
            }
            Verdict::Later(later) => later,
        };
        let (guard, request) = (self.clone(), request.clone());
        let reply = later
            .add_callback(move |is_let_in| guard.follow(&request, Verdict::Now(is_let_in), name));
        Ok(Reply::Deferred(Box::new(reply)))
    }

    fn challenge(&self, request: &Request, is_stale: bool) -> Result<Reply> {
        let mut response = Response::from(Status::UNAUTHORIZED);
        let realm = self.0.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenges = match &self.0.scheme {
            Scheme::Basic(_) => vec![format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")],
            Scheme::Bearer(_) => vec![format!("Bearer realm=\"{realm}\"")],
            Scheme::Digest { secret, .. } => {
                let secret = secret.get_or_init(|| request.reactor().random_bytes());
                let nonce = nonce(secret, seconds(request));
                // The first that a client knows is what it takes.
                let each = [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
                    let (realm, nonce) = (self.0.realm.clone(), nonce.clone());
                    Challenge {
                        realm,
                        nonce,
                        algorithm,
                        is_stale,
                        #[cfg(test)]
                        opaque: None,
                    }
                    .text()
                });
                each.to_vec()
            }
        };
        for challenge in challenges {
            response = response.append_header("WWW-Authenticate", challenge)?;
        }
        Ok(Reply::Answer(response))
    }

    /// Whether a nonce is this guard's own, and young.
    fn is_fresh(&self, request: &Request, response: &DigestResponse) -> bool {
        let Scheme::Digest { secret, .. } = &self.0.scheme else { return false };
        let Some(made) = secret.get().and_then(|secret| made_at(secret, &response.nonce)) else {
            return false;
        };
        let now = seconds(request);
        (made..=made + FRESH.as_secs()).contains(&now)
    }
}

impl Resource for Guard {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        self.judge(request)
    }
}

fn seconds(request: &Request) -> u64 {
    let now = request.reactor().system_time();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("realm", &self.0.realm).finish_non_exhaustive()
    }
}
