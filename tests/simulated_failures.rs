//! What nobody handled fails the run in which it was reported, with the seed and the user's line.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::reactor::UnhandledFailure;
use ropewalk::simulation::{
    Draw, Faults, Host, PropertyError, Simulation, for_all, for_each_seed, sweep_faults,
};
use ropewalk::{
    Address, Deferred, Failure, Panicked, Protocol, Reactor, Result, Stream, Transport,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

fn explode(why: &str) {
    panic!("{why}");
}

const SECOND: Duration = Duration::from_secs(1);

/// What the run of a second fails with, after `begin` has begun something on two hosts.
fn failure_of(begin: impl FnOnce(&Simulation, &Host, &Host)) -> Failure {
    let simulation = Simulation::new(7);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    begin(&simulation, &server, &client);
    simulation.run_for(SECOND).expect_err("something was reported")
}

/// The failure is an unhandled one under seed 7, and its text names this file.
#[track_caller]
fn expect_unhandled(failure: &Failure, what: &str) {
    assert!(failure.is::<UnhandledFailure>(), "nobody handled it: {failure}");
    let text = failure.to_string();
    assert!(text.contains("of seed 7, ") && text.contains(what), "{text}");
}

#[track_caller]
fn expect_unhandled_here(failure: &Failure, what: &str, line: u32) {
    expect_unhandled(failure, what);
    let text = failure.to_string();
    assert!(text.contains(&format!("{}:{line}", file!())), "{line}: {text}");
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), line)
    );
}

// ---- what fails a run ----

#[test]
fn a_task_that_panics_and_that_nobody_watches_fails_the_run_with_its_line() {
    let line = line!() + 2;
    let failure = failure_of(|_, server, _| {
        drop(server.reactor().spawn(async { if true { panic!("in a task") } else { Ok(()) } }));
    });
    expect_unhandled_here(&failure, "panicked: in a task", line);
}

#[test]
fn a_task_that_fails_and_that_nobody_watches_fails_the_run_with_its_line() {
    let line = line!() + 2;
    let failure = failure_of(|_, server, _| {
        let lost = async { Err::<(), Failure>(Failure::msg("lost")) };
        drop(server.reactor().spawn(lost));
    });
    expect_unhandled_here(&failure, "unhandled failure in Deferred: lost", line);
}

#[test]
fn a_program_that_does_not_boot_fails_the_run_with_its_line() {
    let line = line!() + 3;
    let failure = failure_of(|_, server, _| {
        server.boot(|reactor| {
            reactor.serve("10.9.9.9:80", async |_| Ok(()))?;
            Ok(())
        });
    });
    expect_unhandled(&failure, "program of the simulated host server");
    assert!(failure.to_string().contains(&format!("{}:{}", file!(), line - 1)), "{failure}");
}

#[test]
fn a_program_that_panics_while_it_boots_fails_the_run_with_the_line_that_booted_it() {
    let line = line!() + 1;
    let failure = failure_of(|_, server, _| server.boot(|_| panic!("at boot")));
    expect_unhandled_here(&failure, "panicked: at boot", line);
}

#[test]
fn a_program_that_boots_once_only_fails_the_run_in_which_it_is_restarted() {
    let failure = failure_of(|simulation, server, _| {
        let lives = Cell::new(0);
        server.boot(move |_| {
            lives.set(lives.get() + 1);
            if lives.get() < 2 { Ok(()) } else { Err(Failure::msg("a second life")) }
        });
        simulation.script("crash server at 100 ms for 100 ms").unwrap();
    });
    expect_unhandled(&failure, "a second life");
    assert!(failure.to_string().starts_with("at 200ms of seed 7, "), "{failure}");
}

#[test]
fn a_timer_that_panics_fails_the_run() {
    let failure = failure_of(|_, server, _| {
        server.reactor().call_later(SECOND / 2, || explode("in a timer"));
    });
    expect_unhandled(&failure, "panicked: in a timer");
}

