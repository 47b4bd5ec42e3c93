//! Programs that are started for each connection, as a file says.
//!
//! A program's standard input and output are pipes, whose ends are passed on to the connection: so a
//! connection of whatever transport will do, and one that ends is seen by the program as the end of input.

use super::relay::relay_halves;
use super::{Ports, log, server};
use crate::application::runner::{ServiceMaker, StartError, Status};
use crate::process::{ChildDescriptor, ProcessOptions};
use crate::reactor::Signal;
use crate::service::{MultiService, Running};
use crate::{Failure, Port, Result, ServerEndpoint, Stream};
use bpaf::positional;
use futures_util::io::{AsyncWriteExt, copy, sink};
use nix::unistd::{Gid, Uid, User};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

/// `inetd FILE`: listens at what the lines of a file say, and starts a program for each connection.
///
/// A line is `service type protocol wait user program arguments`, as of old: the service is a name of
/// `/etc/services`, a number, or an endpoint; the type is `stream`, the protocol `tcp`, the wait `nowait`; the
/// arguments begin with the program's name. The program `internal` is one of the services `echo`, `discard`,
/// `daytime` and `time`.
///
/// ```
/// assert_eq!(ropewalk::application::commands::inetd().name(), "inetd");
/// ```
pub fn inetd() -> ServiceMaker {
    let file = positional::<PathBuf>("FILE").help("What to listen at, and what to start");
    ServiceMaker::new("inetd", "Start a program for each connection", file, |file| read(&file))
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    at: ServerEndpoint,
    does: Does,
}

#[derive(Clone, Debug)]
enum Does {
    Start { user: Option<(Uid, Gid)>, program: String, arguments: Vec<String> },
    Echo,
    Discard,
    Daytime,
    Time,
}

fn read(file: &Path) -> Result<MultiService> {
    let text = fs::read_to_string(file).map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Status::Permission,
            _ => Status::Configuration,
        };
        StartError::new(status, format_args!("cannot read {}: {error}", file.display()))
    })?;
    let mut all = MultiService::new("inetd");
    let mut names = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = entry(line).map_err(|why| {
            let what = format!("{}: line {}: {why}", file.display(), number + 1);
            StartError::new(Status::Configuration, what)
        })?;
        // Two lines may listen at different addresses for one service.
        let name = match names.contains(&entry.name) {
            true => format!("{} of line {}", entry.name, number + 1),
            false => entry.name.clone(),
        };
        names.insert(name.clone());
        let (at, entry) = (vec![entry.at.clone()], Rc::new(entry));
        all = all.add_service(Ports::new(name, at, move |up, at| serve(up, at, &entry)));
    }
    if names.is_empty() {
        let what = format!("{}: it names nothing to listen at", file.display());
        return Err(StartError::new(Status::Configuration, what).into());
    }
    Ok(all)
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_whitespace();
    let mut next = |what: &str| words.next().ok_or(format!("the {what} is missing"));
    let name = next("service")?;
    let [kind, protocol, wait] = [next("type")?, next("protocol")?, next("wait")?];
    let (user, program) = (next("user")?, next("program")?);
    for (word, only, what) in
        [(kind, "stream", "type"), (protocol, "tcp", "protocol"), (wait, "nowait", "wait")]
    {
        if word != only {
            return Err(format!("of the {what} {only} alone is served, not {word:?}"));
        }
    }
    // The first is the name that the program sees as its own; ours sees its path.
    let arguments: Vec<_> = words.skip(1).map(str::to_owned).collect();
    let does = match (program, name) {
        ("internal", "echo") => Does::Echo,
        ("internal", "discard") => Does::Discard,
        ("internal", "daytime") => Does::Daytime,
        ("internal", "time") => Does::Time,
        ("internal", _) => return Err(format!("there is no internal service {name:?}")),
        (program, _) => {
            Does::Start { user: find_user(user)?, program: program.to_owned(), arguments }
        }
    };
    Ok(Entry { name: name.to_owned(), at: place(name)?, does })
}

/// `None` is who this program runs as.
fn find_user(name: &str) -> Result<Option<(Uid, Gid)>, String> {
    let found = User::from_name(name).map_err(|error| format!("user {name}: {error}"))?;
    let found = found.ok_or_else(|| format!("there is no user {name:?}"))?;
    Ok((found.uid != nix::unistd::geteuid()).then_some((found.uid, found.gid)))
}

