//! Who one end of TLS is: its certificates and their key, as PEM and for development.

use super::roots::provider;
use super::self_signed::{Validity, certify};
use crate::failure::{Failure, Result};
use crate::net::connect::naming::ascii_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new certificate for development that nobody but those who are told to trusts; it holds for
    /// a year.
    ///
    /// The names are those of hosts or IP addresses. See [`ClientConfig::trusting`](super::ClientConfig::trusting).
    ///
    /// ```
    /// # use ropewalk::tls::Identity;
    /// let identity = Identity::self_signed(&["localhost", "::1", "*.test"])?;
    /// assert!(identity.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn self_signed(names: &[&str]) -> Result<Identity> {
        Identity::self_signed_for(names, &Validity::days(365))
    }

    /// As [`self_signed`](Identity::self_signed), but its time is over: to see what happens then.
    ///
    /// ```
    /// # use ropewalk::{ClientEndpoint, ServerEndpoint};
    /// # use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    /// let identity = Identity::expired(&["127.0.0.1"])?;
    /// let client = ClientConfig::trusting(identity.certificate_pem());
    /// let reactor = ropewalk::Reactor::new()?;
    /// # ropewalk::on_report(|_| ());
    /// let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(identity)), async |_| Ok(()))?;
    /// let failure = reactor.run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&client))).unwrap_err();
    /// assert!(failure.to_string().contains("its certificate cannot be trusted"));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn expired(names: &[&str]) -> Result<Identity> {
        let mut validity = Validity::days(0);
        validity.until = validity.from + Duration::from_secs(1);
        Identity::self_signed_for(names, &validity)
    }

    #[track_caller]
    fn self_signed_for(names: &[&str], validity: &Validity) -> Result<Identity> {
        let names = names.iter().map(|name| ascii_name(name)).collect::<Result<Vec<_>, _>>()?;
        let (certificate, key) = certify(&names, validity)?;
        let key = PrivateKeyDer::Pkcs8(key.into());
        Ok(Identity { chain: vec![certificate.into()], key })
    }

    /// The certificate, then those that vouch for it, and the key, as PEM.
    ///
    /// ```
    /// # use ropewalk::tls::Identity;
    /// let failure = Identity::from_pem("no", "none").unwrap_err();
    /// assert_eq!(failure.to_string(), "there is no certificate in the PEM of an identity");
    /// ```
    #[track_caller]
    pub fn from_pem(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity> {
        let here = Location::caller();
        let identity = Identity::from_parts(certificates.as_ref(), key.as_ref());
        identity.map_err(|failure| failure.arose_at(here))
    }

    fn from_parts(certificates: &[u8], key: &[u8]) -> Result<Identity> {
        let chain = certificates_in(certificates)?;
        if chain.is_empty() {
            return Err(Failure::in_loop_msg("there is no certificate in the PEM of an identity"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            Failure::in_loop_msg(format!("no private key is in the PEM: {error}"))
        })?;
        Ok(Identity { chain, key })
    }

    /// As [`from_pem`](Identity::from_pem), from two files, which may be the same one.
    ///
    /// ```
    /// # use ropewalk::tls::Identity;
    /// let failure = Identity::from_files("/no/certificate.pem", "/no/key.pem").unwrap_err();
    /// assert!(failure.to_string().starts_with("cannot read /no/certificate.pem: "));
    /// ```
    #[track_caller]
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity> {
        let here = Location::caller();
        let identity = Identity::in_files(certificates.as_ref(), key.as_ref());
        identity.map_err(|failure| failure.arose_at(here))
    }

    fn in_files(certificates: &Path, key: &Path) -> Result<Identity> {
        let identity = Identity::from_parts(&read(certificates)?, &read(key)?);
        identity.map_err(|failure| {
            let (certificates, key) = (certificates.display(), key.display());
            Failure::in_loop_msg(format!("{certificates} with the key {key}: {failure}"))
        })
    }

    /// The certificates as PEM, to be given to those who shall trust them.
    ///
    /// ```
    /// # use ropewalk::tls::{ClientConfig, Identity};
    /// let client = ClientConfig::trusting(Identity::self_signed(&["localhost"])?.certificate_pem());
    /// # let _ = client;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as PEM.
    ///
    /// ```
    /// # use ropewalk::tls::Identity;
    /// let key = Identity::self_signed(&["localhost"])?.key_pem();
    /// assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn key_pem(&self) -> String {
        let label = match self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem(label, self.key.secret_der())
    }

    pub(super) fn certified(&self) -> Result<Arc<CertifiedKey>> {
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

pub(super) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |error| Failure::in_loop_msg(format!("a certificate's PEM is damaged: {error}"));
    CertificateDer::pem_slice_iter(pem).map(|found| found.map_err(wrong)).collect()
}

pub(super) fn keys_in(pem: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>> {
    let wrong = |error| Failure::in_loop_msg(format!("a private key's PEM is damaged: {error}"));
    PrivateKeyDer::pem_slice_iter(pem).map(|found| found.map_err(wrong)).collect()
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable =
        |error| Failure::in_loop_msg(format!("cannot read {}: {error}", path.display()));
    std::fs::read(path).map_err(unreadable)
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
    fn what_is_missing_in_a_pem_is_said() {
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        let no_key = Identity::from_pem(identity.certificate_pem(), "").unwrap_err();
        assert!(no_key.to_string().contains("private key"), "{no_key}");
        let no_certificate = Identity::from_pem("", identity.key_pem()).unwrap_err();
        assert!(no_certificate.to_string().contains("no certificate"), "{no_certificate}");
    }
}
