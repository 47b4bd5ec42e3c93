//! Whom a TLS client trusts, and who it is.

use super::anybody::Anybody;
use super::config::{Built, HANDSHAKE, protocols};
use super::directory::contents_of;
use super::identity::Identity;
use super::trust::{provider, roots_in, system_roots};
use crate::failure::Result;
use rustls::client::WebPkiServerVerifier;
use rustls::{RootCertStore, client};
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
    These(Vec<u8>),
    Anybody,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig::new()
    }
}

impl ClientConfig {
    /// Trusts whom the system trusts.
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
    pub fn trusting(certificates: impl AsRef<[u8]>) -> ClientConfig {
        let trust = Trust::These(certificates.as_ref().to_vec());
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
    pub fn trusting_files(path: impl AsRef<Path>) -> Result<ClientConfig> {
        Ok(ClientConfig::trusting(contents_of(path.as_ref())?))
    }

    /// Believes every server that it is who it says: anybody on the way can read and change
    /// everything.
    pub fn dangerously_trusting_anybody() -> ClientConfig {
        ClientConfig { trust: Trust::Anybody, ..ClientConfig::new() }
    }

    fn with(mut self, change: impl FnOnce(&mut ClientConfig)) -> ClientConfig {
        change(&mut self);
        self.built = Built::default();
        self
    }

    /// The certificate to show to servers that ask for one.
    #[must_use]
    pub fn identity(self, identity: Identity) -> ClientConfig {
        self.with(|config| config.identity = Some(identity))
    }

    /// The protocols to speak above TLS, the preferred one first.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, names: impl IntoIterator<Item = P>) -> ClientConfig {
        self.with(|config| config.alpn = protocols(names))
    }

    /// The name that the server must be able to prove, instead of the one that is connected to.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> ClientConfig {
        self.with(|config| config.server_name = Some(name.into()))
    }

    /// How long a handshake may take; 10 s by default.
    #[must_use]
    pub fn handshake_timeout(self, limit: Duration) -> ClientConfig {
        self.with(|config| config.limit = limit)
    }

    pub(super) fn build(&self) -> Result<Arc<client::ClientConfig>> {
        self.built.get(|| self.build_anew())
    }

    fn build_anew(&self) -> Result<client::ClientConfig> {
        let builder = client::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let roots = match &self.trust {
            Trust::System => system_roots()?,
            Trust::These(pem) => Arc::new(roots_in(pem)?),
            Trust::Anybody => Arc::new(RootCertStore::empty()),
        };
        let builder = match self.trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody))
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
