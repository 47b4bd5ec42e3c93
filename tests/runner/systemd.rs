//! What systemd is told, by a socket that listens in its place; and its sockets.

use crate::kit::{ANY, Folder, Running, exchange, program, ropewalk, until};
use crate::peers;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Signal;
use std::fs;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

struct Manager(UnixDatagram);

impl Manager {
    fn new(folder: &Folder) -> Manager {
        let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
        socket.set_read_timeout(Some(crate::kit::PATIENCE)).unwrap();
        Manager(socket)
    }

    /// The next message that says this, but for those of the watchdog, and a descriptor that came along.
    #[track_caller]
    fn next(&self, text: &str) -> (String, Option<OwnedFd>) {
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [0; 500];
            let slices = &mut [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let count = recvmsg(&self.0, slices, &mut control, flags).unwrap().bytes;
            let said = String::from_utf8(bytes[..count].to_vec()).unwrap();
            let came = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            if said != "WATCHDOG=1" || text == said {
                assert!(said.starts_with(text), "{said}, where {text} was expected");
                return (said, came);
            }
        }
    }
}

fn notified(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = ropewalk(arguments);
    command.env("NOTIFY_SOCKET", folder.path("notify"));
    command
}

#[test]
fn systemd_is_told_of_each_step_and_keeps_the_sockets() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let mut command = notified(&folder, &["echo", "--port", ANY]);
    command.env("WATCHDOG_USEC", "20000");
    let mut program = Running::of(command);
    let at = program.ready();
    let ready = manager.next("READY=1").0;
    assert_eq!(ready, "READY=1\nSTATUS=ropewalk echo is ready");
    let (stored, descriptor) = manager.next("FDSTORE=1");
    assert_eq!(stored, "FDSTORE=1\nFDNAME=tcp%3A127.0.0.1%3A0");
    let kept = std::net::TcpListener::from(descriptor.unwrap());
    assert_eq!(kept.local_addr().unwrap(), at);
    manager.next("WATCHDOG=1");
    manager.next("WATCHDOG=1");
    program.signal(Signal::HUP);
    let reloading = manager.next("RELOADING=1").0;
    let micros = reloading.split_once("\nMONOTONIC_USEC=").unwrap().1;
    assert!(micros.parse::<u64>().unwrap() > 0);
    manager.next("READY=1\nSTATUS=the configuration was read");
    program.signal(Signal::TERM);
    let stopping = manager.next("STOPPING=1").0;
    assert!(stopping.contains("\nEXTEND_TIMEOUT_USEC=35000000\n"), "{stopping}");
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn a_reload_that_fails_is_over_for_systemd_as_well() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    fs::write(folder.path("conf"), "log-level=info\n").unwrap();
    let config = folder.text("conf");
    let mut program = Running::of(notified(&folder, &["--config", &config, "echo", "--port", ANY]));
    program.ready();
    manager.next("READY=1");
    manager.next("FDSTORE=1");
    fs::remove_file(folder.path("conf")).unwrap();
    program.signal(Signal::HUP);
    manager.next("RELOADING=1");
    manager.next("READY=1\nSTATUS=the configuration stays as it was: cannot read");
    program.stop();
}

#[test]
fn sockets_that_systemd_kept_are_listened_at_again() {
    let folder = Folder::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    // A shell is what gives it the number 3 and its own number.
    let script = "LISTEN_PID=$$ exec \"$0\" echo --port tcp:0:interface=127.0.0.1 3<&0";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program()).stdin(OwnedFd::from(listener));
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "tcp%3A127.0.0.1%3A0");
    let mut program = Running::of(command);
    assert_eq!(program.ready(), at);
    assert_eq!(exchange(at, "hello").unwrap(), "hello");
    program.stop();
    drop(folder);
}

#[test]
fn under_socket_activation_it_listens_at_what_it_is_given_and_a_restart_keeps_that() {
    let activate = "systemd-socket-activate";
    if !peers::noted(activate, Command::new(activate).arg("--version").output().is_ok()) {
        return;
    }
    let folder = Folder::new();
    let pid_file = folder.text("pid");
    let mut command = Command::new(activate);
    command.args(["-l", &folder.text("socket"), "--fdname=web"]).arg(program());
    command.args(["--pidfile", &pid_file, "echo", "--port", "systemd:UNIX:name=web"]);
    let mut running = Running::of(command);
    running.line("Listening on");
    let greet = |text: &str| {
        let mut client = UnixStream::connect(folder.path("socket")).unwrap();
        client.write_all(text.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, text);
    };
    // The first connection is what starts it.
    greet("hello");
    running.line("is ready");
    let first = running.pid();
    running.signal(Signal::USR2);
    running.line("has taken over");
    assert_eq!(running.status().code(), Some(0));
    let second: u32 = folder.read("pid").trim().parse().unwrap();
    assert_ne!(first, second);
    greet("again");
    crate::kit::send(second, Signal::TERM);
    until("the second one ends", || !crate::kit::is_alive(second));
    assert!(folder.path("socket").exists(), "it is systemd's");
}
