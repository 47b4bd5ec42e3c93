//! The examples, run as their users run them: exact lines, exit statuses, and what a signal does.
//!
//! Nothing here sleeps: a server is ready when it has printed its address.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/examples.rs"]
mod examples;
#[path = "kit/paths.rs"]
mod paths;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const CLIENTS: [&str; 5] =
    ["get-blocking", "get-bare", "get-protocol", "get-deferred", "get-async"];

/// Of the echo.
const FACES: [&str; 3] = ["protocol", "stream", "awaited"];

#[test]
fn event_drive_executes_its_handlers_in_order_of_registration() {
    let output = run("event_drive", &[]);

    assert_eq!(text(&output.stdout), "Hello, ropemaker!\n3 strands make a rope.\nHello, sailor!\n");
    assert!(output.status.success());
}

#[test]
fn echo_sends_back_what_it_gets_in_three_faces_whole_and_by_lines() {
    for face in FACES {
        for lines in [&[][..], &["--lines"]] {
            let arguments = [&["--listen", "127.0.0.1:0", "--face", face], lines].concat();
            let echo = Program::start("echo", &arguments);
            let mut socket = connect(&echo.address("Listening on "));

            for piece in ["one\ntwo\nth", "ree\n", "unfinished"] {
                socket.write_all(piece.as_bytes()).unwrap();
            }
            socket.shutdown(Shutdown::Write).unwrap();

            assert_eq!(read_to_end(&mut socket), "one\ntwo\nthree\nunfinished", "{arguments:?}");
        }
    }
}

#[test]
fn echo_says_which_address_it_cannot_listen_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();

    for face in FACES {
        for address in [taken.as_str(), "nonsense", "127.0.0.1:99999"] {
            fails(&run("echo", &["--listen", address, "--face", face]), 1, address);
        }
    }
}

#[test]
fn echo_refuses_a_face_that_it_does_not_have() {
    fails(&run("echo", &["--face", "third"]), 1, "third");
}

#[test]
fn an_option_that_an_example_does_not_have_is_named() {
    for name in
        ["echo", "port_forward", "udp_echo", "multicast", "unix_chat", "stdio", "simulation"]
    {
        if is_absent(name) {
            continue;
        }
        let output = run(name, &["--loudly"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stderr).contains("--loudly"), "{name}: {}", text(&output.stderr));
    }
}

#[test]
fn nobody_at_the_other_end_of_standard_output_is_no_panic() {
    for (name, arguments, status) in [
        ("event_drive", &[][..], 0),
        ("bare_descriptor", &[], 0),
        ("client_factory", &[], 0),
        ("defer_to_thread", &[], 1),
        ("echo", &["--listen", "127.0.0.1:0"], 1),
        ("chat", &["127.0.0.1:0"], 1),
        ("port_forward", &["--from", "tcp:0:interface=127.0.0.1", "--to", "tcp:a:1"], 1),
        ("udp_echo", &["--once"], 1),
        ("simulation", &[], 1),
        ("poetry", &[], 1),
        ("poetry", &["--help"], 1),
    ] {
        if is_absent(name) {
            continue;
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);

        let output = example(name, arguments).stdout(writer).output().unwrap();

        let errors = text(&output.stderr);
        assert!(!errors.contains("panicked"), "{name}: {errors}");
        assert_eq!(output.status.code(), Some(status), "{name}: {errors}");
    }
}

#[test]
fn stdio_fails_as_its_output_does() {
    for face in [&[][..], &["--async"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = example("stdio", face);
        command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped());
        let mut program = command.spawn().unwrap();
        program.stdin.take().unwrap().write_all(b"rope").unwrap();

        let output = program.wait_with_output().unwrap();

        let errors = text(&output.stderr);
        assert!(errors.contains("the connection with stdio was lost: Broken pipe"), "{errors}");
        assert_eq!(output.status.code(), Some(1), "{face:?}");
    }
}

#[test]
fn chat_gives_a_line_to_everyone_else() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address("Listening on ");
    // Connections are accepted in order: who hears a newcomer was there before.
    let mut a = Guest::enter(&address);
    let mut b = Guest::enter(&address);
    b.say("b is here");
    assert_eq!(a.hears(), "b is here");
    let mut c = Guest::enter(&address);
    c.say("c is here");
    assert_eq!([a.hears(), b.hears()], ["c is here"; 2]);

    a.say("hello");
    assert_eq!([b.hears(), c.hears()], ["hello"; 2]);
    b.say("and you");

    assert_eq!([a.hears(), c.hears()], ["and you"; 2], "nobody hears their own line");
}

