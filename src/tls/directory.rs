//! Certificates and keys in files: found, brought together, and known again when they change.
//!
//! # Theory
//! What is where is nobody's business but that of the files: in a directory, and in those below it,
//! each file whose name ends in `.pem` may hold certificates, keys or both. A certificate whose key is
//! there too is an identity; what stands behind it in its file vouches for it.

use super::identity::{certificates_in, keys_in, read};
use super::roots::provider;
use crate::failure::{Failure, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use webpki::EndEntityCert;

/// A certificate, and those that vouch for it.
type Chain<'a> = &'a [CertificateDer<'static>];

/// The chains that begin with a certificate of each public key.
type Chains<'a> = HashMap<Vec<u8>, Vec<Chain<'a>>>;

/// The files at a path, when each was changed, and how long each is: enough to see a change.
pub(super) type Files = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// The `.pem` files in a directory and below it, in order; a file is itself the only one.
pub(super) fn files_at(path: &Path) -> Result<Files> {
    let mut found = Vec::new();
    let unreadable =
        |error| Failure::in_loop_msg(format!("cannot read {}: {error}", path.display()));
    collect(path, true, &mut found).map_err(unreadable)?;
    found.sort();
    Ok(found)
}

fn collect(path: &Path, was_named: bool, found: &mut Files) -> io::Result<()> {
    let about = fs::metadata(path)?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A link to a directory may lead back up here; one to a file may not.
            let is_link_to_directory = entry.file_type()?.is_symlink() && entry.path().is_dir();
            if !is_link_to_directory {
                // What vanishes meanwhile was not meant.
                let _ = collect(&entry.path(), false, found);
            }
        }
    } else if was_named || path.extension().is_some_and(|it| it == "pem") {
        found.push((path.to_owned(), about.modified().ok(), about.len()));
    }
    Ok(())
}

/// What all the files hold, one after the other.
pub(super) fn contents_of(path: &Path) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    for (file, ..) in files_at(path)? {
        contents.extend(read(&file)?);
        contents.push(b'\n');
    }
    Ok(contents)
}

/// Every certificate whose key is there as well.
pub(super) fn identities_at(path: &Path) -> Result<Vec<Arc<CertifiedKey>>> {
    let (mut bundles, mut keys) = (Vec::new(), Vec::new());
    for (file, ..) in files_at(path)? {
        let naming = |failure| Failure::in_loop_msg(format!("{}: {failure}", file.display()));
        let pem = read(&file)?;
        bundles.push(certificates_in(&pem).map_err(naming)?);
        keys.extend(keys_in(&pem).map_err(naming)?);
    }
    let chains = by_key(&bundles);
    let mut found = Vec::new();
    for key in keys {
        found.extend(certified(key, &chains)?);
    }
    if found.is_empty() {
        let why = format!("there is no certificate with its key in {}", path.display());
        return Err(Failure::in_loop_msg(why));
    }
    Ok(found)
}

fn by_key<'a>(bundles: &'a [Vec<CertificateDer<'static>>]) -> Chains<'a> {
    let mut chains = Chains::new();
    for bundle in bundles {
        for (place, certificate) in bundle.iter().enumerate() {
            let Ok(parsed) = EndEntityCert::try_from(certificate) else { continue };
            let of_key = chains.entry(parsed.subject_public_key_info().to_vec()).or_default();
            add(of_key, &bundle[place..]);
        }
    }
    chains
}

/// Of two chains from one certificate the longer one stays.
fn add<'a>(chains: &mut Vec<Chain<'a>>, chain: Chain<'a>) {
    match chains.iter_mut().find(|known| known[0] == chain[0]) {
        Some(known) if known.len() < chain.len() => *known = chain,
        Some(_) => {}
        None => chains.push(chain),
    }
}

fn certified(key: PrivateKeyDer<'static>, chains: &Chains<'_>) -> Result<Vec<Arc<CertifiedKey>>> {
    let key = provider().key_provider.load_private_key(key)?;
    let public = key.public_key().map(|public| public.to_vec()).unwrap_or_default();
    let own = chains.get(&public).into_iter().flatten();
    Ok(own.map(|chain| Arc::new(CertifiedKey::new(chain.to_vec(), key.clone()))).collect())
}

/// The names that a certificate holds for; those with a `*.` among them.
pub(super) fn names_of(identity: &CertifiedKey) -> Vec<String> {
    let parsed = identity.cert.first().map(EndEntityCert::try_from);
    let Some(Ok(certificate)) = parsed else { return Vec::new() };
    certificate.valid_dns_names().map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Identity;

    /// A directory that is gone when the test is over.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let name = format!("ropewalk-{name}-{}", std::process::id());
            let directory = Directory(std::env::temp_dir().join(name));
            fs::create_dir_all(directory.0.join("below")).unwrap();
            directory
        }

        fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
            fs::write(self.0.join(name), contents).unwrap();
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_certificate_finds_its_key_in_another_file_and_brings_those_behind_it() {
        let directory = Directory::new("pems");
        let [one, two, stranger] = ["one.test", "*.two.test", "x.test"]
            .map(|name| Identity::self_signed(&[name]).unwrap());
        directory.write("key.pem", one.key_pem());
        directory.write("alone.pem", one.certificate_pem());
        directory.write("chain.pem", one.certificate_pem() + &stranger.certificate_pem());
        directory.write("below/two.pem", two.key_pem() + &two.certificate_pem());
        directory.write("below/notes.txt", "no PEM at all");
        std::os::unix::fs::symlink("..", directory.0.join("below/up.pem")).unwrap();
        let mut found: Vec<_> = identities_at(&directory.0)
            .unwrap()
            .iter()
            .map(|identity| (names_of(identity), identity.cert.len()))
            .collect();
        found.sort();
        assert_eq!(found, [(vec!["*.two.test".into()], 1), (vec!["one.test".into()], 2)]);
    }

    #[test]
    fn what_cannot_be_used_is_told_by_its_path() {
        let directory = Directory::new("no-pems");
        let told = |path: &Path| identities_at(path).unwrap_err().to_string();
        assert!(told(&directory.0).starts_with("there is no certificate with its key in /"));
        assert!(told(&directory.0.join("none")).starts_with("cannot read /"));
        directory.write("bad.pem", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n");
        assert!(told(&directory.0).contains("/bad.pem: a certificate's PEM is damaged"));
    }
}
