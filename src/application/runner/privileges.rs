//! Giving up root: another root directory, another user.
//!
//! # Invariants
//! * Names are looked up before the root changes: there may be no list of users in the new one.
//! * Groups go first, then the group, then the user: the other way round each would keep the next from going.
//! * What was given up is tried to be had again, and that must fail.

use super::options::ProcessSettings;
use super::status::{StartError, Status};
use nix::unistd::{
    Gid, Group, Uid, User, geteuid, getresgid, getresuid, initgroups, setgroups, setresgid,
    setresuid,
};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Whom to become.
#[derive(Debug)]
pub(super) struct Identity {
    user: Uid,
    group: Gid,
    /// Absent for a number that no list has: it is in no further groups.
    name: Option<CString>,
}

impl Identity {
    /// The user and the group that were asked for; `None` if neither was.
    pub(super) fn find(settings: &ProcessSettings) -> Result<Option<Identity>, StartError> {
        let group = settings.group.as_deref().map(find_group).transpose()?;
        let Some(user) = settings.user.as_deref() else {
            let of_group = |group| Identity { user: geteuid(), group, name: None };
            return Ok(group.map(of_group));
        };
        match find_user(user)? {
            Found::Listed(found) => Ok(Some(Identity {
                user: found.uid,
                group: group.unwrap_or(found.gid),
                name: CString::new(found.name).ok(),
            })),
            Found::Number(number) => {
                let what = format!("no list has the user {user}: say the group as well, by --gid");
                let group = group.ok_or_else(|| StartError::new(Status::Configuration, what))?;
                Ok(Some(Identity { user: number, group, name: None }))
            }
        }
    }

    pub(super) fn user(&self) -> u32 {
        self.user.as_raw()
    }

    pub(super) fn group(&self) -> u32 {
        self.group.as_raw()
    }

    /// Becomes this user for good.
    pub(super) fn assume(&self) -> Result<(), StartError> {
        if !geteuid().is_root() && (self.user, self.group) == (geteuid(), nix::unistd::getegid()) {
            return Ok(());
        }
        let cannot = |call: &str, error: nix::Error| {
            let what = format!("cannot run as user {} and group {}: {call}", self.user, self.group);
            StartError::new(Status::Permission, format_args!("{what}: {}", io::Error::from(error)))
        };
        match &self.name {
            Some(name) => initgroups(name, self.group),
            None => setgroups(&[self.group]),
        }
        .map_err(|error| cannot("setgroups", error))?;
        setresgid(self.group, self.group, self.group).map_err(|error| cannot("setgid", error))?;
        setresuid(self.user, self.user, self.user).map_err(|error| cannot("setuid", error))?;
        self.verify()
    }

    fn verify(&self) -> Result<(), StartError> {
        let user = getresuid().map(|all| [all.real, all.effective, all.saved]);
        let group = getresgid().map(|all| [all.real, all.effective, all.saved]);
        let root = Uid::from_raw(0);
        let is_given_up = user == Ok([self.user; 3])
            && group == Ok([self.group; 3])
            && (self.user.is_root() || setresuid(root, root, root).is_err());
        if is_given_up {
            return Ok(());
        }
        let what = "root's rights were given up and could be had again: not going on";
        Err(StartError::new(Status::Permission, what))
    }
}

enum Found {
    Listed(User),
    Number(Uid),
}

fn find_user(text: &str) -> Result<Found, StartError> {
    let number = text.parse::<u32>().ok().map(Uid::from_raw);
    let found = match number {
        Some(number) => User::from_uid(number),
        None => User::from_name(text),
    };
    match (found, number) {
        (Ok(Some(user)), _) => Ok(Found::Listed(user)),
        (_, Some(number)) => Ok(Found::Number(number)),
        (Ok(None), None) => Err(missing("user", text)),
        (Err(error), None) => {
            Err(StartError::of_system(format_args!("user {text}"), &error.into()))
        }
    }
}

fn find_group(text: &str) -> Result<Gid, StartError> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(missing("group", text)),
        Err(error) => Err(StartError::of_system(format_args!("group {text}"), &error.into())),
    }
}

fn missing(what: &str, text: &str) -> StartError {
    StartError::new(Status::Configuration, format_args!("there is no {what} {text:?}"))
}

/// Has a directory be the root from now on, and the working directory.
pub(super) fn change_root(path: &Path) -> Result<(), StartError> {
    let what = format!("cannot have {} be the root", path.display());
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StartError::of_configuration(&what, &error)
        }
        _ => StartError::of_system(&what, &error),
    };
    rustix::process::chroot(path).map_err(|error| cannot(error.into()))?;
    // A working directory outside of it would be a way out.
    std::env::set_current_dir("/").map_err(cannot)
}
