//! What can be wrong with a peer's TLS, in words.

use rustls::{CertificateError, Error};
use std::fmt;

/// The peer broke the rules of TLS, could not be trusted, or refused this end.
///
/// It is the source of the [`ConnectionLost`](crate::ConnectionLost) that names the peer.
///
/// ```
/// use ropewalk::tls::Fault;
///
/// fn is_about_trust(failure: &ropewalk::Failure) -> bool {
///     let faults = failure.chain().filter_map(|error| error.downcast_ref::<Fault>());
///     faults.into_iter().any(Fault::is_of_certificate)
/// }
/// assert!(!is_about_trust(&ropewalk::Failure::msg("no")));
/// ```
#[derive(Debug)]
pub struct Fault(pub(super) Error);

impl Fault {
    /// Whether the peer's certificate is the trouble: unknown issuer, wrong name, expired, missing.
    pub fn is_of_certificate(&self) -> bool {
        matches!(self.0, Error::InvalidCertificate(_) | Error::NoCertificatesPresented)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::InvalidCertificate(error) => {
                f.write_str("its certificate cannot be trusted: ")?;
                match error {
                    CertificateError::UnknownIssuer => f.write_str("unknown issuer"),
                    error => error.fmt(f),
                }
            }
            Error::NoCertificatesPresented => f.write_str("it showed no certificate"),
            Error::AlertReceived(alert) => write!(f, "it refused this end by TLS: {alert:?}"),
            Error::InvalidMessage(error) => write!(f, "what it sent is not TLS: {error:?}"),
            error => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for Fault {}
