//! A host's disk: what its programs find again after a crash, and what they do not.
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

use super::host::Host;
use super::random::Random;
use super::reports::Injected;
use super::run::World;
use super::trace::EventKind;
use super::world::State;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::rc::Rc;

/// A host's disk: files by name, which outlive a crash as far as they were synced.
///
/// What was not synced survives or does not, as the seed will have it: of the writes to a file the first
/// ones, the last of them perhaps in part; of the names that were made, changed and removed, the first
/// ones too, whatever became of the bytes. That is what file systems promise, and no more. Calls take no
/// time.
///
/// ```
/// use ropewalk::simulation::Simulation;
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server");
/// let disk = server.disk();
/// disk.append("log", b"one\n")?;
/// disk.sync("log")?;
/// disk.append("log", b"two\n")?;
/// server.restart(); // which crashes it first
/// let log = disk.read("log")?;
/// assert!(log.starts_with(b"one\n"), "that was synced");
/// assert!(b"one\ntwo\n".starts_with(&log), "of the rest, whatever the seed says");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct Disk {
    world: Rc<World>,
    host: usize,
}

/// What a machine has of it.
#[derive(Default)]
pub(super) struct DiskState {
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

impl Host {
    /// Its disk, which outlives it.
    pub fn disk(&self) -> Disk {
        Disk { world: self.world.clone(), host: self.index }
    }
}

impl Disk {
    /// The bytes of a file; `NotFound` if there is none of that name.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.world.state.borrow().machines[self.host].disk.find(name).map(|it| it.content.clone())
    }

    /// Whether there is a file of that name.
    pub fn exists(&self, name: &str) -> bool {
        self.world.state.borrow().machines[self.host].disk.names.contains_key(name)
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let state = self.world.state.borrow();
        state.machines[self.host].disk.names.keys().map(|name| name.to_string()).collect()
    }

    /// Puts these bytes in the place of all that a file has; makes the file if there is none.
    ///
    /// A crash may come in between: who must not lose the former bytes writes to another name, syncs,
    /// and renames.
    pub fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        self.change(format_args!("writes {} bytes to {name}", data.len()), data, |disk| {
            let file = disk.find_or_make(name);
            file.do_now(Write::Truncate);
            file.do_now(Write::At(0, data.into()));
            Ok(())
        })
    }

    /// Writes at the end of a file; makes it if there is none.
    pub fn append(&self, name: &str, data: &[u8]) -> io::Result<()> {
        self.change(format_args!("appends {} bytes to {name}", data.len()), data, |disk| {
            let file = disk.find_or_make(name);
            file.do_now(Write::At(file.content.len(), data.into()));
            Ok(())
        })
    }

    /// Removes a file. That is certain once all is synced ([`sync_all`](Disk::sync_all)).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.change(format_args!("removes {name}"), &[], |disk| {
            disk.find(name)?;
            disk.change_now(Change::Remove(name.into()));
            Ok(())
        })
    }

    /// Gives a file another name, in the place of the file that has that, if there is one.
    ///
    /// After a crash it has one name or the other. It has the new one for certain once that is synced.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(format_args!("renames {from} to {to}"), &[], |disk| {
            disk.find(from)?;
            disk.change_now(Change::Rename(from.into(), to.into()));
            Ok(())
        })
    }

    /// Makes sure that a crash leaves this file, under this name, with the bytes that it has now.
    pub fn sync(&self, name: &str) -> io::Result<()> {
        self.change(format_args!("syncs {name}"), &[], |disk| disk.sync(name))
    }

    /// Makes sure that a crash leaves all as it is now, names that were removed included.
    pub fn sync_all(&self) -> io::Result<()> {
        self.change(format_args!("syncs its disk"), &[], |disk| {
            disk.files.values_mut().for_each(File::sync);
            disk.sync_names(disk.changes.len());
            Ok(())
        })
    }

    /// Makes a call that changes something: only a host that is up can.
    fn change(
        &self,
        what: fmt::Arguments<'_>,
        data: &[u8],
        change: impl FnOnce(&mut DiskState) -> io::Result<()>,
    ) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        let machine = &mut state.machines[self.host];
        if !machine.is_up {
            return Err(Injected("the host is down", io::ErrorKind::Other).into());
        }
        change(&mut machine.disk)?;
        state.trace.count_bytes(data);
        state.note(self.host, 0, EventKind::Noted(what.to_string().into()));
        Ok(())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl DiskState {
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

    fn sync(&mut self, name: &str) -> io::Result<()> {
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

    fn crash(&mut self, random: &mut Random) {
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

impl State {
    /// What was not synced is lost, or not, as the seed will have it.
    pub(super) fn crash_disk(&mut self, host: usize) {
        let disk = &mut self.machines[host].disk;
        disk.crash(&mut self.random);
    }
}
