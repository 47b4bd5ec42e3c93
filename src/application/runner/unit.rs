//! A unit file for systemd, of the arguments that the program was called with.

use super::options::Settings;
use std::ffi::OsString;
use std::path::Path;

pub(super) fn unit(
    program: &Path,
    arguments: &[OsString],
    name: &str,
    settings: &Settings,
) -> String {
    let is_ours = |it: &&OsString| *it == "--unit" || *it == "--daemonize";
    let arguments = arguments.iter().filter(|it| !is_ours(it));
    let words = arguments.map(|it| quoted(&it.to_string_lossy()));
    let command: Vec<_> =
        std::iter::once(quoted(&program.to_string_lossy())).chain(words).collect();
    let limit = settings.drain.map_or(30, |limit| limit.as_secs()).saturating_add(5);
    format!(
        "\
[Unit]
Description={name}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify-reload
# systemd before 253: Type=notify and ExecReload=kill -HUP $MAINPID
ExecStart={}
# SIGTERM drains; whoever is left is killed after that.
TimeoutStopSec={limit}
KillMode=mixed
Restart=on-failure
# A loop that does not turn for so long is started anew.
WatchdogSec=30
# Listening sockets outlive a restart of the program.
FileDescriptorStoreMax=64
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
",
        command.join(" ")
    )
}

/// A word as systemd reads it: blanks and quotes escaped, and what it would put something in place of.
fn quoted(word: &str) -> String {
    let doubled = word.replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | ';');
    if !doubled.is_empty() && doubled.chars().all(is_plain) {
        return doubled;
    }
    format!("\"{}\"", doubled.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_read_as_they_were_given() {
        assert_eq!(quoted("tcp:80"), "tcp:80");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("50%$x"), "50%%$$x");
        assert_eq!(quoted("\\\"'"), "\"\\\\\\\"'\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