#[test]
fn a_scripted_step_that_panics_fails_the_run_with_the_line_that_planned_it() {
    let line = line!() + 2;
    let failure = failure_of(|simulation, _, _| {
        simulation.at(SECOND / 2, |_| panic!("in a step"));
    });
    expect_unhandled_here(&failure, "panicked: in a step", line);
}

#[test]
fn work_in_a_thread_that_fails_unwatched_or_panics_fails_the_run() {
    let failure = failure_of(|_, server, _| {
        server.reactor().call_in_thread(|| explode("in a thread"));
    });
    expect_unhandled(&failure, "panicked: in a thread");
    let failure = failure_of(|_, server, _| {
        let work = || Err::<(), Failure>(Failure::msg("in vain"));
        drop(server.reactor().defer_to_thread(work));
    });
    expect_unhandled(&failure, "in vain");
}

#[test]
fn a_call_from_a_thread_that_panics_fails_the_run() {
    let failure = failure_of(|_, server, _| {
        server.reactor().remote().call_from_thread(|_| explode("from elsewhere")).unwrap();
    });
    expect_unhandled(&failure, "panicked: from elsewhere");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

#[test]
fn a_drop_that_panics_fails_the_run() {
    let failure = failure_of(|_, server, _| {
        let bomb = Bomb;
        let task = async move {
            let _bomb = &bomb;
            std::future::pending::<()>().await;
        };
        let task = server.reactor().spawn(task);
        server.reactor().call_later(SECOND / 2, move || task.cancel());
    });
    expect_unhandled(&failure, "panicked: in a drop");
}

/// Panics or fails where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Made,
    Data,
    Error,
    ReadClosed,
    Lost,
}

struct Fragile(Place);

impl Fragile {
    fn visit(&self, place: Place) {
        assert!(self.0 != place, "in a protocol");
    }
}

impl Protocol for Fragile {
    fn connection_made(&mut self, _: &Transport) {
        self.visit(Place::Made);
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        self.visit(Place::Data);
        if self.0 == Place::Error { Err(Failure::msg("in a protocol")) } else { Ok(()) }
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.visit(Place::ReadClosed);
        transport.lose_connection();
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.visit(Place::Lost);
    }
}

/// Says one word to port 7 of the server, and ends.
fn say_a_word(client: &Host) {
    let reactor = client.reactor();
    drop(client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        stream.write_all(b"word").await?;
        // What the server makes of it is the server's.
        let _ = stream.close().await;
        let _ = stream.read(&mut [0; 8]).await;
        Ok(())
    }));
}

#[test]
fn a_protocol_that_panics_or_fails_anywhere_fails_the_run() {
    for place in [Place::Made, Place::Data, Place::Error, Place::ReadClosed, Place::Lost] {
        let failure = failure_of(|_, server, client| {
            server.reactor().listen("0.0.0.0:7", move |_: &Address| Fragile(place)).unwrap();
            say_a_word(client);
        });
        expect_unhandled(&failure, "in a protocol");
    }
}

#[test]
fn a_factory_that_panics_fails_the_run() {
    let failure = failure_of(|_, server, client| {
        let build = |_: &Address| -> Fragile { panic!("in a factory") };
        server.reactor().listen("0.0.0.0:7", build).unwrap();
        say_a_word(client);
    });
    expect_unhandled(&failure, "panicked: in a factory");
}

#[test]
fn a_handler_that_fails_or_panics_fails_the_run() {
    let line = line!() + 2;
    let failure = failure_of(|_, server, client| {
        let handler = async |_: Stream| Err::<(), Failure>(Failure::msg("in a handler"));
        server.reactor().serve("0.0.0.0:7", handler).unwrap();
        say_a_word(client);
    });
    expect_unhandled_here(&failure, "in a handler", line);
    let failure = failure_of(|_, server, client| {
        let handler = async |_: Stream| if true { panic!("in a handler") } else { Ok(()) };
        server.reactor().serve("0.0.0.0:7", handler).unwrap();
        say_a_word(client);
    });
    expect_unhandled(&failure, "panicked: in a handler");
}

