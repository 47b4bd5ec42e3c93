//! Who this end is, whom it trusts, and what it offers.

use super::development::{Validity, certify};
use crate::failure::{Failure, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, client, server};
use std::cell::OnceCell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a handshake may take, unless it is set.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate with those that vouch for it, and its private key.
///
/// ```
/// use ropewalk::tls::Identity;
///
/// let identity = Identity::self_signed(&["localhost", "127.0.0.1"])?;
/// let same = Identity::from_pem(identity.certificate_pem(), identity.key_pem())?;
/// assert_eq!(same.certificate_pem(), identity.certificate_pem());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new certificate for development that nobody but those who are told to trusts; it holds for
    /// a year.
    ///
    /// The names are those of hosts or IP addresses. See [`ClientConfig::trusting`].
    pub fn self_signed(names: &[&str]) -> Result<Identity> {
        Identity::self_signed_for(names, &Validity::days(365))
    }

    /// As [`self_signed`](Identity::self_signed), but its time is over: to see what happens then.
    pub fn expired(names: &[&str]) -> Result<Identity> {
        let mut validity = Validity::days(0);
        validity.until = validity.from + Duration::from_secs(1);
        Identity::self_signed_for(names, &validity)
    }

    fn self_signed_for(names: &[&str], validity: &Validity) -> Result<Identity> {
        let (certificate, key) = certify(names, validity)?;
        let key = PrivateKeyDer::Pkcs8(key.into());
        Ok(Identity { chain: vec![certificate.into()], key })
    }

    /// The certificate, then those that vouch for it, and the key, as PEM.
    pub fn from_pem(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity> {
        let chain = certificates_in(certificates.as_ref())?;
        if chain.is_empty() {
            return Err(Failure::msg("there is no certificate in the PEM of an identity"));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|error| Failure::msg(format!("no private key is in the PEM: {error}")))?;
        Ok(Identity { chain, key })
    }

    /// As [`from_pem`](Identity::from_pem), from two files, which may be the same one.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity> {
        Identity::from_pem(read(certificates.as_ref())?, read(key.as_ref())?).map_err(|failure| {
            Failure::msg(format!("{}: {failure}", certificates.as_ref().display()))
        })
    }

    /// The certificates as PEM, to be given to those who shall trust them.
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as PEM.
    pub fn key_pem(&self) -> String {
        let label = match self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem(label, self.key.secret_der())
    }

    fn certified(&self) -> Result<Arc<CertifiedKey>> {
        let key = self.key.clone_key();
        Ok(Arc::new(CertifiedKey::from_der(self.chain.clone(), key, &provider())?))
    }
}

impl Clone for Identity {
    fn clone(&self) -> Identity {
        Identity { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Says nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

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
    built: Rc<OnceCell<Arc<server::ServerConfig>>>,
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
            built: Rc::default(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
        change(&mut self);
        self.built = Rc::default();
        self
    }

    /// Another identity for clients that call it by this name (SNI); `*.` stands for one label.
    #[must_use]
    pub fn name(self, name: impl Into<String>, identity: Identity) -> ServerConfig {
        self.with(|config| config.named.push((name.into().to_ascii_lowercase(), identity)))
    }

    /// The protocols that are spoken above TLS, the preferred one first.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> ServerConfig {
        self.with(|config| config.alpn = protocols.into_iter().map(Into::into).collect())
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
        if let Some(built) = self.built.get() {
            return Ok(built.clone());
        }
        let built = Arc::new(self.build_anew()?);
        Ok(self.built.get_or_init(|| built).clone())
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
    let roots = Arc::new(roots_of(certificates_in(trusted)?)?);
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
    built: Rc<OnceCell<Arc<client::ClientConfig>>>,
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
            built: Rc::default(),
        }
    }

    /// Trusts these certificates, as PEM, and whom they vouch for, and nobody else.
    pub fn trusting(certificates: impl AsRef<[u8]>) -> ClientConfig {
        let trust = Trust::These(certificates.as_ref().to_vec());
        ClientConfig { trust, ..ClientConfig::new() }
    }

