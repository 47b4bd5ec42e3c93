//! Whom a TLS client trusts, and who it is.

use super::config::{Built, HANDSHAKE, protocols};
use super::directory::contents_of;
use super::identity::Identity;
use super::no_verification::NoVerification;
use super::roots::{provider, roots_in, system_roots};
use crate::failure::{Failure, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::{RootCertStore, client};
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a TLS client trusts and is; clones share what was built of it, and whom they have met.
///
/// The server's certificate is verified, against the name that was connected to, unless that is
/// forbidden in so many words.
///
/// ```
/// use ropewalk::tls::{ClientConfig, Identity};
///
/// let system = ClientConfig::new().alpn(["http/1.1"]);
/// let own = ClientConfig::trusting(Identity::self_signed(&["localhost"])?.certificate_pem());
/// # let _ = (system, own);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    trust: Trust,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    pub(super) server_name: Option<String>,
    pub(super) limit: Duration,
    built: Built<client::ClientConfig>,
}

#[derive(Clone, Debug)]
enum Trust {
    System,
    Directory(Vec<u8>),
    NoVerification,
    /// rustls' own configuration says all.
    Given(Arc<client::ClientConfig>),
}

/// A configuration made with rustls itself, for what this one does not say: verifiers, resumption, key logs.
///
/// An identity is set there; protocols that are set here come in the place of those set there.
///
/// ```
/// use ropewalk::tls::{ClientConfig, rustls};
/// use std::sync::Arc;
///
/// let roots = rustls::RootCertStore::empty();
/// let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
/// let config = ClientConfig::from(Arc::new(config)).server_name("example.org");
/// # let _ = config;
/// ```
impl From<Arc<client::ClientConfig>> for ClientConfig {
    fn from(config: Arc<client::ClientConfig>) -> ClientConfig {
        ClientConfig { trust: Trust::Given(config), ..ClientConfig::new() }
    }
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig::new()
    }
}