struct Deaf(bool);

impl DatagramProtocol for Deaf {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        assert!(!self.0, "in a datagram");
        Err(Failure::msg("in a datagram"))
    }
}

#[test]
fn a_datagram_protocol_that_fails_or_panics_fails_the_run() {
    for panics in [false, true] {
        let failure = failure_of(|_, server, client| {
            let _ = server.reactor().listen_udp("0.0.0.0:53", Deaf(panics)).unwrap();
            let mouth = client.reactor().bind_udp("0.0.0.0:0").unwrap();
            let to = Address::from(std::net::SocketAddr::new(server.ip(), 53));
            drop(client.reactor().spawn(async move { mouth.send_to(b"?", &to).await }));
        });
        expect_unhandled(&failure, "in a datagram");
    }
}

// ---- when it is told ----

#[test]
fn a_run_that_failed_fails_again() {
    let simulation = Simulation::new(7);
    simulation.host("server").boot(|_| Err(Failure::msg("no boot")));
    let told = || simulation.run_for(SECOND).unwrap_err().to_string();
    assert_eq!(told(), told());
    expect_unhandled(&simulation.run_until_idle().unwrap_err(), "no boot");
    expect_unhandled(&simulation.run_until(async { Ok(()) }).unwrap_err(), "no boot");
}

#[test]
fn a_result_that_comes_with_a_report_is_no_success() {
    let simulation = Simulation::new(7);
    let reactor = simulation.host("server").reactor();
    let failure = simulation.run_until(async move {
        drop(reactor.spawn(async { Err::<(), Failure>(Failure::msg("beside it")) }));
        reactor.yield_now().await;
        reactor.sleep(SECOND).await;
        Ok("a result")
    });
    expect_unhandled(&failure.unwrap_err(), "beside it");
}

#[test]
fn a_report_between_two_runs_fails_the_next() {
    let simulation = Simulation::new(7);
    let failing = simulation
        .host("server")
        .reactor()
        .spawn(async { Err::<(), Failure>(Failure::msg("kept until later")) });
    simulation.run_for(SECOND).unwrap();
    drop(failing);
    expect_unhandled(&simulation.run_for(SECOND).unwrap_err(), "kept until later");
}

#[test]
fn a_report_that_no_run_has_told_panics_at_the_end_of_the_simulation() {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let simulation = Simulation::new(7);
        let failing = simulation
            .host("server")
            .reactor()
            .spawn(async { Err::<(), Failure>(Failure::msg("kept until the end")) });
        simulation.run_for(SECOND).unwrap();
        drop(failing);
    }));
    let told = *ended.unwrap_err().downcast::<String>().unwrap();
    assert!(told.contains("of seed 7, ") && told.contains("kept until the end"), "{told}");
}

#[test]
fn a_reactor_of_a_host_that_runs_by_itself_fails_of_a_report_too() {
    let simulation = Simulation::new(7);
    let server = simulation.host("server").reactor();
    server.call_later(SECOND / 2, || explode("in a timer"));
    let napping = server.clone();
    let failure = server.run_until(async move {
        napping.sleep(SECOND).await;
        Ok(())
    });
    assert!(failure.unwrap_err().to_string().contains("panicked: in a timer"));
}

#[test]
fn a_hook_hears_of_what_fails_a_run() {
    let heard = Rc::new(Cell::new(0));
    let count = heard.clone();
    ropewalk::on_report(move |_| count.set(count.get() + 1));
    failure_of(|_, server, _| server.boot(|_| Err(Failure::msg("heard"))));
    assert_eq!(heard.get(), 1);
}

