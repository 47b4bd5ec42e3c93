//! Events for the system's own log, as RFC 5424 has them, over a Unix socket for datagrams.

use super::format::{push_text, timestamp};
use super::publisher::{Observation, observe};
use super::{LogEvent, LogLevel};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Sends this thread's events to the system's log, until it is dropped.
///
/// Each event is a datagram. One that the system does not take is lost and counted; the next that it takes
/// is preceded by one that tells how many.
///
/// ```
/// use ropewalk::application::log::{Logger, Syslog};
///
/// # let folder = std::env::temp_dir().join(format!("ropewalk-syslog-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("log");
/// # let socket = std::os::unix::net::UnixDatagram::bind(&path)?;
/// let syslog = Syslog::open(&path, "mailhost")?; // `Syslog::PATH` where it is the system's own
/// Logger::new("mail").info("started");
/// # let mut datagram = [0; 200];
/// # let count = socket.recv(&mut datagram)?;
/// # let datagram = std::str::from_utf8(&datagram[..count])?;
/// assert!(datagram.starts_with("<30>1 ") && datagram.ends_with(" [mail] started"));
/// # drop(syslog);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct Syslog {
    _observation: Observation,
}

struct Sender {
    path: PathBuf,
    /// The program's name, and its process' number.
    tag: String,
    /// Absent while the system's log does not answer. Borrowed for one call to it.
    socket: RefCell<Option<UnixDatagram>>,
    lost: Cell<u64>,
}

/// Daemons without a facility of their own.
const DAEMON: u8 = 3;
/// What every receiver of datagrams takes.
const MOST_BYTES: usize = 8 * 1024;

impl Syslog {
    /// Where the system's log listens.
    pub const PATH: &str = "/dev/log";

    /// Begins to send to the socket at `path`; `program` is the name that events carry.
    ///
    /// The path is looked up now, and again if the log's daemon was started anew.
    pub fn open(path: impl AsRef<Path>, program: &str) -> io::Result<Syslog> {
        let path = path.as_ref().to_owned();
        let socket = RefCell::new(Some(connect(&path)?));
        let tag = format!("{} {}", name_of(program), std::process::id());
        let sender = Sender { path, tag, socket, lost: Cell::new(0) };
        Ok(Syslog { _observation: observe(move |event| sender.send(event)) })
    }
}

/// What may be a name: 48 visible characters of ASCII.
fn name_of(program: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let name: String = program.chars().map(visible).take(48).collect();
    if name.is_empty() { "-".into() } else { name }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

impl Sender {
    fn send(&self, event: &LogEvent) {
        let lost = self.lost.get();
        if lost > 0 {
            let text = format!("{lost} events were lost: the system's log did not take them");
            let told = LogEvent::new(LogLevel::Error, "ropewalk".into(), text);
            if self.put(&told).is_err() {
                return self.lost.set(lost + 1);
            }
            self.lost.set(0);
        }
        if self.put(event).is_err() {
            self.lost.set(self.lost.get() + 1);
        }
    }

    fn put(&self, event: &LogEvent) -> io::Result<()> {
        let datagram = self.datagram(event);
        let put = |socket: &UnixDatagram| socket.send(&datagram).map(drop);
        let first =
            self.socket.borrow().as_ref().map_or(Err(io::ErrorKind::NotConnected.into()), put);
        match first {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            // Its daemon was started anew, at another socket of the same name.
            Err(_) => {
                let socket = connect(&self.path).ok();
                self.socket.replace(socket);
                self.socket.borrow().as_ref().map_or(Err(io::ErrorKind::NotConnected.into()), put)
            }
            Ok(()) => Ok(()),
        }
    }

    fn datagram(&self, event: &LogEvent) -> Vec<u8> {
        let priority = DAEMON * 8 + event.level().severity();
        let time = timestamp(event.time());
        // The host is known to the receiver; there is no kind of message, and no data but the text.
        let mut text = format!("<{priority}>1 {time} - {} - - ", self.tag);
        write!(text, "[{}] ", event.namespace()).expect("writing to a string cannot fail");
        push_text(&mut text, event);
        let fits = (0..=MOST_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(fits.unwrap_or(0));
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::log::Logger;

    #[test]
    fn events_that_the_log_did_not_take_are_counted_and_told_when_it_is_back() {
        let folder = std::env::temp_dir().join(format!("ropewalk-sys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open(&path, "a b").unwrap();
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let log = Logger::new("x");
        log.info("one");
        log.info("two");
        let daemon = UnixDatagram::bind(&path).unwrap();
        log.warn("three\n");
        let next = || {
            let mut space = [0; 500];
            let count = daemon.recv(&mut space).unwrap();
            String::from_utf8(space[..count].to_vec()).unwrap()
        };
        let (told, three) = (next(), next());
        assert!(told.starts_with("<27>1 ") && told.contains("2 events were lost"), "{told}");
        assert!(three.starts_with("<28>1 ") && three.ends_with("[x] three\\n"), "{three}");
        assert!(three.contains(&format!(" - a_b {} - - ", std::process::id())), "{three}");
        drop(syslog);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
