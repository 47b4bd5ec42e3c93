//! The background and another user, as `/proc` and the file system show them.

use crate::kit::{ANY, Folder, Running, exchange, is_alive, is_root, program, run, said, send};
use crate::kit::{status_of, until};
use rustix::process::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn daemonize(folder: &Folder, more: &[&str]) -> (i32, String) {
    let (pid_file, log) = (folder.text("pid"), folder.text("log"));
    let all = [&["--daemonize", "--pidfile", &pid_file, "--logfile", &log][..], more].concat();
    said(&run(&all))
}

fn pid(folder: &Folder) -> u32 {
    folder.read("pid").trim().parse().unwrap()
}

fn end(pid: u32) {
    send(pid, Signal::TERM);
    until("the daemon ends", || !is_alive(pid));
}

#[test]
fn the_first_process_ends_when_the_daemon_is_ready_which_has_a_session_of_its_own() {
    let folder = Folder::new();
    let (status, text) = daemonize(&folder, &["echo", "--port", ANY]);
    assert_eq!((status, text.as_str()), (0, ""));
    let daemon = pid(&folder);
    let log = folder.read("log");
    let at = log.lines().find_map(|line| line.split_once("listening at ")).unwrap().1;
    assert_eq!(exchange(at.parse().unwrap(), "hello").unwrap(), "hello");
    let stat = fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap();
    let session: u32 =
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(session, daemon);
    for descriptor in 0..3 {
        let target = fs::read_link(format!("/proc/{daemon}/fd/{descriptor}")).unwrap();
        assert_eq!(target, Path::new("/dev/null"));
    }
    for name in ["pid", "log"] {
        let mode = fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}: the umask is 077");
    }
    end(daemon);
    assert!(!folder.path("pid").exists());
}

#[test]
fn why_a_daemon_is_not_started_is_told_by_the_process_that_waits_for_it() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = format!("tcp:{}:interface=127.0.0.1", taken.local_addr().unwrap().port());
    let missing = folder.text("none");
    let forwarded = ["portforward", "--port", ANY, "--host", "tcp:127.0.0.1:1"];
    let in_missing = [&["--chroot", &missing][..], &forwarded[..]].concat();
    let long_name = "x".repeat(3000);
    for (arguments, status, why) in [
        (&["echo", "--port", &in_use][..], 1, "Address already in use"),
        (&["inetd", &missing], 78, "cannot read"),
        (&["--uid", "no-such-user", "echo", "--port", ANY], 78, "there is no user"),
        (&["procmon", "--", "/no/such/program"], 1, "/no/such/program"),
        (&["procmon", "--", &long_name], 1, &long_name),
        (&in_missing, 78, "cannot have"),
    ] {
        if arguments == in_missing && !is_root() {
            println!("no other root was tried: not root");
            continue;
        }
        let (code, text) = daemonize(&folder, arguments);
        assert_eq!(code, status, "{arguments:?}: {text}");
        assert!(text.contains(why), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!folder.path("pid").exists(), "nothing is half started");
    }
    let mut first = Running::start(&["--pidfile", &folder.text("pid"), "echo", "--port", ANY]);
    first.ready();
    let (code, text) = daemonize(&folder, &["echo", "--port", ANY]);
    assert!(code == 1 && text.contains("runs already"), "{text}");
    first.stop();
}

#[test]
fn another_user_has_the_port_and_the_log_and_nothing_of_roots() {
    if !is_root() {
        return println!("no privileges were given up: not root");
    }
    let folder = Folder::new();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = (65_534, "nobody");
    let (status, text) =
        daemonize(&folder, &["--umask", "027", "--uid", nobody.1, "echo", "--port", ANY]);
    assert_eq!((status, text.as_str()), (0, ""));
    let daemon = pid(&folder);
    let four = |number: u32| vec![number.to_string(); 4].join(" ");
    assert_eq!(status_of(daemon, "Uid:"), four(nobody.0));
    let group = status_of(daemon, "Gid:");
    assert_ne!(group, four(0));
    assert_eq!(status_of(daemon, "Groups:"), group.split(' ').next().unwrap());
    assert_eq!(status_of(daemon, "Umask:"), "0027");
    for capabilities in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(status_of(daemon, capabilities), "0000000000000000");
    }
    let log = fs::metadata(folder.path("log")).unwrap();
    assert_eq!((log.uid(), log.mode() & 0o777), (nobody.0, 0o640));
    assert_eq!(fs::metadata(folder.path("pid")).unwrap().mode() & 0o777, 0o640);
    end(daemon);
    // The folder is root's: the file cannot be removed any more, and is emptied.
    assert_eq!(folder.read("pid"), "");
}

#[test]
fn a_user_that_may_not_become_another_says_so_with_status_77() {
    if is_root() {
        return println!("nobody was refused: root may become anybody");
    }
    let (status, text) = said(&run(&["--uid", "root", "echo", "--port", ANY]));
    assert_eq!(status, 77, "{text}");
}

#[test]
fn another_root_is_where_the_program_is_and_its_sockets_work_still() {
    if !is_root() {
        return println!("no other root was tried: not root");
    }
    let folder = Folder::new();
    fs::create_dir(folder.path("root")).unwrap();
    let root = folder.text("root");
    let (status, text) = daemonize(&folder, &["--chroot", &root, "echo", "--port", ANY]);
    assert_eq!((status, text.as_str()), (0, ""));
    let daemon = pid(&folder);
    for link in ["root", "cwd"] {
        let target = fs::read_link(format!("/proc/{daemon}/{link}")).unwrap();
        assert_eq!(target, folder.path("root"));
    }
    // The log is found though its path is not.
    fs::rename(folder.path("log"), folder.path("old")).unwrap();
    send(daemon, Signal::USR1);
    until("the log is opened anew", || folder.read("log").contains("log opened anew"));
    // Its file is not found from there: it says so, and goes on.
    send(daemon, Signal::USR2);
    until("it cannot restart", || folder.read("log").contains("cannot restart, and goes on"));
    assert!(program().exists() && is_alive(daemon));
    end(daemon);
}
