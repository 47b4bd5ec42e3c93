// Files below a folder, as a resource.
//
// # Theory
// A request is answered in three steps: its path becomes a thing (`find`), the thing and the request's
// fields become an answer (`answer`), and its bytes are given along or moved by the system. The first
// two are tried where the request is, with what the kernel has in memory; whatever a disk would be waited
// for is done again, from its start, in a thread. In a simulation all is done there, so that what this
// machine has in memory decides nothing.
//
// What a request finds may be kept for a second (`kept`): then it costs no system call at all.
//
// # Not here
// How a path is opened beneath the folder, and why nothing else can be: `open.rs`.

mod answer;
mod find;
mod kept;
mod listing;
mod open;
mod pieces;
mod range;
mod types;

use super::{Method, Outgoing, Reply, Request, Resource, Response, Status};
use crate::failure::Result;
use find::{Found, Search, Wanted};
use kept::Kept;
use open::{Root, Wait};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The files below a folder.
///
/// * Nothing outside of the folder is served, whatever a path or a link says: the kernel itself resolves
///   beneath it (`openat2`, Linux 5.6). Names that begin with a dot are not there unless
///   [`dotfiles`](Files::dotfiles) are asked for. What may not be read is told as what is not there.
/// * GET and HEAD, with conditions (RFC 9110, 13) and ranges (14); a strong `ETag` of size, time and inode,
///   weak for a file that was changed in the last two seconds.
/// * A folder is asked for its index, `index.html` or `index.htm`; without a slash at its end the answer
///   leads there. Without an index it is not found, unless [`listing`](Files::listing) is asked for.
/// * For a text of a kilobyte or more, `name.br`, `name.zst` and `name.gz` beside it go to those who take
///   that coding.
/// * No disk is waited for in the loop. Small files go out in one piece with the head, large ones are moved
///   by the system ([`Transport::send_file_part`](crate::Transport::send_file_part)).
///
/// ```
/// use ropewalk::http::{Files, Site};
/// use std::time::Duration;
///
/// let files = Files::new("src")?.listing().keep_open(1000, Duration::from_secs(1));
/// let site = Site::new(files);
/// # let _ = site;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Deviations from Twisted
/// `static.File` knows no `ETag` and no `If-Range`, takes any number of ranges, follows links out of its
/// folder, and reads in the loop.
#[doc(alias = "static.File")]
#[derive(Clone)]
pub struct Files {
    shared: Arc<Shared>,
    kept: Option<Rc<RefCell<Kept>>>,
    not_found: Option<Rc<dyn Resource>>,
}

/// What a thread needs as well.
#[derive(Clone)]
struct Shared {
    root: Arc<Root>,
    index: Vec<Cow<'static, str>>,
    has_listing: bool,
    has_dotfiles: bool,
    cache_control: Option<String>,
}

/// What is sent in one piece with the head.
const SMALL: u64 = 16 << 10;