impl ClientConfig {
    /// Trusts whom the system trusts.
    ///
    /// ```
    /// # use ropewalk::ClientEndpoint;
    /// # use ropewalk::tls::ClientConfig;
    /// let reactor = ropewalk::Reactor::new()?;
    /// let opening = reactor.open(ClientEndpoint::from("example.org:443").tls(&ClientConfig::new()));
    /// # drop(opening);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn new() -> ClientConfig {
        ClientConfig {
            trust: Trust::System,
            identity: None,
            alpn: Vec::new(),
            server_name: None,
            limit: HANDSHAKE,
            built: Built::default(),
        }
    }

    /// Trusts these certificates, as PEM, and whom they vouch for, and nobody else.
    ///
    /// ```
    /// # use ropewalk::tls::{ClientConfig, Identity};
    /// let identity = Identity::self_signed(&["localhost"])?;
    /// let only_that_one = ClientConfig::trusting(identity.certificate_pem());
    /// # let _ = only_that_one;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn trusting(certificates: impl AsRef<[u8]>) -> ClientConfig {
        let trust = Trust::Directory(certificates.as_ref().to_vec());
        ClientConfig { trust, ..ClientConfig::new() }
    }

    /// Trusts the certificates in a file, or in all files of a directory whose names end in `.pem`, as
    /// [`trusting`](ClientConfig::trusting) does. They are read now.
    ///
    /// ```
    /// use ropewalk::tls::ClientConfig;
    ///
    /// let failure = ClientConfig::trusting_files("/no/such/file.pem").unwrap_err();
    /// assert!(failure.to_string().starts_with("cannot read /no/such/file.pem: "));
    /// ```
    #[track_caller]
    pub fn trusting_files(path: impl AsRef<Path>) -> Result<ClientConfig> {
        let here = Location::caller();
        let trusted = contents_of(path.as_ref()).map_err(|failure| failure.arose_at(here))?;
        Ok(ClientConfig::trusting(trusted))
    }

    /// Believes every server that it is who it says: anybody on the way can read and change
    /// everything.
    ///
    /// ```
    /// # use ropewalk::{ClientEndpoint, ServerEndpoint};
    /// # use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    /// let server = ServerConfig::new(Identity::expired(&["somebody.else"])?);
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |_| Ok(()))?;
    /// let anybody = ClientConfig::dangerously_trusting_anybody();
    /// assert!(reactor.run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&anybody))).is_ok());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn dangerously_trusting_anybody() -> ClientConfig {
        ClientConfig { trust: Trust::NoVerification, ..ClientConfig::new() }
    }

    fn with(mut self, change: impl FnOnce(&mut ClientConfig)) -> ClientConfig {
        change(&mut self);
        self.built = Built::default();
        self
    }

    /// The certificate to show to servers that ask for one.
    ///
    /// ```
    /// # use ropewalk::{ClientEndpoint, ServerEndpoint};
    /// # use ropewalk::tls::{ClientConfig, Identity, ServerConfig, session};
    /// let (server, client) = (Identity::self_signed(&["127.0.0.1"])?, Identity::self_signed(&["me"])?);
    /// let config = ClientConfig::trusting(server.certificate_pem()).identity(client.clone());
    /// let server = ServerConfig::new(server).require_client_certificate(client.certificate_pem());
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |mut stream| {
    ///     assert_eq!(session(&stream.transport()).map(|it| it.peer_certificates().len()), Some(1));
    ///     futures_util::AsyncWriteExt::write_all(&mut stream, b"welcome").await?;
    ///     Ok(())
    /// })?;
    /// let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&config));
    /// reactor.run_until(async move {
    ///     let mut greeting = [0; 7];
    ///     futures_util::AsyncReadExt::read_exact(&mut opening.await?, &mut greeting).await?;
    ///     assert_eq!(&greeting, b"welcome");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn identity(self, identity: Identity) -> ClientConfig {
        self.with(|config| config.identity = Some(identity))
    }

    /// The protocols to speak above TLS, the preferred one first.
    ///
    /// ```
    /// # use ropewalk::tls::ClientConfig;
    /// let config = ClientConfig::new().alpn(["h2", "http/1.1"]);
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, names: impl IntoIterator<Item = P>) -> ClientConfig {
        self.with(|config| config.alpn = protocols(names))
    }

    /// The name that the server must be able to prove, instead of the one that is connected to.
    ///
    /// ```
    /// # use ropewalk::tls::ClientConfig;
    /// let to = ropewalk::ClientEndpoint::unix("/run/bus").tls(&ClientConfig::new().server_name("bus"));
    /// # let _ = to;
    /// ```
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> ClientConfig {
        self.with(|config| config.server_name = Some(name.into()))
    }

    /// How long a handshake may take; 10 s by default.
    ///
    /// ```
    /// # use ropewalk::tls::ClientConfig;
    /// let patient = ClientConfig::new().handshake_timeout(std::time::Duration::from_secs(60));
    /// # let _ = patient;
    /// ```
    #[must_use]
    pub fn handshake_timeout(self, limit: Duration) -> ClientConfig {
        self.with(|config| config.limit = limit)
    }

    pub(super) fn build(&self) -> Result<Arc<client::ClientConfig>> {
        match &self.trust {
            // Not a copy: sessions to be resumed are kept in it.
            Trust::Given(config) if self.identity.is_none() && self.alpn.is_empty() => {
                Ok(config.clone())
            }
            _ => self.built.get(|| self.build_anew()),
        }
    }

    fn build_anew(&self) -> Result<client::ClientConfig> {
        if let Trust::Given(config) = &self.trust {
            if self.identity.is_some() {
                return Err(Failure::in_loop_msg(
                    "an identity is set in rustls' own configuration",
                ));
            }
            let mut config = client::ClientConfig::clone(config);
            config.alpn_protocols = self.alpn.clone();
            return Ok(config);
        }
        let builder = client::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let roots = match &self.trust {
            Trust::System => system_roots()?,
            Trust::Directory(pem) => Arc::new(roots_in(pem)?),
            Trust::NoVerification | Trust::Given(_) => Arc::new(RootCertStore::empty()),
        };
        let builder = match self.trust {
            Trust::NoVerification => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(NoVerification))
            }
            _ => builder.with_webpki_verifier(
                WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?,
            ),
        };
        let mut config = match &self.identity {
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key())?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.clone();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_trust_nobody_is_an_error() {
        let nobody = ClientConfig::trusting("").build().unwrap_err();
        assert!(nobody.to_string().contains("no certificate"), "{nobody}");
    }
}
