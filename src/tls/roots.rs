//! Whose certificates are believed, and the mathematics that believing takes.

use super::identity::certificates_in;
use crate::failure::{Failure, Result};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use std::sync::{Arc, OnceLock};

pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// Read once a process: it takes some milliseconds.
pub(super) fn system_roots() -> Result<Arc<RootCertStore>> {
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
        return Err(Failure::in_loop_msg(why));
    }
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

pub(super) fn roots_in(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(pem)? {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(Failure::in_loop_msg(
            "there is no certificate in the PEM of those to be trusted",
        ));
    }
    Ok(roots)
}
