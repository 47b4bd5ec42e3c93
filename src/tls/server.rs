//! What a TLS server is, to whom, and what it wants of its clients.

use super::config::{Built, HANDSHAKE, protocols};
use super::directory::{files_at, identities_at, names_of};
use super::identity::Identity;
use super::roots::{provider, roots_in};
use crate::failure::{Failure, Result};
use crate::net::connect::naming::ascii_name;
use rustls::crypto::ring;
use rustls::server;
use rustls::server::{
    ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a TLS server is and wants; clones share what was built of it.
///
/// ```
/// use ropewalk::tls::{Identity, ServerConfig};
///
/// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?)
///     .name("*.example.org", Identity::self_signed(&["*.example.org"])?)
///     .alpn(["h2", "http/1.1"]);
/// # let _ = config;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    who: Who,
    named: Vec<(String, Identity)>,
    alpn: Vec<Vec<u8>>,
    clients: Clients,
    pub(super) limit: Duration,
    built: Built<server::ServerConfig>,
}

/// Who answers to names that are not among the `named`.
#[derive(Clone, Debug)]
enum Who {
    One(Identity),
    /// Whoever is in this directory.
    Directory(PathBuf),
    /// rustls' own configuration says all.
    Given(Arc<server::ServerConfig>),
}

/// A configuration made with rustls itself, for what this one does not say: resolvers of certificates,
/// verifiers of clients, key logs.
///
/// Certificates and demands on clients are set there; protocols that are set here come in the place of those
/// set there.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::ServerEndpoint;
/// use ropewalk::tls::{ServerConfig, rustls};
/// use std::sync::Arc;
///
/// let resolver = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
/// let config = rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
/// let config = ServerConfig::from(Arc::new(config));
/// let at = ServerEndpoint::tcp("127.0.0.1:0").tls(&config);
/// Reactor::new()?.serve(at, async |_stream| Ok(()))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
impl From<Arc<server::ServerConfig>> for ServerConfig {
    fn from(config: Arc<server::ServerConfig>) -> ServerConfig {
        ServerConfig::of(Who::Given(config))
    }
}

/// Who has to show a certificate to a server.
#[derive(Clone, Debug)]
enum Clients {
    Nobody,
    Asked(Vec<u8>),
    Required(Vec<u8>),
}

