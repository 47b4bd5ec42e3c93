//! What a simulation tells of a run: its trace, its picture, and the command that runs it again.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use ropewalk::simulation::{EventKind, Host, Link, Loss, Simulation};
use ropewalk::{Address, UdpSocket};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

// ---- datagrams ----

fn send(simulation: &Simulation, from: &Rc<UdpSocket>, to: SocketAddr, text: &'static str) {
    let (from, to) = (from.clone(), Address::from(to));
    simulation.run_until(async move { from.send_to(text, &to).await }).unwrap();
    simulation.run_for(SECOND).unwrap();
}

/// A client's datagram to port 53 of a server, after something was done to the two.
fn trace_of(prepare: impl FnOnce(&Simulation, &Host, &Host)) -> (String, Vec<Loss>) {
    let simulation = Simulation::new(1);
    simulation.keep_trace();
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let socket = Rc::new(client.reactor().bind_udp("0.0.0.0:0").unwrap());
    prepare(&simulation, &server, &client);
    send(&simulation, &socket, SocketAddr::new(server.ip(), 53), "who is there?");
    let losses = simulation.trace_events().into_iter().filter_map(|event| match event.what {
        EventKind::Lost { why, .. } => Some(why),
        _ => None,
    });
    (simulation.trace(), losses.collect())
}

#[test]
fn the_trace_tells_to_whom_a_datagram_goes_and_what_it_is() {
    let ear = std::cell::Cell::new(None);
    let (trace, losses) = trace_of(|_, server, _| {
        ear.set(Some(server.reactor().bind_udp("0.0.0.0:53").unwrap()));
    });
    assert!(
        trace.contains("client           sends 13 bytes to 10.0.0.1:53: who is there?"),
        "{trace}"
    );
    assert!(trace.contains("server           gets 13 bytes from client: who is there?"), "{trace}");
    assert!(losses.is_empty());
}

#[test]
fn the_trace_tells_that_a_datagram_was_lost_and_why() {
    let (trace, losses) = trace_of(|simulation, server, client| {
        simulation.set_link(client, server, Link::new().loss(1.0));
    });
    let line = "server           misses 13 bytes from client to 10.0.0.1:53: lost on the way";
    assert!(trace.contains(line), "{trace}");
    assert_eq!(losses, [Loss::OnTheWay]);
    assert_eq!(
        trace_of(|simulation, server, client| simulation.cut(server, client)).1,
        [Loss::Unreachable]
    );
    assert_eq!(trace_of(|_, server, _| server.crash()).1, [Loss::Unreachable]);
    assert_eq!(trace_of(|_, _, _| ()).1, [Loss::NoPort]);
}

#[test]
fn the_trace_tells_that_a_socket_did_not_take_a_datagram() {
    let simulation = Simulation::new(1);
    simulation.keep_trace();
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let mouth = Rc::new(client.reactor().bind_udp("0.0.0.0:0").unwrap());
    let ear = server.reactor().bind_udp("0.0.0.0:53").unwrap();
    let at = SocketAddr::new(server.ip(), 53);
    // Nobody reads: what is beyond the socket's queue, and the reactor's own, is lost.
    for _ in 0..2_000 {
        let (mouth, to) = (mouth.clone(), Address::from(at));
        simulation.run_until(async move { mouth.send_to("x", &to).await }).unwrap();
    }
    simulation.run_for(SECOND).unwrap();
    let full = |event: &ropewalk::simulation::TraceEvent| {
        matches!(event.what, EventKind::Lost { why: Loss::Full, .. })
    };
    assert!(simulation.trace_events().iter().any(full));
    let other = SocketAddr::new(client.ip(), 9);
    let narrow = server.reactor().bind_udp("0.0.0.0:54").unwrap();
    narrow.connect(Address::from(other)).unwrap();
    send(&simulation, &mouth, SocketAddr::new(server.ip(), 54), "x");
    assert!(simulation.trace().contains("the socket is connected to another"));
    drop((ear, narrow));
    send(&simulation, &mouth, SocketAddr::from(([239, 1, 2, 3], 53)), "x");
    let last = simulation.trace_events().pop().unwrap();
    assert!(matches!(last.what, EventKind::Lost { why: Loss::NoPort, .. }), "{last}");
}

// ---- the command ----

/// Set where the test below runs the next one, which is to fail then, in a process of its own.
const FAILS: &str = "ROPEWALK_TEST_FAILS_UNDER_A_SEED";

/// Fails under the third of its seeds, when it is asked to.
#[test]
fn a_test_that_fails_under_a_seed() {
    if std::env::var_os(FAILS).is_none() {
        return;
    }
    let outcome = ropewalk::simulation::for_each_seed(0..5, |simulation| {
        let chosen = ropewalk::simulation::chosen_seed().is_some();
        println!(
            "seed {} was {}",
            simulation.seed(),
            if chosen { "chosen" } else { "one of many" }
        );
        if simulation.seed() == 2 { Err(ropewalk::Failure::msg("on purpose")) } else { Ok(()) }
    });
    println!("{}", outcome.unwrap_err());
    panic!("it failed, as it should");
}