impl Files {
    /// The files below a folder, which is opened now: it may be moved afterwards, and is served still.
    pub fn new(folder: impl AsRef<Path>) -> io::Result<Files> {
        let folder = folder.as_ref();
        let root = Root::new(folder).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("the folder {}: {error}", folder.display()))
        })?;
        let shared = Shared {
            root: Arc::new(root),
            index: vec!["index.html".into(), "index.htm".into()],
            has_listing: false,
            has_dotfiles: false,
            cache_control: None,
        };
        Ok(Files { shared: Arc::new(shared), kept: None, not_found: None })
    }

    /// The names of which the first that is there stands for its folder.
    #[doc(alias = "indexNames")]
    #[must_use]
    pub fn index(self, names: impl IntoIterator<Item = impl Into<String>>) -> Files {
        let names = names.into_iter().map(|name| Cow::Owned(name.into())).collect();
        self.with(|shared| shared.index = names)
    }

    /// A folder without an index shows what is in it.
    #[doc(alias = "DirectoryLister")]
    #[must_use]
    pub fn listing(self) -> Files {
        self.with(|shared| shared.has_listing = true)
    }

    /// Names that begin with a dot are served too.
    #[must_use]
    pub fn dotfiles(self) -> Files {
        self.with(|shared| shared.has_dotfiles = true)
    }

    /// What the field `Cache-Control` says of every file: `no-cache`, `max-age=3600`.
    ///
    /// Fails for a value that no field can have.
    pub fn cache_control(self, value: impl Into<String>) -> Result<Files, super::InvalidHeader> {
        let value = value.into();
        super::Headers::new().append("Cache-Control", &value)?;
        Ok(self.with(|shared| shared.cache_control = Some(value)))
    }

    /// Keeps up to so many files open that were asked for, and those of up to 16 KiB in memory, and looks
    /// after this time whether they are still the same. Then a small file costs no system call but those of
    /// its connection.
    #[must_use]
    pub fn keep_open(mut self, files: usize, look_again: Duration) -> Files {
        self.kept = Some(Rc::new(RefCell::new(Kept::new(files, look_again))));
        self
    }

    /// What answers for a path at which nothing is.
    #[doc(alias = "childNotFound")]
    #[must_use]
    pub fn not_found(mut self, resource: impl Resource + 'static) -> Files {
        self.not_found = Some(Rc::new(resource));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Files {
        change(Arc::make_mut(&mut self.shared));
        self
    }

    /// Answers with what was found; keeps it if that is asked for.
    fn answer(&self, request: &Request, wanted: &Wanted, found: Found) -> Result<Reply> {
        match found {
            Found::File(file) => {
                let file = Rc::new(file);
                if let Some(kept) = &self.kept {
                    let now = request.reactor().now();
                    kept.borrow_mut().keep(wanted.clone(), file.clone(), now);
                }
                answer::file(request, &self.shared, &file)
            }
            Found::Listing(entries) => answer::listing(&wanted.path, entries),
            Found::Folder => answer::to_slash(request),
            Found::Nothing => match &self.not_found {
                Some(resource) => resource.render(request),
                None => Ok(Reply::Answer(Response::from(Status::NOT_FOUND))),
            },
        }
    }
}

impl Resource for Files {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        if !matches!(request.method(), Method::Get | Method::Head) {
            let refusal = Response::from(Status::METHOD_NOT_ALLOWED);
            return Ok(Reply::Answer(refusal.header("Allow", "GET, HEAD")?));
        }
        let Some(wanted) = Wanted::by(request, self.shared.has_dotfiles) else {
            return self.answer(request, &Wanted::default(), Found::Nothing);
        };
        if let Some(kept) = &self.kept {
            let file = kept.borrow_mut().find(&wanted, request.reactor().now());
            if let Some(file) = file {
                return answer::file(request, &self.shared, &file);
            }
        }
        if !request.reactor().is_simulated() {
            let now = request.reactor().system_time();
            let search = Search { shared: &self.shared, wanted: &wanted, now, wait: Wait::Never };
            match search.find() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return self.answer(request, &wanted, found?),
            }
        }
        self.find_in_thread(request, wanted)
    }
}

impl Files {
    #[inline(never)]
    fn find_in_thread(&self, request: &Request, wanted: Wanted) -> Result<Reply> {
        let (shared, asked) = (self.shared.clone(), wanted.clone());
        let now = request.reactor().system_time();
        let finding = request.reactor().defer_to_thread(move || {
            let wait = Wait::AsLongAsItTakes;
            Ok(Search { shared: &shared, wanted: &asked, now, wait }.find()?)
        });
        let (files, request) = (self.clone(), request.clone());
        let reply = finding.map(move |found| match files.answer(&request, &wanted, found) {
            Ok(reply) => reply,
            Err(failure) => Reply::Failed(failure),
        });
        Ok(Reply::Deferred(Box::new(reply)))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("root", &self.shared.root).finish_non_exhaustive()
    }
}

/// The body of a file's bytes that are in memory.
fn bytes(bytes: &Arc<[u8]>, part: std::ops::Range<u64>) -> Outgoing {
    // A part of a small file, whose length a usize holds.
    Outgoing::Bytes(bytes[part.start as usize..part.end as usize].to_vec())
}