/// The echo's address and the chat's.
fn start_awaited() -> (Program, String, String) {
    let program = Program::start("async_protocol", &["127.0.0.1:0", "127.0.0.1:0"]);
    let (echo, chat) = (program.address("Echoing at "), program.address("Chatting at "));
    (program, echo, chat)
}

/// One who has given a name and been greeted by it.
fn enter_awaited(chat: &str, name: &str) -> Guest {
    let mut guest = Guest::enter(chat);
    assert_eq!(guest.hears(), "Your name?");
    guest.say(&format!("{name}\r"));
    assert_eq!(guest.hears(), format!("{name} is here"));
    guest
}

#[test]
fn async_protocol_awaits_two_look_ups_before_it_echoes() {
    let (_program, echo, _) = start_awaited();
    let mut socket = connect(&echo);
    socket.write_all(b"rope").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut socket), format!("{echo} heard 4 bytes: rope"));
}

#[test]
fn async_protocol_has_a_chat_where_a_name_is_given_once() {
    let (_program, _, chat) = start_awaited();
    let mut ada = enter_awaited(&chat, "ada");
    let mut bob = Guest::enter(&chat);
    assert_eq!(bob.hears(), "Your name?");
    // What is said while the name is looked up waits.
    bob.say("ada\r\nbob\r\nhello\r");
    for said in ["Taken. Another?", "bob is here", "<bob> hello"] {
        assert_eq!(bob.hears(), said);
    }
    drop(bob);
    for said in ["bob is here", "<bob> hello", "bob is gone"] {
        assert_eq!(ada.hears(), said);
    }
}

#[test]
fn async_protocol_sends_a_guest_away_who_never_reads() {
    let (program, _, chat) = start_awaited();
    let mut talker = enter_awaited(&chat, "talker");
    let _deaf = enter_awaited(&chat, "deaf");
    assert_eq!(talker.hears(), "deaf is here");

    // More than the kernel's two buffers hold, and what the room keeps, in rounds that the talker reads.
    let (line, mut said) = ("x".repeat(900), 0);
    let is_gone = (0..24 << 10).step_by(64).any(|_| {
        talker.say(&[format!("{line}\r").as_str(); 64].join("\n"));
        said += 64;
        let mut heard = (0..64).map(|_| talker.hears()).filter(|it| it == "deaf is gone");
        let is_gone = heard.next().is_some();
        heard.count();
        is_gone
    });
    assert!(is_gone, "{said} lines were kept for who does not read");
    let after = enter_awaited(&chat, "deaf");
    drop((after, program));
}

#[test]
fn port_forward_passes_bytes_and_ends_both_ways() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:127.0.0.1:{}", far.local_addr().unwrap().port());
    let program =
        Program::start("port_forward", &["--from", "tcp:0:interface=127.0.0.1", "--to", &to]);
    let line = program.line();
    let near = line.split(' ').nth(1).unwrap();
    let mut near = connect(near);
    let (mut far, _) = far.accept().unwrap();

    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut far), "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    assert_eq!(read_to_end(&mut near), "answer");
}

/// So much goes through a forwarder each way, and so little memory does it take.
#[cfg(target_os = "linux")]
const MUCH: usize = 64 * 1024 * 1024;
#[cfg(target_os = "linux")]
const LITTLE: u64 = 8 * 1024;

#[cfg(target_os = "linux")]
#[test]
fn port_forward_moves_much_both_ways_and_keeps_little_of_it() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:127.0.0.1:{}", far.local_addr().unwrap().port());
    let program =
        Program::start("port_forward", &["--from", "tcp:0:interface=127.0.0.1", "--to", &to]);
    let line = program.line();
    let near = connect(line.split(' ').nth(1).unwrap());
    let (far, _) = far.accept().unwrap();

    let ends = [near, far];
    let sending = ends.each_ref().map(|socket| {
        let mut socket = socket.try_clone().unwrap();
        thread::spawn(move || {
            std::io::copy(&mut std::io::repeat(7).take(MUCH as u64), &mut socket).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
        })
    });
    let reading = ends.map(|mut socket| {
        thread::spawn(move || std::io::copy(&mut socket, &mut std::io::sink()).unwrap())
    });
    assert_eq!(reading.map(|thread| thread.join().unwrap()), [MUCH as u64; 2]);
    sending.into_iter().for_each(|thread| thread.join().unwrap());

    let status = std::fs::read_to_string(format!("/proc/{}/status", program.process.id()));
    let status = status.unwrap();
    let kibibytes = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    };
    // But for the program itself, which is large without optimization.
    let peak = kibibytes("VmHWM:") - kibibytes("RssFile:");
    assert!(peak < LITTLE, "{peak} KiB at most");
}

