// What a path leads to.

use super::listing::Entry;
use super::open::{Kind, Opened, Wait, is_name, read};
use super::{SMALL, Shared, types};
use crate::http::{EntityTag, Request, Validators, list};
use rustix::fs::{AtFlags, Dir, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a request asks for, as far as it decides which file that is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// Names with a slash between them; empty for the root.
    pub(super) path: String,
    pub(super) is_folder: bool,
    /// Of those that files beside it may have.
    pub(super) coding: Option<&'static str>,
}

/// Codings and the ends of their files' names, the best first.
const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];
/// A shorter text is not worth another look.
const WORTH_CODING: u64 = 1024;

pub(super) enum Found {
    File(Served),
    /// A folder that was asked for without its slash.
    Folder,
    Listing(Vec<Entry>),
    Nothing,
}

/// A file and what is said of it.
pub(super) struct Served {
    pub(super) file: Arc<File>,
    /// All its bytes, if they are few.
    pub(super) bytes: Option<Arc<[u8]>>,
    pub(super) length: u64,
    pub(super) kind: &'static str,
    pub(super) coding: Option<&'static str>,
    /// Another coding may be sent to another peer.
    pub(super) varies: bool,
    pub(super) validators: Validators,
    /// As fields have them.
    pub(super) tag: String,
    pub(super) modified: String,
}

impl Wanted {
    /// `None` for a path that can name nothing here.
    pub(super) fn by(request: &Request, has_dotfiles: bool) -> Option<Wanted> {
        let (mut path, mut is_folder) = (String::new(), true);
        for segment in request.rest().split('/') {
            if !is_folder {
                path.push('/');
            }
            is_folder = segment.is_empty();
            if is_folder {
                continue;
            }
            let name = crate::http::percent_decode(segment).ok()?;
            if !is_name(&name, has_dotfiles) || path.len() + name.len() > 4096 {
                return None;
            }
            path.push_str(&name);
        }
        let accepted = request.headers().get("accept-encoding");
        let coding = accepted.and_then(|it| list::coding(it, &CODINGS.map(|(name, _)| name)));
        let coding = CODINGS.iter().map(|(name, _)| *name).find(|name| Some(*name) == coding);
        Some(Wanted { path, is_folder, coding })
    }
}

/// One search.
pub(super) struct Search<'a> {
    pub(super) shared: &'a Shared,
    pub(super) wanted: &'a Wanted,
    /// For what the time of a file is worth.
    pub(super) now: SystemTime,
    pub(super) wait: Wait,
}

impl Search<'_> {
    /// What the path leads to. `WouldBlock` says that a disk would be waited for.
    pub(super) fn find(&self) -> io::Result<Found> {
        let path = self.wanted.path.trim_end_matches('/');
        let found = match self.open(path) {
            Err(errno) if is_not_there(errno) => return Ok(Found::Nothing),
            found => found?,
        };
        match (found.kind, self.wanted.is_folder) {
            (Kind::File, false) => self.served(path, found).map(Found::File),
            (Kind::Directory, false) => Ok(Found::Folder),
            (Kind::Directory, true) => self.find_in_folder(path, &found),
            (Kind::File, true) | (Kind::Other, _) => Ok(Found::Nothing),
        }
    }

    fn open(&self, path: &str) -> rustix::io::Result<Opened> {
        self.shared.root.open(path, self.wait)
    }

    fn find_in_folder(&self, path: &str, folder: &Opened) -> io::Result<Found> {
        for name in &self.shared.index {
            let path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            match self.open(&path) {
                Ok(found) if found.kind == Kind::File => {
                    return self.served(&path, found).map(Found::File);
                }
                Err(errno) if !is_not_there(errno) => return Err(errno.into()),
                Ok(_) | Err(_) => {}
            }
        }
        match (self.shared.has_listing, self.wait) {
            (false, _) => Ok(Found::Nothing),
            (true, Wait::Never) => Err(io::ErrorKind::WouldBlock.into()),
            (true, Wait::AsLongAsItTakes) => {
                list(folder, self.shared.has_dotfiles).map(Found::Listing)
            }
        }
    }

    /// A file, or the one beside it that has the coding that is wanted.
    fn served(&self, path: &str, plain: Opened) -> io::Result<Served> {
        let kind = types::of(path);
        let varies = plain.length >= WORTH_CODING && types::is_worth_coding(kind);
        let (mut opened, mut coding) = (plain, None);
        if varies && let Some(wanted) = self.wanted.coding {
            match self.open(&format!("{path}{}", end_of(wanted))) {
                // One that is older was made of another text.
                Ok(found) if found.kind == Kind::File && found.modified >= opened.modified => {
                    (opened, coding) = (found, Some(wanted));
                }
                Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(_) | Err(_) => {}
            }
        }
        let tag = tag(&opened, self.now);
        let modified = httpdate::fmt_http_date(opened.modified);
        let validators = Validators { tag: Some(tag.clone()), modified: Some(opened.modified) };
        let (mut length, mut bytes) = (opened.length, None);
        if length <= SMALL {
            let mut all = vec![0; usize::try_from(length).unwrap_or(0)];
            // Less, if it has become shorter since.
            let count = read(opened.file.as_fd(), 0, &mut all, self.wait)?;
            all.truncate(count);
            (length, bytes) = (count as u64, Some(Arc::from(all)));
        }
        let (file, tag) = (Arc::new(File::from(opened.file)), tag.to_string());
        Ok(Served { file, bytes, length, kind, coding, varies, validators, tag, modified })
    }
}

fn end_of(coding: &str) -> &'static str {
    CODINGS.iter().find(|(name, _)| *name == coding).map_or("", |(_, end)| end)
}

/// Whether it is told as what is not there: not to be read, or a link that leads out of the root, is too.
fn is_not_there(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ACCESS
            | Errno::PERM
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::ILSEQ
            | Errno::NXIO
            | Errno::NODEV
    )
}

/// Size, time and inode; weak while a second change could have the same time.
fn tag(opened: &Opened, now: SystemTime) -> EntityTag {
    let since = opened.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let text = format!("{:x}-{:x}-{:x}", opened.length, since.as_nanos(), opened.inode);
    let age = now.duration_since(opened.modified).unwrap_or_default();
    let is_settled = age >= Duration::from_secs(2);
    let tag = if is_settled { EntityTag::strong(text) } else { EntityTag::weak(text) };
    tag.unwrap_or_else(|| unreachable!("hexadecimal digits and hyphens are allowed"))
}

/// So many rows a page has at most.
const MOST_ENTRIES: usize = 10_000;

fn list(folder: &Opened, has_dotfiles: bool) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder.file)? {
        let entry = entry?;
        // A name that is no text cannot be asked for.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if !is_name(name, has_dotfiles) {
            continue;
        }
        // Gone meanwhile, or a link to nowhere.
        let Ok(stat) = statat(&folder.file, name, AtFlags::NO_AUTOMOUNT) else { continue };
        entries.extend(Entry::new(name, &stat));
        if entries.len() == MOST_ENTRIES {
            break;
        }
    }
    Ok(entries)
}