#[test]
fn a_report_of_one_simulation_is_not_the_failure_of_another() {
    let older = Simulation::new(1);
    let newer = Simulation::new(2);
    older.host("server").reactor().call_later(SECOND / 2, || explode("of the older"));
    newer.run_for(SECOND).unwrap();
    assert!(older.run_for(SECOND).is_err());
    newer.run_for(SECOND).unwrap();
}

// ---- what is allowed ----

#[test]
fn a_report_that_a_predicate_allows_fails_nothing_and_any_other_does() {
    let simulation = Simulation::new(7);
    simulation.allow_reports(|report| report.failure().is::<Panicked>());
    simulation.allow_reports(|report| report.failure().to_string() == "expected");
    let reactor = simulation.host("server").reactor();
    reactor.call_later(SECOND, || explode("allowed"));
    drop(reactor.spawn(async { Err::<(), Failure>(Failure::msg("expected")) }));
    simulation.run_for(2 * SECOND).unwrap();
    drop(reactor.spawn(async { Err::<(), Failure>(Failure::msg("unexpected")) }));
    expect_unhandled(&simulation.run_for(SECOND).unwrap_err(), "unexpected");
}

#[test]
fn a_predicate_may_use_the_simulation() {
    let simulation = Simulation::new(7);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (times, host) = (seen.clone(), simulation.host("server"));
    let clock = host.clone();
    simulation.allow_reports(move |_| {
        times.borrow_mut().push(clock.name());
        true
    });
    host.reactor().call_later(SECOND, || explode("allowed"));
    simulation.run_until_idle().unwrap();
    assert_eq!(*seen.borrow(), ["server"]);
}

/// Answers with what comes, as streams do.
fn serve_echo(reactor: &Reactor) -> Result {
    reactor.serve("0.0.0.0:7", async |mut stream| {
        let mut buffer = [0; 64];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count]).await?;
        }
    })?;
    Ok(())
}

/// Asks the echo and takes whatever comes of it.
fn ask(reactor: &Reactor) -> Deferred<()> {
    let asker = reactor.clone();
    reactor.spawn(async move {
        let Ok(mut stream) = asker.open("server:7").await else { return Ok(()) };
        let asked = stream.write_all(&[7; 300]).await;
        let closed = stream.close().await;
        if asked.is_ok() && closed.is_ok() {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Ok(())
    })
}

fn echo(simulation: &Simulation) -> Result {
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    // It is the listening that may fail here, and says so.
    if serve_echo(&server.reactor()).is_err() {
        return Ok(());
    }
    simulation.run_until(ask(&client.reactor()))?;
    simulation.run_until_idle()
}

#[test]
fn faults_that_are_injected_fail_no_run() {
    let rough = for_each_seed(0..50, |simulation| {
        simulation.host("server").set_faults(Faults::rough());
        simulation.host("client").set_faults(Faults::rough());
        echo(simulation)
    });
    assert!(rough.unwrap().faults > 50);
    assert!(sweep_faults(1, echo).unwrap().faults > 50);
}

#[test]
fn a_host_that_runs_out_of_descriptors_as_it_was_told_to_fails_no_run() {
    let simulation = Simulation::new(7);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.boot(serve_echo);
    server.limit_descriptors(1);
    simulation.run_until(ask(&client.reactor())).unwrap();
}

#[test]
fn what_a_program_says_while_a_crash_takes_it_away_fails_no_run_but_a_panic_does() {
    struct Last(Option<ropewalk::Trigger<()>>, bool);
    impl Protocol for Last {
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn connection_lost(&mut self, _: &Failure) {
            assert!(!self.1, "when it is lost");
            let _ = self.0.take().unwrap().errback(Failure::msg("nobody lives to hear this"));
        }
    }
    let run = |panics: bool| {
        let simulation = Simulation::new(7);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        let build = move |_: &Address| {
            let (trigger, unwatched) = Deferred::<()>::new();
            drop(unwatched);
            Last(Some(trigger), panics)
        };
        server.reactor().listen("0.0.0.0:7", build).unwrap();
        let opening = client.reactor().open("server:7");
        let _stream = simulation.run_until(opening).unwrap();
        simulation.run_for(SECOND).unwrap();
        simulation.at(simulation.time(), {
            let server = server.clone();
            move |_| server.crash()
        });
        simulation.run_for(SECOND)
    };
    run(false).unwrap();
    expect_unhandled(&run(true).unwrap_err(), "when it is lost");
}

// ---- many runs ----

#[test]
fn a_scenario_that_does_not_look_fails_all_the_same_and_names_the_users_line() {
    let line = line!() + 2;
    let failure = for_each_seed(0..10, |simulation| {
        let lost = async { Err::<(), Failure>(Failure::msg("not looked at")) };
        if simulation.seed() == 3 {
            drop(simulation.host("server").reactor().spawn(lost));
            let _ = simulation.run_until_idle();
        }
        Ok(())
    });
    let failure = failure.unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("seed 3 failed at 0ns: "), "{text}");
    assert!(text.contains("not looked at"), "{text}");
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), line)
    );
}