#[test]
fn port_forward_passes_standard_input_on_and_the_answer_back() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:127.0.0.1:{}", far.local_addr().unwrap().port());
    let mut command = example("port_forward", &["--from", "stdio:", "--to", &to]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let (mut far, _) = far.accept().unwrap();

    input.write_all(b"question").unwrap();
    drop(input);
    assert_eq!(read_to_end(&mut far), "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    let mut answer = [0; 6];
    output.read_exact(&mut answer).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(&answer, b"answer");
}

#[cfg(feature = "tls")]
#[test]
fn port_forward_takes_tls_off_at_one_end_and_puts_it_on_at_the_other() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let identity = ropewalk::tls::Identity::self_signed(&["relay.test"]).unwrap();
    let pem = paths::path("relay.pem");
    std::fs::write(&pem, identity.key_pem() + &identity.certificate_pem()).unwrap();
    let pem = pem.to_str().unwrap();

    let from = format!("tls:{pem}:0:interface=127.0.0.1");
    let to = format!("tcp:127.0.0.1:{}", far.local_addr().unwrap().port());
    let off = Program::start("port_forward", &["--from", &from, "--to", &to]);
    let line = off.line();
    let between = line.split([' ', ':']).nth(2).unwrap();
    let to = format!(r"tls:relay.test:443:endpoint=tcp\:127.0.0.1\:{between}:trustRoots={pem}");
    let on = Program::start("port_forward", &["--from", "tcp:0:interface=127.0.0.1", "--to", &to]);
    let mut near = connect(on.line().split(' ').nth(1).unwrap());
    let (mut far, _) = far.accept().unwrap();

    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut far), "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    assert_eq!(read_to_end(&mut near), "answer");
    std::fs::remove_file(pem).unwrap();
}

#[test]
fn port_forward_points_at_what_is_wrong_with_an_endpoint() {
    let output = run("port_forward", &["--from", "tcp:http", "--to", "tcp:a:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).ends_with("\n  tcp:http\n      ^^^^\n"));
}

#[test]
fn defer_to_thread_prints_dots_while_the_thread_sleeps() {
    let output = run("defer_to_thread", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let (dots, rest) = text.split_once('\n').unwrap();
    assert!(dots.len() > 1 && dots.bytes().all(|byte| byte == b'.'), "{text}");
    let rest: Vec<_> = rest.lines().filter(|line| !line.trim_matches('.').is_empty()).collect();
    assert_eq!(rest, ["the thread slept for 1s", "a thread fired a Deferred: done"]);
}

#[test]
fn database_asks_in_both_faces_and_rolls_back() {
    if is_absent("database") {
        return;
    }
    let output = run("database", &[]);
    let expected = "oldest: The Tyger, 1794\n\
                    since 1800: Ode on a Grecian Urn by Keats\n\
                    since 1800: Ozymandias by Shelley\n\
                    rolled back: table poems has 3 columns but 2 values were supplied\n\
                    still there: 3 poems\n";
    assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, ""));
    let output = run("database", &["/no/such/folder/poems.db"]);
    assert_eq!(output.status.code(), Some(1));
    let told =
        "cannot connect to /no/such/folder/poems.db\n  because: unable to open database file";
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
}

#[test]
fn http_database_keeps_what_is_posted_and_says_what_is_there_already() {
    if is_absent("http_database") {
        return;
    }
    let site = Program::start("http_database", &["127.0.0.1:0"]);
    let address = site.address("Listening on ");
    let ask = |head: &str, body: &str| {
        let mut socket = connect(&address);
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        read_to_end(&mut socket)
    };
    assert!(ask("POST /Ozymandias", "Shelley").starts_with("HTTP/1.1 201 "));
    assert!(ask("POST /Ozymandias", "Blake").starts_with("HTTP/1.1 409 "));
    assert!(ask("GET /", "").ends_with("\r\n\r\nOzymandias by Shelley\n"));
}

#[test]
fn udp_echo_hears_its_own_datagram_in_both_faces() {
    for arguments in [&["--once"][..], &["--once", "--async"]] {
        let output = run("udp_echo", arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let address = text.lines().next().unwrap().strip_prefix("echoing at ").unwrap();
        assert_eq!(text.lines().nth(1).unwrap(), format!("{address} says: hello, datagram"));
    }
}

#[test]
fn client_factory_tells_each_step_of_its_connections() {
    let output = run("client_factory", &[]);

    let mut expected = String::from(
        "attempt 1 begins\nconnected\nhears hello, and disconnects\n\
         lost: the connection was closed in order; connects again\n\
         attempt 2 begins\nfailed: cancelled; gives up\n\
         by TCP: hello\nby Unix: hello\n",
    );
    if cfg!(feature = "tls") {
        expected += "by TLS: hello\n";
    }
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn bare_descriptor_reads_until_the_connection_is_done() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"hemp\n").unwrap();
    });

    let output = run("bare_descriptor", &[&address]);

    server.join().unwrap();
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines[0], "hemp");
    assert_eq!(lines[1], "the connection was closed in order");
    assert!(output.status.success());
}

