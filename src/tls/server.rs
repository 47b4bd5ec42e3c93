//! What a TLS server is, to whom, and what it wants of its clients.

use super::config::{Built, HANDSHAKE, protocols};
use super::identity::Identity;
use super::trust::{provider, roots_in};
use crate::failure::Result;
use rustls::crypto::ring;
use rustls::server;
use rustls::server::{
    ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
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
    identity: Identity,
    named: Vec<(String, Identity)>,
    alpn: Vec<Vec<u8>>,
    clients: Clients,
    pub(super) limit: Duration,
    built: Built<server::ServerConfig>,
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
    pub fn new(identity: Identity) -> ServerConfig {
        ServerConfig {
            identity,
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
    #[must_use]
    pub fn name(self, name: impl Into<String>, identity: Identity) -> ServerConfig {
        self.with(|config| config.named.push((name.into().to_ascii_lowercase(), identity)))
    }

    /// The protocols that are spoken above TLS, the preferred one first.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, names: impl IntoIterator<Item = P>) -> ServerConfig {
        self.with(|config| config.alpn = protocols(names))
    }

    /// Clients must show a certificate that one of these, as PEM, vouches for.
    #[must_use]
    pub fn require_client_certificate(self, trusted: impl AsRef<[u8]>) -> ServerConfig {
        self.with(|config| config.clients = Clients::Required(trusted.as_ref().to_vec()))
    }

    /// Clients may show a certificate that one of these, as PEM, vouches for, or none.
    #[must_use]
    pub fn ask_client_certificate(self, trusted: impl AsRef<[u8]>) -> ServerConfig {
        self.with(|config| config.clients = Clients::Asked(trusted.as_ref().to_vec()))
    }

    /// How long a handshake may take; 10 s by default.
    #[must_use]
    pub fn handshake_timeout(self, limit: Duration) -> ServerConfig {
        self.with(|config| config.limit = limit)
    }

    /// Says now what is wrong with it, and keeps what was built.
    pub(super) fn build(&self) -> Result<Arc<server::ServerConfig>> {
        self.built.get(|| self.build_anew())
    }

    fn build_anew(&self) -> Result<server::ServerConfig> {
        let builder = server::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let verifier = match &self.clients {
            Clients::Nobody => WebPkiClientVerifier::no_client_auth(),
            Clients::Asked(trusted) => client_verifier(trusted)?.allow_unauthenticated().build()?,
            Clients::Required(trusted) => client_verifier(trusted)?.build()?,
        };
        let names = Names {
            default: self.identity.certified()?,
            named: self
                .named
                .iter()
                .map(|(name, identity)| Ok((name.clone(), identity.certified()?)))
                .collect::<Result<_>>()?,
        };
        let mut config =
            builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(names));
        config.alpn_protocols = self.alpn.clone();
        config.ticketer = ring::Ticketer::new()?;
        Ok(config)
    }
}

fn client_verifier(trusted: &[u8]) -> Result<ClientCertVerifierBuilder> {
    let roots = Arc::new(roots_in(trusted)?);
    Ok(WebPkiClientVerifier::builder_with_provider(roots, provider()))
}

/// Which certificate a client gets to see.
#[derive(Debug)]
struct Names {
    default: Arc<CertifiedKey>,
    named: Vec<(String, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        let fits = self.named.iter().find(|(pattern, _)| matches(pattern, name));
        Some(fits.map_or(&self.default, |(_, key)| key).clone())
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix("*."), name.split_once('.')) {
        (Some(parent), Some((_, rest))) => rest.eq_ignore_ascii_case(parent),
        _ => pattern.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(matches("*.example.org", "www.EXAMPLE.org"));
        assert!(!matches("*.example.org", "a.b.example.org"));
        assert!(!matches("*.example.org", "example.org"));
        assert!(matches("example.org", "Example.org"));
    }

    #[test]
    fn a_key_of_somebody_elses_is_refused() {
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        let strangers_key = Identity::self_signed(&["localhost"]).unwrap().key_pem();
        let mixed = Identity::from_pem(identity.certificate_pem(), strangers_key).unwrap();
        ServerConfig::new(mixed).build().unwrap_err();
    }
}