impl ServerConfig {
    /// A server with this identity, for every name that it is called by.
    ///
    /// ```
    /// # use ropewalk::ServerEndpoint;
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?);
    /// ropewalk::Reactor::new()?.serve(ServerEndpoint::from("127.0.0.1:0").tls(&config), async |_| Ok(()))?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn new(identity: Identity) -> ServerConfig {
        ServerConfig::of(Who::One(identity))
    }

    /// A server with the certificates of a directory and of those below it, each for the names that
    /// it holds for; a client that calls it by another name gets to see the first.
    ///
    /// Every file whose name ends in `.pem` is read, and every certificate is taken whose key is in
    /// one of them; those that vouch for it stand behind it. The directory may be a file.
    ///
    /// It is read when a port begins to listen, which fails if nothing can be used, and again after a
    /// change: new connections see a renewed certificate. What is no good is reported, and the former
    /// certificates stay.
    ///
    /// ```
    /// use ropewalk::ServerEndpoint;
    /// use ropewalk::Reactor;
    /// use ropewalk::tls::{Identity, ServerConfig};
    ///
    /// let directory = std::env::temp_dir().join(format!("certificates-{}", std::process::id()));
    /// std::fs::create_dir_all(&directory)?;
    /// let identity = Identity::self_signed(&["localhost"])?;
    /// std::fs::write(directory.join("certificate.pem"), identity.certificate_pem())?;
    /// std::fs::write(directory.join("key.pem"), identity.key_pem())?;
    ///
    /// let config = ServerConfig::from_directory(&directory);
    /// Reactor::new()?.serve(ServerEndpoint::from("127.0.0.1:0").tls(&config), async |_| Ok(()))?;
    /// std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn from_directory(directory: impl Into<PathBuf>) -> ServerConfig {
        ServerConfig::of(Who::Directory(directory.into()))
    }

    fn of(who: Who) -> ServerConfig {
        ServerConfig {
            who,
            named: Vec::new(),
            alpn: Vec::new(),
            clients: Clients::Nobody,
            limit: HANDSHAKE,
            built: Built::default(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
        change(&mut self);
        self.built = Built::default();
        self
    }

    /// Another identity for clients that call it by this name (SNI); `*.` stands for one label.
    ///
    /// ```
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let config = ServerConfig::new(Identity::self_signed(&["example.org"])?)
    ///     .name("*.example.org", Identity::self_signed(&["*.example.org"])?);
    /// # let _ = config;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn name(self, name: impl Into<String>, identity: Identity) -> ServerConfig {
        self.with(|config| config.named.push((name.into().to_ascii_lowercase(), identity)))
    }

    /// The protocols that are spoken above TLS, the preferred one first.
    ///
    /// ```
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?).alpn(["h2", "http/1.1"]);
    /// # let _ = config;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, names: impl IntoIterator<Item = P>) -> ServerConfig {
        self.with(|config| config.alpn = protocols(names))
    }

    /// Clients must show a certificate that one of these, as PEM, vouches for.
    ///
    /// ```
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let friend = Identity::self_signed(&["friend"])?;
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?)
    ///     .require_client_certificate(friend.certificate_pem());
    /// # let _ = config;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn require_client_certificate(self, trusted: impl AsRef<[u8]>) -> ServerConfig {
        self.with(|config| config.clients = Clients::Required(trusted.as_ref().to_vec()))
    }

    /// Clients may show a certificate that one of these, as PEM, vouches for, or none.
    ///
    /// ```
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let friend = Identity::self_signed(&["friend"])?;
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?)
    ///     .ask_client_certificate(friend.certificate_pem());
    /// # let _ = config;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn ask_client_certificate(self, trusted: impl AsRef<[u8]>) -> ServerConfig {
        self.with(|config| config.clients = Clients::Asked(trusted.as_ref().to_vec()))
    }

    /// How long a handshake may take; 10 s by default.
    ///
    /// ```
    /// # use ropewalk::tls::{Identity, ServerConfig};
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?)
    ///     .handshake_timeout(std::time::Duration::from_secs(60));
    /// # let _ = config;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn handshake_timeout(self, limit: Duration) -> ServerConfig {
        self.with(|config| config.limit = limit)
    }

    /// Says now what is wrong with it, and keeps what was built.
    pub(super) fn build(&self) -> Result<Arc<server::ServerConfig>> {
        match &self.who {
            // Not a copy: sessions to be resumed are kept in it.
            Who::Given(config) if self.is_unchanged() => Ok(config.clone()),
            Who::One(_) | Who::Given(_) => self.built.get(|| self.build_anew()),
            // Why it cannot be read is said by those who read it.
            Who::Directory(directory) => {
                self.built.get_for(|| files_at(directory).unwrap_or_default(), || self.build_anew())
            }
        }
    }

    fn is_unchanged(&self) -> bool {
        let is_plain = self.named.is_empty() && matches!(self.clients, Clients::Nobody);
        is_plain && self.alpn.is_empty()
    }

    fn build_anew(&self) -> Result<server::ServerConfig> {
        if let Who::Given(config) = &self.who {
            if !self.named.is_empty() || !matches!(self.clients, Clients::Nobody) {
                let why = "names and demands on clients are set in rustls' own configuration";
                return Err(Failure::in_loop_msg(why));
            }
            let mut config = server::ServerConfig::clone(config);
            config.alpn_protocols = self.alpn.clone();
            return Ok(config);
        }
        let builder = server::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let verifier = match &self.clients {
            Clients::Nobody => WebPkiClientVerifier::no_client_auth(),
            Clients::Asked(trusted) => client_verifier(trusted)?.allow_unauthenticated().build()?,
            Clients::Required(trusted) => client_verifier(trusted)?.build()?,
        };
        let mut config =
            builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(self.names()?));
        config.alpn_protocols = self.alpn.clone();
        config.ticketer = ring::Ticketer::new()?;
        Ok(config)
    }

    fn names(&self) -> Result<Names> {
        let mut by_name = HashMap::new();
        for (name, identity) in &self.named {
            let name = ascii_name(name)?.into_owned();
            by_name.entry(name).or_insert(identity.certified()?);
        }
        let default = match &self.who {
            Who::One(identity) => Some(identity.certified()?),
            // It has names of its own.
            Who::Given(_) => None,
            Who::Directory(directory) => {
                let found = identities_at(directory)?;
                for identity in &found {
                    let names = names_of(identity).into_iter();
                    let named = names.map(|name| (name, identity.clone()));
                    named.for_each(|(name, identity)| _ = by_name.entry(name).or_insert(identity));
                }
                found.into_iter().next()
            }
        };
        Ok(Names { default, by_name })
    }
}

fn client_verifier(trusted: &[u8]) -> Result<ClientCertVerifierBuilder> {
    let roots = Arc::new(roots_in(trusted)?);
    Ok(WebPkiClientVerifier::builder_with_provider(roots, provider()))
}

/// Which certificate a client gets to see.
#[derive(Debug)]
struct Names {
    /// For clients that call the server by no name, or by none of those below.
    default: Option<Arc<CertifiedKey>>,
    /// In small letters; `*.` stands for one label.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Names {
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.default.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name that the certificate was made for which a client gets to see.
    fn shown<'n>(names: &'n Names, called: &str) -> Option<&'n str> {
        let found = names.find(called)?;
        names.by_name.iter().find(|(_, it)| Arc::ptr_eq(it, found)).map(|(name, _)| &**name)
    }

    #[test]
    fn a_star_stands_for_one_label_and_a_whole_name_comes_first() {
        let identity = |name: &str| Identity::self_signed(&[name]).unwrap();
        let config = ServerConfig::new(identity("localhost"))
            .name("*.Example.org", identity("*.example.org"))
            .name("www.example.org", identity("www.example.org"));
        let names = config.names().unwrap();
        assert_eq!(shown(&names, "mail.EXAMPLE.org"), Some("*.example.org"));
        assert_eq!(shown(&names, "www.example.org"), Some("www.example.org"));
        assert_eq!(shown(&names, "a.b.example.org"), None);
        assert_eq!(shown(&names, "example.org"), None);
    }

    #[test]
    fn a_key_of_somebody_elses_is_refused() {
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        let strangers_key = Identity::self_signed(&["localhost"]).unwrap().key_pem();
        let mixed = Identity::from_pem(identity.certificate_pem(), strangers_key).unwrap();
        ServerConfig::new(mixed).build().unwrap_err();
    }
}
