//! What can be wrong with a peer's TLS, in words.

use crate::failure::Failure;
use crate::transport::ConnectionLost;
use rustls::{CertificateError, Error};
use std::fmt;

/// The peer broke the rules of TLS, could not be trusted, or refused this end.
///
/// It is the cause of the [`ConnectionLost`] that names the peer.
///
/// ```
/// use ropewalk::tls::TlsError;
///
/// fn is_about_trust(failure: &ropewalk::Failure) -> bool {
///     TlsError::of(failure).is_some_and(TlsError::is_of_certificate)
/// }
/// assert!(!is_about_trust(&ropewalk::Failure::msg("no")));
/// ```
#[derive(Debug)]
pub struct TlsError(pub(super) Error);

impl TlsError {
    /// The fault that a connection was lost by, if it was lost by one.
    pub fn of(failure: &Failure) -> Option<&TlsError> {
        failure.check::<ConnectionLost>()?.cause().get_ref()?.downcast_ref()
    }

    /// Whether the peer's certificate is the trouble: unknown issuer, wrong name, expired, missing.
    pub fn is_of_certificate(&self) -> bool {
        matches!(self.0, Error::InvalidCertificate(_) | Error::NoCertificatesPresented)
    }
}

impl fmt::Display for TlsError {
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

impl std::error::Error for TlsError {}