#[test]
fn blocking_poetry_comes_one_poem_after_the_other() {
    for server in ["serve", "serve-blocking"] {
        let (_server, address) = poem_server(server);
        let output = run("poetry", &["get-blocking", &address, port(&address)]);

        let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        let [ask1, got1, ask2, got2, all] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(*ask1, format!("Task 1: get poetry from: {address}"));
        assert_time(got1, &format!("Task 1: got {BYTES} bytes of poetry from {address} in "));
        assert_eq!(*ask2, format!("Task 2: get poetry from: {address}"));
        assert_time(got2, &format!("Task 2: got {BYTES} bytes of poetry from {address} in "));
        assert_time(all, "Got 2 poems in ");
        assert!(output.status.success());
    }
}

#[test]
fn asynchronous_poetry_comes_in_pieces_and_ends_with_its_length() {
    let (_server, address) = poem_server("serve");
    for client in &CLIENTS[1..] {
        let output = run("poetry", &[client, &address, port(&address)]);

        let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        let [pieces @ .., first, second, all] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(*first, format!("Task 1: {BYTES} bytes of poetry"), "{client}");
        assert_eq!(*second, format!("Task 2: {BYTES} bytes of poetry"), "{client}");
        assert_time(all, "Got 2 poems in ");
        let total: usize = pieces.iter().map(|line| piece(line, &address)).sum();
        assert_eq!(total, 2 * BYTES, "{client}");
        assert!(output.status.success());
    }
}

#[test]
fn a_poem_that_cannot_be_had_is_one_error_with_its_address() {
    let (_server, there) = poem_server("serve");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for client in CLIENTS {
        let output = run("poetry", &[client, &gone, &there]);

        fails(&output, 1, &gone);
        assert!(
            text(&output.stdout).contains("\nGot 1 poems in "),
            "{client}: the other poem came"
        );
    }
}

#[test]
fn wrong_arguments_are_told_apart_from_failures_by_status_2() {
    for (arguments, named) in [
        (&["sing"][..], "sing"),
        (&["--loudly"], "loudly"),
        (&["serve", "--num-bytes", "0"], "num-bytes"),
        (&["serve", "--delay", "-1"], "delay"),
        (&["serve", "--port", "70000"], "port"),
        (&["get-async"], "[HOST:]PORT"),
        (&["get-bare", "127.0.0.1:0"], "127.0.0.1:0"),
        (&["get-blocking", "nowhere"], "nowhere"),
    ] {
        let output = run("poetry", arguments);
        let (error, usage) = text(&output.stderr).split_once("\n\n").expect("an error, then usage");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(named), "{arguments:?}: {error}");
        assert!(usage.starts_with("usage: poetry"), "{arguments:?}: {usage}");
    }
}

#[test]
fn a_poem_file_is_served_and_a_missing_one_is_named() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/poetry/sea.txt");
    let server = Program::start("poetry", &["serve", "--delay", "0", file]);
    let mut socket = connect(&server.address(&format!("Serving {file} on ")));

    assert_eq!(read_to_end(&mut socket), include_str!("../examples/poetry/sea.txt"));
    fails(&run("poetry", &["serve", "no/such/poem"]), 1, "no/such/poem");
}