    /// Believes every server that it is who it says: anybody on the way can read and change
    /// everything.
    pub fn dangerously_trusting_anybody() -> ClientConfig {
        ClientConfig { trust: Trust::Anybody, ..ClientConfig::new() }
    }

    fn with(mut self, change: impl FnOnce(&mut ClientConfig)) -> ClientConfig {
        change(&mut self);
        self.built = Rc::default();
        self
    }

    /// The certificate to show to servers that ask for one.
    #[must_use]
    pub fn identity(self, identity: Identity) -> ClientConfig {
        self.with(|config| config.identity = Some(identity))
    }

    /// The protocols to speak above TLS, the preferred one first.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> ClientConfig {
        self.with(|config| config.alpn = protocols.into_iter().map(Into::into).collect())
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
        if let Some(built) = self.built.get() {
            return Ok(built.clone());
        }
        let built = Arc::new(self.build_anew()?);
        Ok(self.built.get_or_init(|| built).clone())
    }

    fn build_anew(&self) -> Result<client::ClientConfig> {
        let builder = client::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let roots = match &self.trust {
            Trust::System => system_roots()?,
            Trust::These(pem) => Arc::new(roots_of(certificates_in(pem)?)?),
            Trust::Anybody => Arc::new(RootCertStore::empty()),
        };
        let builder = match self.trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody::Anybody))
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

/// The verifier that verifies nothing but that the server has the key of what it showed.
mod anybody {
    use super::provider;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = provider().signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signed, &algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = provider().signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, &algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// Read once a process: it takes some milliseconds.
fn system_roots() -> Result<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some of the system's may be of a kind that nobody uses any more.
    let (taken, _ignored) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let why = format!("the system trusts no certificate at all: {}", why.join("; "));
        return Err(Failure::msg(why));
    }
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

fn roots_of(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(Failure::msg("there is no certificate in the PEM of those to be trusted"));
    }
    Ok(roots)
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |error| Failure::msg(format!("a certificate's PEM is damaged: {error}"));
    CertificateDer::pem_slice_iter(pem).map(|found| found.map_err(wrong)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::msg(format!("{}: {error}", path.display())))
}

/// Bytes as PEM: base64 in lines of 64 letters, between two lines that say what it is.
fn pem(label: &str, bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in bytes.chunks(48) {
        for three in line.chunks(3) {
            let number = three.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
            let number = number << (8 * (3 - three.len()));
            for place in 0..4 {
                let letter = LETTERS[number >> (18 - 6 * place) & 63];
                text.push(if place > three.len() { '=' } else { char::from(letter) });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_pads_what_is_no_multiple_of_three() {
        assert_eq!(pem("X", b"M").lines().nth(1), Some("TQ=="));
        assert_eq!(pem("X", b"Ma").lines().nth(1), Some("TWE="));
        assert_eq!(pem("X", b"Man").lines().nth(1), Some("TWFu"));
        assert_eq!(pem("X", &[0; 49]).lines().count(), 4);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(matches("*.example.org", "www.EXAMPLE.org"));
        assert!(!matches("*.example.org", "a.b.example.org"));
        assert!(!matches("*.example.org", "example.org"));
        assert!(matches("example.org", "Example.org"));
    }

    #[test]
    fn what_is_wrong_with_a_pem_is_said() {
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        let no_key = Identity::from_pem(identity.certificate_pem(), "").unwrap_err();
        assert!(no_key.to_string().contains("private key"), "{no_key}");
        let no_certificate = Identity::from_pem("", identity.key_pem()).unwrap_err();
        assert!(no_certificate.to_string().contains("no certificate"), "{no_certificate}");
        let nobody = ClientConfig::trusting("").build().unwrap_err();
        assert!(nobody.to_string().contains("no certificate"), "{nobody}");
        let strangers_key = Identity::self_signed(&["localhost"]).unwrap().key_pem();
        let mixed = Identity::from_pem(identity.certificate_pem(), strangers_key).unwrap();
        ServerConfig::new(mixed).build().unwrap_err();
    }
}