#[test]
fn the_command_that_is_told_runs_the_one_seed_of_the_one_test_again() {
    let program = std::env::current_exe().unwrap();
    let output = |command: &mut std::process::Command| {
        // As if it was started by hand: cargo's command is looked at in the unit's own tests.
        let output = command.env_remove("CARGO_PKG_NAME").env(FAILS, "1").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut first = std::process::Command::new(program);
    let told =
        output(first.args(["--include-ignored", "a_test_that_fails"]).env_remove("ROPEWALK_SEED"));
    assert!(told.contains("seed 1 was one of many"), "{told}");
    let command = told.lines().find_map(|line| line.strip_prefix("run it again: ")).unwrap();
    assert!(command.starts_with("ROPEWALK_SEED=2 "), "{command}");
    assert!(command.contains("ignored"), "one that is ignored runs again too: {command}");
    let again = output(std::process::Command::new("sh").args(["-c", command]));
    assert!(again.contains("seed 2 was chosen") && !again.contains("seed 1 was"), "{again}");
    assert!(again.contains("0 passed; 1 failed; 0 ignored"), "{again}");
}

// ---- the picture ----

/// The heights at which a line of the picture begins and ends, of the arrows of one kind.
fn arrows(picture: &str, kind: &str) -> Vec<(usize, usize)> {
    let number = |line: &str, name: &str| {
        let text = line.split(&format!(" {name}=\"")).nth(1).unwrap();
        text.split('"').next().unwrap().parse().unwrap()
    };
    let marker = format!("url(#{kind})");
    let lines = picture.lines().filter(|line| line.contains(&marker));
    lines.map(|line| (number(line, "y1"), number(line, "y2"))).collect()
}

/// The height of the one line with this text.
fn height(picture: &str, text: &str) -> usize {
    let lines: Vec<&str> = picture.lines().filter(|line| line.contains(text)).collect();
    assert_eq!(lines.len(), 1, "{text}: {lines:?}");
    let y = lines[0].split(" y=\"").nth(1).unwrap().split('"').next().unwrap();
    // The text's own line stands a little lower than its middle.
    y.parse::<usize>().unwrap() - 4
}

/// A client asks so many times on one connection, and ends.
fn questions(times: usize) -> String {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    let simulation = Simulation::new(1);
    simulation.keep_trace();
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let echo = async |mut stream: ropewalk::Stream| {
        let mut buffer = [0; 64];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => stream.write_all(&buffer[..count]).await?,
            }
        }
    };
    server.reactor().serve("0.0.0.0:7", echo).unwrap();
    let reactor = client.reactor();
    let asking = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        for _ in 0..times {
            stream.write_all(b"question").await?;
            stream.read_exact(&mut [0; 8]).await?;
        }
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(asking).unwrap();
    simulation.run_until_idle().unwrap();
    simulation.to_svg()
}

#[test]
fn an_arrow_begins_where_its_bytes_were_sent_and_ends_where_they_arrived() {
    let picture = questions(1);
    // The end of a row, so that it is the sender's.
    let sent = |host: &str| height(&picture, &format!("{host}</tspan> #1 sends 8 bytes"));
    let got = |host: &str| height(&picture, &format!("{host}</tspan> #1 gets 8 bytes"));
    let wanted = [(sent("client"), got("server")), (sent("server"), got("client"))];
    assert_eq!(arrows(&picture, "data"), wanted);
    let end = height(&picture, "client</tspan> #1 sends its end");
    let closed = height(&picture, "server</tspan> #1 closes");
    let got = |host: &str| height(&picture, &format!("{host}</tspan> #1 gets the end"));
    assert_eq!(arrows(&picture, "end"), [(end, got("server")), (closed, got("client"))]);
}

#[test]
fn texts_stand_beside_the_hosts_lines_and_bytes_are_got_after_they_are_accepted() {
    let picture = questions(1);
    let xs = |line: &&str| line.split(" x=\"").nth(1)?.split('"').next()?.parse::<usize>().ok();
    let texts = picture.lines().filter(|line| line.contains("<tspan"));
    let lines = picture.lines().filter(|line| line.contains("stroke=\"#bbb\""));
    let last =
        lines.filter_map(|line| line.split("x1=\"").nth(1)?.split('"').next()?.parse().ok()).max();
    assert!(texts.map(|line| xs(&line).unwrap()).all(|x| x > last.unwrap()));
    let (accepts, gets) =
        (height(&picture, "#1 accepts"), height(&picture, "server</tspan> #1 gets 8"));
    assert!(accepts < gets, "{accepts} and {gets}");
}

#[test]
fn what_repeats_in_a_long_run_is_counted_instead_of_drawn() {
    let picture = questions(100);
    assert!(picture.contains("these 4 lines 9"), "{picture}");
    // The first and the last, and the one in which the connection was accepted.
    assert_eq!(picture.matches("sends 8 bytes").count(), 6);
    assert_eq!(arrows(&picture, "data").len(), 6);
    assert!(picture.contains("#1 connects to") && picture.contains("#1 closes"));
}

#[test]
fn a_datagram_that_was_lost_goes_half_the_way() {
    let simulation = Simulation::new(1);
    simulation.keep_trace();
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let socket = Rc::new(client.reactor().bind_udp("0.0.0.0:0").unwrap());
    simulation.set_link(&client, &server, Link::new().loss(1.0));
    send(&simulation, &socket, SocketAddr::new(server.ip(), 53), "lost");
    let picture = simulation.to_svg();
    assert_eq!(picture.matches("stroke-dasharray=\"4 3\"").count(), 1);
    assert_eq!(arrows(&picture, "data").len(), 0);
}
