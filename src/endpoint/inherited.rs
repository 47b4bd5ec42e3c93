//! Listening sockets that this process was started with: by number, or as systemd hands them over.
//!
//! systemd passes descriptors from 3 on and says so in the environment: `LISTEN_PID` for whom they
//! are, `LISTEN_FDS` how many, `LISTEN_FDNAMES` their names between colons.

use std::io;

/// Which of systemd's sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Index(u32),
    Name(String),
}

impl Choice {
    /// What it is called among all descriptors that a process is started with.
    pub(super) fn name(&self) -> String {
        match self {
            Choice::Index(index) => format!("systemd:{index}"),
            Choice::Name(name) => name.clone(),
        }
    }
}

const FIRST: u32 = 3;

/// The number of the descriptor that systemd passed.
pub(super) fn passed(choice: &Choice) -> io::Result<u32> {
    find(choice, std::process::id(), |variable| std::env::var(variable).ok())
}

fn find(
    choice: &Choice,
    process: u32,
    environment: impl Fn(&str) -> Option<String>,
) -> io::Result<u32> {
    let not_found = |why: String| io::Error::new(io::ErrorKind::NotFound, why);
    let number = |variable| environment(variable).and_then(|text| text.parse::<u32>().ok());
    let count = match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == process => count,
        _ => return Err(not_found("systemd passed this process no sockets".into())),
    };
    let index = match choice {
        Choice::Index(index) => *index,
        Choice::Name(name) => {
            let names = environment("LISTEN_FDNAMES").unwrap_or_default();
            let position = names.split(':').position(|other| other == name);
            let position = position.and_then(|position| u32::try_from(position).ok());
            position.ok_or_else(|| not_found(format!("systemd passed {names:?}, not {name:?}")))?
        }
    };
    if index >= count {
        return Err(not_found(format!("systemd passed {count} sockets, none has index {index}")));
    }
    Ok(FIRST + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(choice: Choice, pid: &str, count: &str, names: &str) -> Result<u32, String> {
        let environment = |variable: &str| match variable {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(count.to_owned()),
            _ => Some(names.to_owned()),
        };
        find(&choice, 7, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn sockets_are_found_by_index_and_by_name() {
        assert_eq!(passed(Choice::Index(1), "7", "2", ""), Ok(4));
        assert_eq!(passed(Choice::Name("http".into()), "7", "2", "https:http"), Ok(4));
    }

    #[test]
    fn sockets_for_another_process_or_that_are_not_there_are_none() {
        let nothing = Err("systemd passed this process no sockets".into());
        assert_eq!(passed(Choice::Index(0), "8", "1", ""), nothing);
        assert_eq!(passed(Choice::Index(0), "7", "", ""), nothing);
        assert!(passed(Choice::Index(1), "7", "1", "").unwrap_err().contains("none has index 1"));
        assert!(passed(Choice::Name("x".into()), "7", "1", "y").unwrap_err().contains("not \"x\""));
        assert!(
            passed(Choice::Name("z".into()), "7", "1", "y:z").is_err(),
            "more names than sockets"
        );
    }
}
