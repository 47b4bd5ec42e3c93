//! The console: who may use it, what it answers, what it does.

#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use ropewalk::application::Application;
use ropewalk::application::console::Console;
use ropewalk::application::log::{LogLevel, Logger, set_level};
use ropewalk::prelude::*;
use ropewalk::service::{Running, Service, ServiceState, TcpServer, service};
use ropewalk::simulation::{Host, Simulation};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

const LOG: Logger = Logger::new("test");

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn console() -> Console {
    Console::new("127.0.0.1:7000")
}

/// A host with an echo and that console, all ready.
fn started(console: Console) -> (Simulation, Host, Running) {
    let simulation = Simulation::new(1);
    let host = simulation.host("host");
    let application = Application::new("root")
        .add_service(TcpServer::new("127.0.0.1:7", |_: &Address| Echo).named("echo"))
        .add_service(console);
    let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
    (simulation, host, running)
}

struct Client(Stream);

impl Client {
    async fn open(reactor: &Reactor) -> Result<Client> {
        Ok(Client(reactor.open("127.0.0.1:7000").await?))
    }

    async fn say(&mut self, line: &str) -> Result {
        Ok(self.0.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// One line, with its end; empty at the end of all.
    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line)
    }

    /// An answer in text, without the empty line behind it.
    async fn ask(&mut self, line: &str) -> Result<String> {
        self.say(line).await?;
        let mut answer = String::new();
        loop {
            match self.line().await? {
                line if line == "\n" || line.is_empty() => return Ok(answer),
                line => answer.push_str(&line),
            }
        }
    }

    async fn ask_json(&mut self, line: &str) -> Result<String> {
        self.say(&format!("json {line}")).await?;
        self.line().await
    }
}

/// What `talk` gives, as a client on the same host.
fn talked<T: 'static>(
    console: Console,
    talk: impl AsyncFnOnce(Reactor, Client) -> Result<T> + 'static,
) -> T {
    let (simulation, host, _running) = started(console);
    let reactor = host.reactor();
    let talking = reactor.spawn(async move {
        let client = Client::open(&Reactor::current().unwrap()).await?;
        talk(Reactor::current().unwrap(), client).await
    });
    simulation.run_until(talking).unwrap()
}

