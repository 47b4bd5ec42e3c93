//! Policies on real connections, in both faces.

#[path = "kit/mod.rs"]
mod kit;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{Peer, until};
use ropewalk::clock::TestClock;
use ropewalk::policies::{
    self, ConnectionLimit, IdleTimeout, Policy, Throttle, Timeout, TrafficLog,
};
use ropewalk::transport::ConnectionDone;
use ropewalk::{Address, Deferred, Failure, Port, Protocol, Reactor, Result};
use ropewalk::{Stream, Transport, Trigger};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

async fn echo(mut stream: Stream) -> Result {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// An echo under a policy, in each face.
fn both<P: Policy + Clone + 'static>(reactor: &Reactor, policy: P) -> [Port; 2] {
    let pushed = policies::factory(policy.clone(), |_: &Address| Echo);
    let pulled = policies::handler(policy, echo);
    [
        reactor.listen("127.0.0.1:0", pushed).expect("a port of this machine"),
        reactor.serve("127.0.0.1:0", pulled).expect("a port of this machine"),
    ]
}

async fn said_back(mut stream: Stream, data: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(data).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[test]
fn a_connection_over_the_limit_is_closed_and_the_place_is_free_again_later() {
    let reactor = Reactor::new().unwrap();
    for port in both(&reactor, ConnectionLimit::new().per_peer(1)) {
        let first = reactor.open(port.host());
        let (again, to) = (reactor.clone(), port.host());
        let outcome = reactor.run_until(async move {
            let mut first = first.await?;
            first.write_all(b"x").await?;
            first.read_exact(&mut [0]).await?;
            let refused = again.open(&to).await?.read(&mut [0; 9]).await;
            let echoed = said_back(first, b"first").await?;
            // The server counts its end of the first as well: it may take a turn.
            loop {
                let mut third = again.open(&to).await?;
                if third.write_all(b"y").await.is_ok()
                    && third.read(&mut [0]).await.is_ok_and(|n| n == 1)
                {
                    return Ok((refused.ok(), echoed));
                }
            }
        });
        let (refused, echoed) = outcome.unwrap();
        assert!(refused.is_none_or(|count| count == 0), "the second was served");
        assert_eq!(echoed, b"first");
    }
}

/// Tells of its connection's end.
struct Mourner(Trigger<Failure>);

impl Protocol for Mourner {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
    fn connection_lost(&mut self, reason: &Failure) {
        self.0.callback(reason.clone()).expect("it is lost once");
    }
}

#[test]
fn a_silent_connection_is_lost_in_order() {
    let reactor = Reactor::new().unwrap();
    let (trigger, lost) = Deferred::new();
    let idle = IdleTimeout::new(Duration::from_millis(5));
    let factory = policies::factory(idle, move |_: &Address| Mourner(trigger.clone()));
    let port = reactor.listen("127.0.0.1:0", factory).unwrap();
    let opening = reactor.open(port.host());
    let reason = reactor.run_until(async move {
        let mut stream = opening.await?;
        assert_eq!(stream.read(&mut [0]).await?, 0);
        lost.await
    });
    assert!(reason.unwrap().is::<ConnectionDone>());
}

#[cfg(feature = "simulation")]
#[test]
fn bytes_in_either_direction_are_no_silence() {
    let simulation = ropewalk::simulation::Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    for (port, hears) in [(1, true), (2, false)] {
        let idle = IdleTimeout::new(Duration::from_secs(3));
        let handler = async move |mut stream: Stream| {
            if hears {
                stream.read_to_end(&mut Vec::new()).await?;
                return Ok(());
            }
            while stream.write_all(b"x").await.is_ok() {
                stream.reactor().sleep(Duration::from_secs(2)).await;
            }
            Ok(())
        };
        server.reactor().serve(("0.0.0.0", port), policies::handler(idle, handler)).unwrap();
        let (opening, world) = (client.reactor().open(("server", port)), simulation.clone());
        let talk = client.reactor().spawn(async move {
            let mut stream = opening.await?;
            for _ in 0..10 {
                match hears {
                    true => {
                        stream.reactor().sleep(Duration::from_secs(2)).await;
                        stream.write_all(b"x").await?;
                    }
                    false => stream.read_exact(&mut [0]).await?,
                }
            }
            Ok(stream.read(&mut [0]).await? == 0 && hears)
        });
        let begun = world.time();
        let ended = simulation.run_until(talk).unwrap();
        let taken = world.time() - begun;
        assert!(taken >= Duration::from_secs(20), "lost after {taken:?}");
        assert_eq!(ended, hears);
    }
}

#[test]
fn a_limit_that_is_set_again_takes_the_place_of_the_former() {
    let (clock, calls) = (TestClock::new(), Rc::new(Cell::new(0)));
    let count = calls.clone();
    let mut timeout = Timeout::new(clock.clone(), move || count.set(count.get() + 1));
    timeout.set(Some(Duration::from_secs(1)));
    clock.advance(Duration::from_millis(500));
    assert_eq!(timeout.set(Some(Duration::from_secs(2))), Some(Duration::from_secs(1)));
    clock.advance(Duration::from_millis(1_900));
    assert_eq!(calls.get(), 0);
    clock.advance(Duration::from_millis(200));
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_throttle_cuts_what_passes_and_loses_nothing() {
    let reactor = Reactor::new().unwrap();
    let rate = NonZeroU32::new(500_000).unwrap();
    let pieces = Rc::new(RefCell::new(Vec::new()));
    let sink = pieces.clone();
    let log = TrafficLog::new(move |traffic| sink.borrow_mut().push(traffic.bytes.len()));
    let data: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    for port in both(&reactor, (log, Throttle::new().reading(rate).writing(rate))) {
        let (sent, opening) = (data.clone(), reactor.open(port.host()));
        let answer = reactor.run_until(async move {
            let (mut reading, mut writing) = opening.await?.split();
            let mut answer = Vec::new();
            let send = async {
                writing.write_all(&sent).await?;
                writing.close().await
            };
            futures_util::future::try_join(send, reading.read_to_end(&mut answer)).await?;
            Ok(answer)
        });
        assert!(answer.unwrap() == data, "the echo differs");
        let pieces = pieces.take();
        assert!(pieces.iter().all(|&piece| piece <= 50_000), "no more than a tenth of a second's");
        assert_eq!(pieces.iter().sum::<usize>(), 200_000);
    }
}

#[test]
fn a_traffic_log_tells_every_byte_in_order() {
    let reactor = Reactor::new().unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = lines.clone();
    let log = TrafficLog::new(move |traffic| {
        let line = traffic.to_string();
        let (_, tail) = line.split_once(' ').expect("an address comes first");
        sink.borrow_mut().push(tail.to_owned());
    });
    for port in both(&reactor, log) {
        let opening = reactor.open(port.host());
        let rest = reactor.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(b"a\n").await?;
            stream.read_exact(&mut [0; 2]).await?;
            said_back(stream, b"").await
        });
        assert_eq!(rest.unwrap(), b"");
        assert_eq!(lines.take(), ["> \"a\\n\"", "< \"a\\n\"", "> \"\""]);
    }
}

#[test]
fn a_connection_that_a_policy_cannot_be_applied_to_is_aborted_and_said_once() {
    #[derive(Clone)]
    struct Impossible;
    impl Policy for Impossible {
        type Pass = ();
        fn admit(&self, _: &Address) -> Option<()> {
            Some(())
        }
        fn apply(&self, _: &Transport) -> Result {
            Err(Failure::msg("not to be had"))
        }
    }
    let reports = Rc::new(RefCell::new(Vec::new()));
    let desk = reports.clone();
    ropewalk::on_report(move |report| desk.borrow_mut().push(report.to_string()));
    let reactor = Reactor::new().unwrap();
    for port in both(&reactor, Impossible) {
        let mut peer = Peer::call(&port);
        assert_eq!(peer.until_end(&reactor), "ConnectionReset");
        until(&reactor, "it is said", || !reports.borrow().is_empty());
        assert_eq!(reports.borrow().len(), 1, "{reports:?}");
        assert!(reports.take()[0].contains("not to be had"));
    }
}
