//! A host's disk, as its programs and its test have it: a call is made, counted and noted.

use super::fault::Injected;
use super::files::Files;
use super::host::Host;
use super::run::World;
use super::trace::EventKind;
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
///
/// disk.write("state.new", b"7")?; // to lose neither state: write, sync, rename, sync
/// disk.sync("state.new")?;
/// disk.rename("state.new", "state")?;
/// disk.remove("log")?;
/// disk.sync_all()?;
/// assert!(disk.exists("state") && disk.names() == ["state"]);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct Disk {
    world: Rc<World>,
    host: usize,
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
        self.world.state.borrow().machines[self.host].disk.read(name)
    }

    /// Whether there is a file of that name.
    pub fn exists(&self, name: &str) -> bool {
        self.world.state.borrow().machines[self.host].disk.exists(name)
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let state = self.world.state.borrow();
        state.machines[self.host].disk.names().map(|name| name.to_string()).collect()
    }

    /// Puts these bytes in the place of all that a file has; makes the file if there is none.
    ///
    /// A crash may come in between: who must not lose the former bytes writes to another name, syncs,
    /// and renames.
    pub fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        self.change(format_args!("writes {} bytes to {name}", data.len()), data, |disk| {
            disk.write(name, data);
            Ok(())
        })
    }

    /// Writes at the end of a file; makes it if there is none.
    pub fn append(&self, name: &str, data: &[u8]) -> io::Result<()> {
        self.change(format_args!("appends {} bytes to {name}", data.len()), data, |disk| {
            disk.append(name, data);
            Ok(())
        })
    }

    /// Removes a file. That is certain once all is synced ([`sync_all`](Disk::sync_all)).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.change(format_args!("removes {name}"), &[], |disk| disk.remove(name))
    }

    /// Gives a file another name, in the place of the file that has that, if there is one.
    ///
    /// After a crash it has one name or the other. It has the new one for certain once that is synced.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(format_args!("renames {from} to {to}"), &[], |disk| disk.rename(from, to))
    }

    /// Makes sure that a crash leaves this file, under this name, with the bytes that it has now.
    pub fn sync(&self, name: &str) -> io::Result<()> {
        self.change(format_args!("syncs {name}"), &[], |disk| disk.sync(name))
    }

    /// Makes sure that a crash leaves all as it is now, names that were removed included.
    pub fn sync_all(&self) -> io::Result<()> {
        self.change(format_args!("syncs its disk"), &[], |disk| {
            disk.sync_all();
            Ok(())
        })
    }

    /// Makes a call that changes something: only a host that is up can.
    fn change(
        &self,
        what: fmt::Arguments<'_>,
        data: &[u8],
        change: impl FnOnce(&mut Files) -> io::Result<()>,
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
