//! Descriptors that this process was started with, by their names.
//!
//! # Theory
//! Two speak of such descriptors: systemd in `LISTEN_FDS` and `LISTEN_FDNAMES`, if `LISTEN_PID` is this
//! process; and another process of this crate, that hands its own over, in `ROPEWALK_FDS=name:3,name:4`,
//! since a parent cannot know the number of the child in time. Names are escaped by percent signs, as both
//! of them divide by colons.
//!
//! The variables cannot be taken out of our own environment without unsafe code; so what was taken is kept
//! in a list, and children are started without them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What stands in the environment for this process alone.
pub(crate) const OWN_VARIABLES: [&str; 7] = [
    HANDED_OVER,
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The variable in which one process tells the next what it hands over: names and numbers of descriptors, as
/// `web:3,tcp%3A80:4`.
///
/// ```
/// assert_eq!(ropewalk::driver::HANDED_OVER, "ROPEWALK_FDS");
/// ```
pub const HANDED_OVER: &str = "ROPEWALK_FDS";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: String,
    number: u32,
}

/// What was not taken yet, in the order of their numbers; absent until somebody asks.
static NAMED: Mutex<Option<Vec<Named>>> = Mutex::new(None);

fn named() -> MutexGuard<'static, Option<Vec<Named>>> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a descriptor that this process was started with under a name: systemd's `LISTEN_FDNAMES` and what
/// another process of this crate handed over. The first of several of one name; each once.
///
/// What is open under its number afterwards is `/dev/null`. On Linux only.
///
/// ```
/// assert!(ropewalk::driver::take_inherited("web")?.is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn take_inherited(name: &str) -> io::Result<Option<OwnedFd>> {
    let mut named = named();
    let left = named.get_or_insert_with(read);
    let Some(place) = left.iter().position(|it| it.name == name) else { return Ok(None) };
    let found = left.remove(place);
    drop(named);
    take(found.number).map(Some)
}

/// The names of the descriptors that this process was started with and that nobody has taken yet.
///
/// ```
/// for name in ropewalk::driver::inherited_names() {
///     println!("nobody listens at {name}");
///     drop(ropewalk::driver::take_inherited(&name)); // or who connects there would wait for ever
/// }
/// ```
pub fn inherited_names() -> Vec<String> {
    named().get_or_insert_with(read).iter().map(|it| it.name.clone()).collect()
}

#[cfg(target_os = "linux")]
fn take(number: u32) -> io::Result<OwnedFd> {
    super::system::take_over(number)
}

#[cfg(not(target_os = "linux"))]
fn take(number: u32) -> io::Result<OwnedFd> {
    let why = format!("descriptor {number} cannot be taken over on this system");
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

fn read() -> Vec<Named> {
    find(std::process::id(), |variable| std::env::var(variable).ok())
}

fn find(process: u32, environment: impl Fn(&str) -> Option<String>) -> Vec<Named> {
    let mut found = handed_over(&environment(HANDED_OVER).unwrap_or_default());
    let number = |variable| environment(variable).and_then(|text| text.parse::<u32>().ok());
    if let (Some(pid), Some(count)) = (number("LISTEN_PID"), number("LISTEN_FDS"))
        && pid == process
    {
        let names = environment("LISTEN_FDNAMES").unwrap_or_default();
        let numbers = 3..count.saturating_add(3);
        let named = names.split(':').zip(numbers);
        found.extend(named.map(|(name, number)| Named { name: unescape(name), number }));
    }
    found.sort_by_key(|it| it.number);
    found
}

fn handed_over(text: &str) -> Vec<Named> {
    let entry = |entry: &str| {
        let (name, number) = entry.rsplit_once(':')?;
        Some(Named { name: unescape(name), number: number.parse().ok()? })
    };
    text.split(',').filter_map(entry).collect()
}

/// A name as both variables can have it.
///
/// ```
/// use ropewalk::driver::escape_name;
///
/// assert_eq!(escape_name("tcp:80"), "tcp%3A80");
/// ```
pub fn escape_name(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._/@+".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(name: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Vec<(String, u32)> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        find(7, environment).into_iter().map(|it| (it.name, it.number)).collect()
    }

    #[test]
    fn descriptors_are_found_by_the_names_of_systemd_and_of_another_process_of_ours() {
        let ours = (HANDED_OVER, "tcp%3A80:5,@ready:6");
        assert_eq!(found(&[ours]), [("tcp:80".to_owned(), 5), ("@ready".to_owned(), 6)]);
        let theirs = [("LISTEN_PID", "7"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:b%3a")];
        assert_eq!(found(&theirs), [("web".to_owned(), 3), ("b:".to_owned(), 4)]);
        let others = [("LISTEN_PID", "8"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:b")];
        assert_eq!(found(&others), []);
    }

    #[test]
    fn whatever_stands_in_the_variables_is_no_panic() {
        for text in ["", ",", ":", "a", "a:", ":3", "a:-1", "a:99999999999", "%:3", "%zz:3", "%é:3"]
        {
            found(&[(HANDED_OVER, text)]);
            found(&[("LISTEN_PID", "7"), ("LISTEN_FDS", "4294967295"), ("LISTEN_FDNAMES", text)]);
        }
    }

    #[test]
    fn a_name_comes_back_from_its_escapes() {
        for name in ["", "web", "unix:/run/a b,c", "100%", "ü=\\"] {
            assert_eq!(unescape(&escape_name(name)), name);
        }
    }
}