#[test]
fn the_tree_of_services_is_shown_with_states() {
    let answer = talked(console(), async |_, mut client| {
        let json = client.ask_json("services").await?;
        Ok((client.ask("services").await?, json))
    });
    let want = [
        "service  parent  state  restarts\n",
        "root     -       ready  0\n",
        "echo     root    ready  0\n",
        "console  root    ready  0\n",
    ];
    assert_eq!(answer.0, want.concat());
    assert!(answer.1.starts_with(r#"[{"service":"root","parent":"-","state":"ready","#));
}

#[test]
fn connections_are_listed_with_their_service_and_one_is_closed_by_its_key() {
    let (before, closed, after) = talked(console(), async |reactor, mut client| {
        let mut echo = reactor.open("127.0.0.1:7").await?;
        echo.write_all(b"x").await?;
        echo.read_exact(&mut [0]).await?;
        let before = client.ask("connections by bytes").await?;
        let row = before.lines().find(|line| line.contains(" echo ")).unwrap();
        let key = row.split_whitespace().next().unwrap().to_owned();
        let closed = client.ask(&format!("close {key}")).await?;
        assert!(echo.read(&mut [0]).await.is_err(), "it is cut off");
        Ok((before, closed, client.ask(&format!("close {key}")).await?))
    });
    assert!(before.lines().any(|line| line.contains(" console ")), "{before}");
    assert_eq!(closed, "closed\n");
    assert!(after.starts_with("error: no connection has the key "), "{after}");
}

#[test]
fn tasks_timers_and_metrics_are_shown_and_a_dump_has_all() {
    let answers = talked(console(), async |reactor, mut client| {
        reactor.call_later(Duration::from_secs(3600), || ());
        let mut answers = Vec::new();
        for command in ["tasks", "timers", "metrics", "dump"] {
            answers.push(client.ask(command).await?);
        }
        Ok(answers)
    });
    assert!(answers[0].contains("tests/console.rs:"), "{}", answers[0]);
    assert!(answers[1].contains("3600.000s  tests/console.rs:"), "{}", answers[1]);
    assert!(answers[2].ends_with("ropewalk_ready 1\n"), "{}", answers[2]);
    for part in ["restarts", "buffered", "spawned", "due", "ropewalk_turns_total"] {
        assert!(answers[3].contains(part), "{part}: {}", answers[3]);
    }
}

#[test]
fn a_service_is_restarted_stopped_and_reloaded_by_its_name() {
    let reloads = Rc::new(RefCell::new(0));
    struct Configured(Rc<RefCell<u32>>);
    impl Service for Configured {
        fn name(&self) -> Option<&str> {
            Some("configured")
        }
        fn start_service(&mut self, _: &Running) -> Deferred<()> {
            ropewalk::succeed(())
        }
        fn reload(&mut self, _: &Running) -> Deferred<()> {
            *self.0.borrow_mut() += 1;
            ropewalk::succeed(())
        }
    }
    let simulation = Simulation::new(1);
    let host = simulation.host("host");
    let application = Application::new("root")
        .add_service(TcpServer::new("127.0.0.1:7", |_: &Address| Echo).named("echo"))
        .add_service(Configured(reloads.clone()))
        .add_service(console());
    let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
    let talking = host.reactor().spawn(async {
        let mut client = Client::open(&Reactor::current().unwrap()).await?;
        let mut answers = Vec::new();
        for command in ["restart echo", "reload", "reload configured", "stop echo", "stop nobody"] {
            answers.push(client.ask(command).await?);
        }
        Ok(answers)
    });
    let answers = simulation.run_until(talking).unwrap();
    let want = ["echo: ready\n", "root: ready\n", "configured: ready\n", "echo: stopped\n"];
    assert_eq!(answers[..4], want);
    assert_eq!(answers[4], "error: no service is called nobody\n");
    assert_eq!(*reloads.borrow(), 2);
    assert_eq!(running.services()[0].state(), ServiceState::Stopped);
}

#[test]
fn drain_stops_all_and_a_client_that_waits_delays_nothing() {
    let (simulation, host, running) = started(console());
    let reactor = host.reactor();
    let talking = reactor.spawn(async {
        let reactor = Reactor::current().unwrap();
        let (mut waits, mut client) =
            (Client::open(&reactor).await?, Client::open(&reactor).await?);
        waits.ask("services").await?;
        let begun = reactor.now();
        let answer = client.ask("drain").await?;
        assert_eq!(waits.line().await?, "", "the end, in order");
        Ok((answer, reactor.now() - begun))
    });
    let (answer, took) = simulation.run_until(talking).unwrap();
    assert_eq!(answer, "draining\n");
    assert!(took < Duration::from_secs(1), "virtual: {took:?}");
    simulation.run_for(Duration::from_secs(60)).unwrap();
    assert_eq!(running.state(), ServiceState::Stopped);
}

#[test]
fn events_are_shown_again_and_as_they_come_with_their_escapes() {
    let (last, followed, ended) = talked(console(), async |_, mut client| {
        LOG.info("before\x1b[2J");
        let last = client.ask("log 1").await?;
        client.say("log -f").await?;
        // Virtual time: what the client said has arrived then.
        ropewalk::sleep(Duration::from_secs(1)).await;
        LOG.info("now");
        let followed = client.line().await?;
        client.say("").await?;
        Ok((last, followed, client.ask("log level").await?))
    });
    assert!(last.ends_with("[test#info] before\\x1b[2J\n"), "{last}");
    assert!(followed.ends_with("[test#info] now\n"), "{followed}");
    assert_eq!(ended, "info\n", "a line ends it");
}

#[test]
fn the_level_is_shown_and_set() {
    let answers = talked(console(), async |_, mut client| {
        let mut answers = Vec::new();
        for command in ["log level", "log level debug", "log level", "log level loud", "log what"] {
            answers.push(client.ask(command).await?);
        }
        Ok(answers)
    });
    set_level(LogLevel::Info);
    assert_eq!(answers[..3], ["info\n", "debug\n", "debug\n"]);
    assert!(answers[3].starts_with("error: "), "{}", answers[3]);
    assert_eq!(answers[4], "error: it takes a number, -f or level\n");
}

#[test]
fn commands_of_ones_own_answer_fail_and_are_in_the_help() {
    let console = console()
        .command("zones", "lists zones", |words| Ok(format!("zones of {}", words.join(","))))
        .command("fails", "never works", |_| Err(Failure::msg("bad\nnews")))
        .command_async("nap", "takes its time", async |words: Vec<String>| {
            ropewalk::sleep(Duration::from_secs(words[0].parse()?)).await;
            Ok("slept".to_owned())
        });
    let answers = talked(console, async |_, mut client| {
        let mut answers = Vec::new();
        for command in ["zones a b", "fails", "nap 5", "nap x", "no\x1bsuch", "help"] {
            answers.push(client.ask(command).await?);
        }
        answers.push(client.ask_json("fails").await?);
        Ok(answers)
    });
    assert_eq!(answers[0], "zones of a,b\n");
    assert_eq!(answers[1], "error: bad\\nnews\n");
    assert_eq!(answers[2], "slept\n");
    assert!(answers[3].starts_with("error: invalid digit"), "{}", answers[3]);
    assert_eq!(answers[4], "error: no command no\\x1bsuch: help lists all\n");
    assert!(answers[5].contains("lists zones") && answers[5].contains("log -f"));
    assert_eq!(answers[6], "{\"error\":\"bad\\nnews\"}\n");
}

#[test]
fn a_line_that_is_too_long_ends_its_client_and_no_other() {
    let (long, other) = talked(console(), async |reactor, mut client| {
        let mut other = Client::open(&reactor).await?;
        client.say(&"x".repeat(5000)).await?;
        Ok((client.line().await?, other.ask("log level").await?))
    });
    assert_eq!(long, "error: the line is longer than 4096 bytes\n");
    assert_eq!(other, "info\n");
}

#[test]
fn the_ninth_client_is_told_so_and_comes_in_when_another_has_gone() {
    let (ninth, after) = talked(console(), async |reactor, client| {
        let mut clients = vec![client];
        while clients.len() < 8 {
            clients.push(Client::open(&reactor).await?);
        }
        for client in &mut clients {
            client.ask("log level").await?;
        }
        let ninth = Client::open(&reactor).await?.line().await?;
        clients.pop().unwrap().ask("quit").await?;
        let mut after = Client::open(&reactor).await?;
        Ok((ninth, after.ask("log level").await?))
    });
    assert_eq!(ninth, "error: 8 clients are there already\n");
    assert_eq!(after, "info\n");
}

#[test]
fn an_answer_is_cut_at_a_mebibyte_and_says_so() {
    let long = console().command("long", "is long", |_| Ok("0123456789\n".repeat(200_000)));
    let (text, json) = talked(long, async |_, mut client| {
        Ok((client.ask("long").await?, client.ask_json("long").await?))
    });
    assert!(text.len() <= 1024 * 1024 && text.ends_with(" lines more\n"), "{}", text.len());
    assert_eq!(json, "{\"error\":\"the answer is longer than 1 MiB\"}\n");
}

#[test]
fn the_right_password_lets_in_and_ten_wrong_ones_shut_out_for_a_minute() {
    let (right, wrong, shut, later) =
        talked(console().password("secret"), async |reactor, mut client| {
            assert_eq!(client.line().await?, "password:\n");
            let right = client.ask("secret").await? + &client.ask("log level").await?;
            let mut wrong = Vec::new();
            for guess in 0..10 {
                let mut guesser = Client::open(&reactor).await?;
                guesser.line().await?;
                wrong.push(guesser.ask(&format!("secre{guess}")).await?);
            }
            let shut = Client::open(&reactor).await?.line().await?;
            reactor.sleep(Duration::from_secs(61)).await;
            let later = Client::open(&reactor).await?.line().await?;
            Ok((right, wrong, shut, later))
        });
    assert_eq!(right, "info\n");
    assert_eq!(wrong, ["error: wrong password\n"; 10]);
    assert_eq!(shut, "error: too many wrong passwords, try later\n");
    assert_eq!(later, "password:\n");
}

#[test]
fn a_client_that_gives_no_password_is_let_go() {
    let end = talked(console().password("secret"), async |_, mut client| {
        client.line().await?;
        client.line().await
    });
    assert_eq!(end, "");
}

#[test]
fn without_a_password_no_other_machine_may_reach_it() {
    let simulation = Simulation::new(1);
    let host = simulation.host("host");
    let start = |console| Application::new("root").add_service(console).run_on(&host.reactor());
    let refused = simulation.run_until(start(Console::new("0.0.0.0:7000"))).unwrap_err();
    let want = "a console at 0.0.0.0:7000 can be reached from other machines: it needs a password";
    assert!(refused.to_string().contains(want), "{refused}");
    simulation.run_until(start(Console::new("0.0.0.0:7000").password("secret"))).unwrap();
}

#[test]
fn at_a_unix_socket_only_this_user_may_and_socat_talks_with_it() {
    let folder = std::env::temp_dir().join(format!("ropewalk-console-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x.sock");
    let reactor = Reactor::new().unwrap();
    let idle = service("idle", async |up: Running| {
        up.ready();
        up.stopping().await;
        Ok(())
    });
    let at = format!("unix:{}", path.display());
    let application = Application::new("root").add_service(idle).add_service(Console::new(&*at));
    let running = reactor.run_until(application.run_on(&reactor)).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let talk_to = path.clone();
    let talked = reactor.defer_to_thread(move || {
        let mut socket = std::os::unix::net::UnixStream::connect(&talk_to)?;
        socket.write_all(b"services\nquit\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok((answer, socat(&talk_to)?))
    });
    let (answer, by_socat) = reactor.run_until(talked).unwrap();
    reactor.run_until(running.stop_service()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(mode, 0o600);
    assert!(answer.contains("idle     root    ready  0\n"), "{answer}");
    match by_socat {
        Some(text) => assert_eq!(text, answer),
        None => println!("socat is not here"),
    }
}

fn socat(path: &std::path::Path) -> Result<Option<String>> {
    use std::process::{Command, Stdio};
    let mut command = Command::new("socat");
    command.arg("-t60").arg("-").arg(format!("UNIX-CONNECT:{}", path.display()));
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return Ok(None);
    };
    // Dropped then: the end of its input.
    child.stdin.take().unwrap().write_all(b"services\nquit\n")?;
    Ok(Some(String::from_utf8(child.wait_with_output()?.stdout)?))
}