#[cfg(all(target_os = "linux", feature = "signals"))]
mod signals {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};

    #[test]
    fn ctrl_c_ends_a_server_in_order() {
        let programs = [
            ("echo", &["--listen", "127.0.0.1:0"][..], "Listening on "),
            ("echo", &["--listen", "127.0.0.1:0", "--face", "stream"], "Listening on "),
            ("chat", &["127.0.0.1:0"], "Listening on "),
            ("poetry", &["serve", "--delay", "60"], "Serving a poem of our own on "),
        ];
        for (name, arguments, prefix) in programs {
            let mut server = Program::start(name, arguments);
            let address = server.address(prefix);
            let (mut one, mut two) = (Guest::enter(&address), Guest::enter(&address));
            // An answer says that the reactor runs: before that, the signal just kills.
            two.say("hello");
            let answering = if name == "echo" { &mut two } else { &mut one };
            assert_ne!(answering.hears_a_byte(), None);

            interrupt(&server);

            assert_eq!(server.process.wait().unwrap().code(), Some(0), "{name}");
            assert_eq!(server.errors(), "", "{name}");
        }
    }

    #[test]
    fn ctrl_c_ends_a_client_in_the_middle_of_its_poem() {
        let server = Program::start("poetry", &["serve", "--delay", "60"]);
        let address = server.address("Serving a poem of our own on ");
        for name in CLIENTS {
            if name == "get-blocking" && is_ignored_here(Signal::INT) {
                println!("not tested: what is started here is told to ignore SIGINT");
                continue;
            }
            let mut client = Program::start("poetry", &[name, &address]);
            client.line();

            interrupt(&client);

            assert!(!client.process.wait().unwrap().success(), "{name}");
            assert_eq!(client.errors(), "", "{name}");
        }
    }

    #[test]
    fn ctrl_c_ends_standard_input_and_output_in_order() {
        for face in [&[][..], &["--async"]] {
            let mut command = example("stdio", face);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = command.spawn().unwrap();
            let mut input = process.stdin.take().unwrap();
            // An answer says that the reactor runs.
            input.write_all(b"rope").unwrap();
            process.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();

            kill_process(Pid::from_child(&process), Signal::INT).unwrap();

            let output = process.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{face:?}");
            assert_eq!(text(&output.stderr), "", "{face:?}");
        }
    }

    /// Whether a program without handlers of its own goes on: a background job may be set up so.
    fn is_ignored_here(signal: Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.unwrap_or_default() >> (signal.as_raw() - 1) & 1 == 1
    }

    fn interrupt(program: &Program) {
        let pid = Pid::from_raw(program.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }
}

/// A program that runs until its value is dropped, and the lines it prints meanwhile.
struct Program {
    process: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Program {
        let mut command = example(name, arguments);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        // A thread, because a pipe cannot be read with a time limit.
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|it| tell.send(it))
        });
        Program { process, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program prints a line")
    }

    fn address(&self, prefix: &str) -> String {
        let line = self.line();
        line.strip_prefix(prefix).unwrap_or_else(|| panic!("no '{prefix}': {line}")).to_owned()
    }

    /// What it wrote to stderr; waits for its end.
    #[cfg_attr(not(feature = "signals"), expect(dead_code, reason = "asked after a signal"))]
    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Guest(BufReader<TcpStream>);

impl Guest {
    fn enter(address: &str) -> Guest {
        Guest(BufReader::new(connect(address)))
    }

    fn say(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    #[cfg_attr(not(feature = "signals"), expect(dead_code, reason = "asked before a signal"))]
    fn hears_a_byte(&mut self) -> Option<u8> {
        self.0.fill_buf().unwrap().first().copied()
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// The poem that servers have at hand, its length, and a server that sends it in no time.
const BYTES: usize = include_bytes!("../examples/poetry/ropewalk.txt").len();

fn poem_server(kind: &str) -> (Program, String) {
    let server = Program::start("poetry", &[kind, "--num-bytes", "30", "--delay", "0.001"]);
    let address = server.address("Serving a poem of our own on ");
    (server, address)
}

fn port(address: &str) -> &str {
    address.strip_prefix("127.0.0.1:").expect("IPv4 comes first")
}

/// The bytes of a line such as `Task 1: got 30 bytes of poetry from 127.0.0.1:10000`.
fn piece(line: &str, address: &str) -> usize {
    let after_task = line.strip_prefix("Task 1: got ").or(line.strip_prefix("Task 2: got "));
    let rest = after_task.unwrap_or_else(|| panic!("{line}"));
    let bytes = rest.strip_suffix(&format!(" bytes of poetry from {address}"));
    bytes.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
}

/// `prefix` and then a time such as `0:00:10.126361`.
fn assert_time(line: &str, prefix: &str) {
    let time = line.strip_prefix(prefix).unwrap_or_else(|| panic!("no '{prefix}': {line}"));
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0:00:00.000000", "{line}");
}

/// One error on stderr, which names the address or whatever it is about.
fn fails(output: &Output, status: i32, named: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(error.contains(named), "'{named}' is not named: {error}");
    // A bad endpoint is shown below, with its caret.
    let lines = error.lines().filter(|line| !line.starts_with("  "));
    assert_eq!(lines.count(), 1, "more than one line: {error}");
}

/// Whether it needs a feature that is off here.
fn is_absent(name: &str) -> bool {
    name == "simulation" && !cfg!(feature = "simulation")
}

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name, arguments).output().unwrap()
}

fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(examples::example(name));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn read_to_end(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("programs print text")
}