#[test]
fn a_scenario_that_fails_names_its_own_line() {
    let line = line!() + 1;
    let failing = |_: &Simulation| Err(Failure::msg("by its result"));
    let failure = for_each_seed(0..1, failing).unwrap_err();
    assert!(failure.to_string().contains(&format!("{}:{line}", file!())), "{failure}");
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), line)
    );
    let called = line!() + 1;
    let failure = for_each_seed(0..1, |_| panic!("on purpose")).unwrap_err();
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), called)
    );
    let idle = line!() + 2;
    let stuck = for_each_seed(0..1, |simulation| {
        simulation.run_until(std::future::pending::<Result<()>>())
    });
    assert_eq!(stuck.unwrap_err().location().unwrap().line(), idle);
}

#[test]
fn what_fails_at_the_very_end_of_a_simulation_fails_its_seed() {
    let failure = for_each_seed(0..1, |simulation| {
        let reactor = simulation.host("server").reactor();
        let bomb = Bomb;
        reactor.call_later(SECOND, move || drop(bomb));
        simulation.run_for(SECOND / 2)
    });
    assert!(failure.unwrap_err().to_string().contains("panicked: in a drop"));
}

#[test]
fn a_single_fault_that_makes_a_task_panic_is_found_by_the_walk() {
    let failure = sweep_faults(1, |simulation| {
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        if serve_echo(&server.reactor()).is_err() {
            return Ok(());
        }
        let reactor = client.reactor();
        drop(client.reactor().spawn(async move {
            reactor.open("server:7").await.expect("it is there");
        }));
        simulation.run_until_idle()
    });
    let text = failure.unwrap_err().to_string();
    assert!(text.contains("where call ") && text.contains("it is there"), "{text}");
}

fn smallest(property: impl Fn(&mut Draw) -> Result) -> (Vec<String>, String) {
    let failure = for_all(0..100, property).unwrap_err();
    (failure.check::<PropertyError>().unwrap().drawn().to_vec(), failure.to_string())
}

#[test]
fn a_report_falsifies_a_property_and_the_case_gets_smaller_by_it() {
    let (drawn, text) = smallest(|draw| {
        let (number, simulation) = (draw.below(100), Simulation::new(1));
        let reactor = simulation.host("server").reactor();
        drop(reactor.spawn(async move {
            if number < 10 { Ok(()) } else { Err(Failure::msg("too many")) }
        }));
        let _ = simulation.run_until_idle();
        Ok(())
    });
    assert_eq!(drawn, ["number 10"]);
    assert!(text.contains("too many"), "{text}");
    let (drawn, _) = smallest(|draw| {
        if draw.flag() {
            drop(ropewalk::fail::<()>(Failure::msg("of no simulation")));
        }
        Ok(())
    });
    assert_eq!(drawn, ["flag true"]);
}