fn place(name: &str) -> Result<ServerEndpoint, String> {
    if name.contains(':') {
        return server(name);
    }
    let number = name.parse::<u16>().ok().or_else(|| port_of(name));
    let number = number.ok_or_else(|| format!("/etc/services has no {name:?} over tcp"))?;
    server(&format!("tcp:{number}"))
}

fn port_of(name: &str) -> Option<u16> {
    let text = fs::read_to_string("/etc/services").ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, place) = (words.next()?, words.next()?);
        let number = place.strip_suffix("/tcp")?.parse().ok()?;
        (first == name || words.any(|alias| alias == name)).then_some(number)
    })
}

fn serve(up: &Running, at: &ServerEndpoint, entry: &Rc<Entry>) -> Result<Port> {
    let (entry, log) = (entry.clone(), log(up));
    up.serve(at, async move |stream| {
        let peer = stream.peer();
        let outcome = answer(stream, &entry.does).await;
        if let Err(failure) = &outcome {
            log.event(crate::application::log::LogLevel::Warn, &entry.name)
                .with("peer", peer)
                .failure(failure)
                .emit();
        }
        // It was told here; the connection is ended all the same.
        outcome.map_err(Failure::of_peer)
    })
}

/// Seconds from 1900, where the protocol of time begins, to 1970.
const FROM_1900: u64 = 2_208_988_800;

async fn answer(mut stream: Stream, does: &Does) -> Result {
    match does {
        Does::Start { user, program, arguments } => start(stream, *user, program, arguments).await,
        Does::Echo => {
            let (reader, mut writer) = stream.split();
            copy(reader, &mut writer).await?;
            Ok(writer.close().await?)
        }
        Does::Discard => Ok(copy(stream, &mut sink()).await.map(drop)?),
        Does::Daytime => {
            let now = crate::application::log::timestamp(stream.reactor().system_time());
            Ok(stream.write_all(format!("{now}\r\n").as_bytes()).await?)
        }
        Does::Time => {
            let since = stream.reactor().system_time().duration_since(UNIX_EPOCH)?;
            // The protocol has 32 bits, and begins anew in 2036.
            let seconds = (since.as_secs() + FROM_1900) as u32;
            Ok(stream.write_all(&seconds.to_be_bytes()).await?)
        }
    }
}

async fn start(
    stream: Stream,
    user: Option<(Uid, Gid)>,
    program: &str,
    arguments: &[String],
) -> Result {
    let errors = std::io::stderr().as_fd().try_clone_to_owned()?;
    let mut options =
        ProcessOptions::new(program).args(arguments).descriptor(2, ChildDescriptor::Share(errors));
    if let Some((user, group)) = user {
        options = options.uid(user.as_raw()).gid(group.as_raw());
    }
    let child = stream.reactor().open_process(options).await?;
    let process = child.process;
    let passed = relay_halves(stream, child.stdout, child.stdin).await;
    if passed.is_err() {
        // Nobody hears it any more; it may have ended by itself.
        let _ = process.signal(Signal::Term);
    }
    process.wait().await?;
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_of_old_and_what_is_wrong_is_told() {
        let cat = entry("8123 stream tcp nowait root /bin/cat cat -u").unwrap();
        assert_eq!((cat.name.as_str(), cat.at.to_string().as_str()), ("8123", "tcp:8123"));
        let Does::Start { program, arguments, .. } = cat.does else { panic!("a program") };
        assert_eq!((program.as_str(), &arguments[..]), ("/bin/cat", &["-u".to_owned()][..]));
        for (line, why) in [
            ("8123 stream tcp nowait root", "the program is missing"),
            ("8123 dgram udp wait root /bin/cat", "of the type stream alone is served"),
            ("8123 stream tcp nowait no-such-user /bin/cat", "there is no user"),
            ("nonsense-9 stream tcp nowait root /bin/cat", "/etc/services has no"),
            ("8123 stream tcp nowait root internal", "there is no internal service"),
            ("tcp:99999 stream tcp nowait root /bin/cat", "the port is a number"),
        ] {
            let told = entry(line).unwrap_err();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
