//! The files of a host's disk: what its programs find again after a crash, and what they do not.
//!
//! # Theory
//! A disk has files, and names for them. To a program both are as it left them. To the metal they are
//! as they were when they were last synced, and what was done since waits in two lists: the writes of
//! each file, and the changes of names. A crash lets the beginning of each list survive, how much of it
//! follows from the seed, and of the first write that does not survive perhaps some bytes.
//!
//! So a rename may survive whose file's bytes do not, unless they were synced first; and never a write
//! without those before it to the same file.
//!
//! # Invariants
//! * `content` is `durable` with all of `writes` done to it; `names` is `durable_names` with all of
//!   `changes`.

use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

/// What a disk has: files, and names for them.
#[derive(Default)]
pub(super) struct Files {
    /// By number, in order of creation.
    files: BTreeMap<u64, File>,
    names: BTreeMap<Rc<str>, u64>,
    durable_names: BTreeMap<Rc<str>, u64>,
    /// Of names, since they were synced.
    changes: Vec<Change>,
    made: u64,
}

#[derive(Default)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// Since it was synced.
    writes: Vec<Write>,
}

enum Write {
    At(usize, Box<[u8]>),
    Truncate,
}

enum Change {
    Name(Rc<str>, u64),
    Remove(Rc<str>),
    Rename(Rc<str>, Rc<str>),
}

impl Files {
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.find(name).map(|file| file.content.clone())
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// All of them, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &Rc<str>> {
        self.names.keys()
    }

    pub(super) fn write(&mut self, name: &str, data: &[u8]) {
        let file = self.find_or_make(name);
        file.do_now(Write::Truncate);
        file.do_now(Write::At(0, data.into()));
    }

    pub(super) fn append(&mut self, name: &str, data: &[u8]) {
        let file = self.find_or_make(name);
        file.do_now(Write::At(file.content.len(), data.into()));
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change_now(Change::Remove(name.into()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        self.change_now(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        self.files.values_mut().for_each(File::sync);
        self.sync_names(self.changes.len());
    }

    fn find(&self, name: &str) -> io::Result<&File> {
        let file = self.names.get(name).and_then(|number| self.files.get(number));
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"));
        file.ok_or_else(missing)
    }

    fn find_or_make(&mut self, name: &str) -> &mut File {
        let number = self.names.get(name).copied().unwrap_or_else(|| {
            self.made += 1;
            self.change_now(Change::Name(name.into(), self.made));
            self.made
        });
        self.files.entry(number).or_default()
    }

    fn change_now(&mut self, change: Change) {
        change.make(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn sync(&mut self, name: &str) -> io::Result<()> {
        self.find(name)?;
        if let Some(file) = self.names.get(name).and_then(|number| self.files.get_mut(number)) {
            file.sync();
        }
        // The last change that gave it this name, and what came before that.
        let gives = |change: &Change| match change {
            Change::Name(given, _) | Change::Rename(_, given) => &**given == name,
            Change::Remove(_) => false,
        };
        let count = self.changes.iter().rposition(gives).map_or(0, |place| place + 1);
        self.sync_names(count);
        Ok(())
    }

    /// So many changes of names are certain from now on.
    fn sync_names(&mut self, count: usize) {
        for change in self.changes.drain(..count) {
            change.make(&mut self.durable_names);
        }
        self.forget_nameless();
    }

    fn forget_nameless(&mut self) {
        let (names, durable) = (self.names.values(), self.durable_names.values());
        // One that was made and removed since may be there after a crash.
        let made = self.changes.iter().filter_map(|change| match change {
            Change::Name(_, number) => Some(number),
            _ => None,
        });
        let named: BTreeSet<u64> = names.chain(durable).chain(made).copied().collect();
        self.files.retain(|number, _| named.contains(number));
    }

    /// What was not synced is lost, or not, as the numbers will have it.
    pub(super) fn crash(&mut self, random: &mut Random) {
        for file in self.files.values_mut() {
            file.crash(random);
        }
        let count = random.below(self.changes.len() as u64 + 1) as usize;
        self.changes.truncate(count);
        self.sync_names(count);
        self.names = self.durable_names.clone();
        self.forget_nameless();
    }
}

impl File {
    fn do_now(&mut self, write: Write) {
        write.make(&mut self.content);
        self.writes.push(write);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.content);
        self.writes.clear();
    }

    fn crash(&mut self, random: &mut Random) {
        let kept = random.below(self.writes.len() as u64 + 1) as usize;
        let torn = self.writes.split_off(kept).into_iter().next();
        for write in self.writes.drain(..) {
            write.make(&mut self.durable);
        }
        if let Some(Write::At(at, data)) = torn {
            let count = random.below(data.len() as u64 + 1) as usize;
            Write::At(at, data[..count].into()).make(&mut self.durable);
        }
        self.content.clone_from(&self.durable);
    }
}

impl Write {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Write::Truncate => content.clear(),
            Write::At(at, data) => {
                content.resize((at + data.len()).max(content.len()), 0);
                content[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl Change {
    fn make(&self, names: &mut BTreeMap<Rc<str>, u64>) {
        match self {
            Change::Name(name, number) => drop(names.insert(name.clone(), *number)),
            Change::Remove(name) => drop(names.remove(name)),
            Change::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
        }
    }
}
