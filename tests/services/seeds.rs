//! Services that start, fail, restart, are added, disowned, drained and stopped at random: whatever the seed,
//! nothing is left, every stop has its time, and who is late is named.
//!
//! `ROPEWALK_SERVICE_SEEDS=10000 cargo test --all-features --test services seeds` tries so many; a seed that
//! fails is printed, and `ROPEWALK_SERVICE_SEED=n` tries that one alone.

use super::*;
use futures_util::future::{Either, select};
use ropewalk::Transport;
use ropewalk::service::{Drain, LateError, MultiService, Restart, ServiceState};
use ropewalk::simulation::Random;
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

const LIMITS: Drain = Drain {
    lame_duck: Duration::ZERO,
    connections: Duration::from_secs(3),
    service: Duration::from_secs(1),
    total: Duration::from_secs(6),
};

/// Tries seeds: a few, or as many as are asked for.
#[test]
fn whatever_the_seed_nothing_is_left_and_every_stop_has_its_time() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("ROPEWALK_SERVICE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ROPEWALK_SERVICE_SEEDS").unwrap_or(150),
    };
    let tried = seeds.clone();
    let mut seen = Seen::default();
    for seed in seeds {
        let tried = std::panic::catch_unwind(|| try_seed(seed));
        match tried {
            Ok(one) => seen.add(&one),
            Err(panic) => {
                println!("ROPEWALK_SERVICE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("seeds {tried:?}: {seen:?}");
    if tried.end - tried.start >= 150 {
        let Seen { failed_starts, late, restarts, hurried, echoed } = seen;
        assert!(failed_starts > 0 && late > 0 && restarts > 0 && hurried > 0 && echoed > 0);
    }
}

/// What happened in the seeds, so that none of it is never tried.
#[derive(Debug, Default)]
struct Seen {
    failed_starts: u64,
    late: u64,
    restarts: u64,
    hurried: u64,
    echoed: u64,
}

impl Seen {
    fn add(&mut self, one: &Seen) {
        self.failed_starts += one.failed_starts;
        self.late += one.late;
        self.restarts += one.restarts;
        self.hurried += one.hurried;
        self.echoed += one.echoed;
    }
}

/// What one seed is made of.
struct Lot {
    simulation: Simulation,
    server: Host,
    client: Host,
    next_port: Cell<u16>,
    next_name: Cell<u32>,
    /// How many lines were answered.
    echoed: Rc<Cell<u64>>,
}

impl Lot {
    fn draw<R>(&self, draw: impl FnOnce(&mut Random) -> R) -> R {
        self.simulation.random(draw)
    }

    fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn below(&self, end: u64) -> u64 {
        self.draw(|random| random.bits() % end)
    }

    fn time(&self, most: Duration) -> Duration {
        Duration::from_millis(self.below(most.as_millis() as u64 + 1))
    }

    fn name(&self, kind: &str) -> String {
        let number = self.next_name.replace(self.next_name.get() + 1);
        format!("{kind}{number}")
    }

    fn port(&self) -> u16 {
        let port = self.next_port.replace(self.next_port.get() + 1);
        let (client, talks) = (self.client.reactor(), self.time(SECOND * 12));
        for _ in 0..self.below(4) {
            let times = (self.time(talks), self.time(SECOND * 4));
            let visit = visit(client.clone(), port, times, self.echoed.clone());
            drop(client.spawn(visit));
        }
        port
    }

    /// When a service fails by itself, or ends; never for most.
    fn fate(&self) -> Option<(Duration, bool)> {
        self.chance(35).then(|| (self.time(SECOND * 8), self.chance(80)))
    }

    fn service(&self, depth: u32) -> Box<dyn Service> {
        let (fate, starts_badly) = (self.fate(), self.chance(4));
        let takes = self.time(if self.chance(20) { SECOND } else { Duration::ZERO });
        let life = Life { fate, starts_badly, takes };
        match self.below(if depth == 0 { 8 } else { 7 }) {
            0 => Box::new(life.serve(self.name("polite"), self.port(), true)),
            1 => Box::new(life.serve(self.name("deaf"), self.port(), false)),
            2 => Box::new(Callbacks { life, name: self.name("callbacks"), at: at(self.port()) }),
            3 => Box::new(life.tick(self.name("ticking"))),
            4 => Box::new(life.dial(self.name("dialing"), self.next_port.get().max(7001) - 1)),
            5 if self.chance(30) => Box::new(life.hang(self.name("stubborn"))),
            6 if self.chance(30) => Box::new(life.tick(self.name("job")).temporary()),
            7 => {
                let mut both = MultiService::new(self.name("both")).restart(self.strategy());
                for _ in 0..self.below(3) + 1 {
                    both = both.add_service(self.service(depth + 1));
                }
                Box::new(both)
            }
            _ => Box::new(life.tick(self.name("idle")).permanent()),
        }
    }

    fn strategy(&self) -> Restart {
        let restart = match self.below(3) {
            0 => Restart::one_for_one(),
            1 => Restart::rest_for_one(),
            _ => Restart::one_for_all(),
        };
        restart.intensity(self.below(6) as u32, SECOND * 30)
    }
}

fn at(port: u16) -> String {
    format!("0.0.0.0:{port}")
}

/// A visitor who talks for a while, and hangs up, or does not.
async fn visit(
    reactor: Reactor,
    port: u16,
    (comes, stays): (Duration, Duration),
    echoed: Rc<Cell<u64>>,
) -> Result {
    reactor.sleep(comes).await;
    let Ok(mut stream) = reactor.open(&*format!("server:{port}")).await else { return Ok(()) };
    let mut line = [0; 3];
    if stream.write_all(b"hi\n").await.is_ok() {
        // It may be cut off at any time.
        let read = select(stream.read_exact(&mut line), Box::pin(reactor.sleep(stays))).await;
        if matches!(read, Either::Left((Ok(()), _))) {
            echoed.set(echoed.get() + 1);
        }
    }
    reactor.sleep(stays).await;
    Ok(())
}

/// How a service fares.
#[derive(Clone, Copy)]
struct Life {
    fate: Option<(Duration, bool)>,
    starts_badly: bool,
    takes: Duration,
}

impl Life {
    async fn begin(self, up: &Running) -> Result {
        up.reactor().sleep(self.takes).await;
        if self.starts_badly {
            return Err(Failure::msg("a bad start"));
        }
        up.ready();
        Ok(())
    }

    /// Until it is to stop, or its hour has come.
    async fn last(self, up: &Running) -> Result {
        let hour = async {
            match self.fate {
                None => pending().await,
                Some((time, fails)) => {
                    up.reactor().sleep(time).await;
                    if fails { Err(Failure::msg("its hour has come")) } else { Ok(()) }
                }
            }
        };
        match select(Box::pin(hour), up.stopping()).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Ok(()),
        }
    }

    fn serve(self, name: String, port: u16, is_polite: bool) -> impl Service {
        service(name, async move |up: Running| {
            up.serve(&*at(port), async move |mut stream| {
                loop {
                    let (draining, mut line) = (stream.draining(), String::new());
                    let read = match select(stream.read_line(&mut line), draining).await {
                        Either::Left((read, _)) => read?,
                        Either::Right(_) if is_polite => return Ok(()),
                        Either::Right(((), read)) => read.await?,
                    };
                    if read == 0 {
                        return Ok(());
                    }
                    if !is_polite && line.len() % 2 == 1 {
                        drop(ropewalk::spawn(pending::<Result>()));
                    }
                    stream.write_all(line.as_bytes()).await?;
                }
            })?;
            self.begin(&up).await?;
            self.last(&up).await
        })
    }

    fn tick(self, name: String) -> impl Service {
        service(name, async move |up: Running| {
            let ticking = up.clone();
            drop(up.spawn(async move {
                let mut ticks = ticking.reactor().interval(SECOND / 3);
                while let Either::Left(_) = select(Box::pin(ticks.tick()), ticking.stopping()).await
                {
                }
                Ok(())
            }));
            up.reactor().call_later(SECOND * 1000, || ());
            self.begin(&up).await?;
            self.last(&up).await
        })
    }

    fn dial(self, name: String, port: u16) -> impl Service {
        service(name, async move |up: Running| {
            let _stream = up.open(&*format!("server:{port}")).await.ok();
            self.begin(&up).await?;
            self.last(&up).await
        })
    }

    fn hang(self, name: String) -> impl Service {
        service(name, async move |up: Running| {
            self.begin(&up).await?;
            pending::<Result>().await
        })
    }
}

/// One in callbacks.
struct Callbacks {
    life: Life,
    name: String,
    at: String,
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn drain(&mut self, transport: &Transport) {
        transport.lose_connection();
    }
}

impl Service for Callbacks {
    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        if self.life.starts_badly {
            return fail(Failure::msg("a bad start"));
        }
        if let Some((time, fails)) = self.life.fate {
            let dying = up.clone();
            up.reactor().call_later(time, move || {
                let failure = Failure::msg("its hour has come");
                dying.ended(if fails { Err(failure) } else { Ok(()) });
            });
        }
        match up.listen(&*self.at, |_: &Address| Echo) {
            Ok(_) => succeed(()),
            Err(failure) => fail(failure),
        }
    }
}

fn try_seed(seed: u64) -> Seen {
    let simulation = Simulation::new(seed);
    simulation.allow_reports(|_| true);
    ropewalk::on_report(|_| ());
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let lot = Lot {
        simulation,
        server,
        client,
        next_port: Cell::new(7000),
        next_name: Cell::new(0),
        echoed: Rc::default(),
    };
    let lame_duck = lot.time(if lot.chance(30) { SECOND } else { Duration::ZERO });
    let drain = Drain { lame_duck, ..LIMITS };
    let mut application = Application::new("all").restart(lot.strategy()).drain(drain);
    for _ in 0..lot.below(5) + 1 {
        application = application.add_service(lot.service(0));
    }
    let reactor = lot.server.reactor();
    let launch = application.on(&reactor);
    let running = launch.running().clone();
    let failed = Rc::new(Cell::new(0));
    let noted = failed.clone();
    drop(reactor.spawn(async move {
        if launch.start().await.is_err() {
            noted.set(1);
        }
        Ok(())
    }));
    lot.simulation.run_for(Duration::from_millis(1)).unwrap();
    for _ in 0..lot.below(9) {
        lot.simulation.run_for(lot.time(SECOND * 2)).unwrap();
        meddle(&lot, &running);
    }
    let restarts = restarts_of(&running);
    let (late, hurried) = end(&lot, &running);
    Seen { failed_starts: failed.get(), late, restarts, hurried, echoed: lot.echoed.get() }
}

fn restarts_of(running: &Running) -> u64 {
    running.services().iter().map(|it| it.restarts() + restarts_of(it)).sum()
}

/// Somebody asks for something, and does not wait for it.
fn meddle(lot: &Lot, running: &Running) {
    let services = running.services();
    let which = services.get(lot.below(services.len().max(1) as u64) as usize);
    match (lot.below(7), which) {
        (0, Some(one)) => drop(one.restart_service()),
        (1, Some(one)) => drop(one.disown_service_parent()),
        (2, Some(one)) => drop(one.stop_service()),
        (3, Some(one)) => drop(one.start_service()),
        (4, _) => drop(running.add_service(lot.service(0))),
        (5, _) => drop(running.reload()),
        (6, Some(one)) => one.ended(Err(Failure::msg("somebody said so"))),
        _ => {}
    }
}

/// Stops all, and looks at what is left.
fn end(lot: &Lot, running: &Running) -> (u64, u64) {
    // Who was asked to stop by somebody else has begun to.
    lot.simulation.run_for(Duration::from_millis(1)).unwrap();
    let stubborn =
        |it: &Running| it.name().starts_with("stubborn") && it.state() == ServiceState::Ready;
    let is_up = running.state() == ServiceState::Ready;
    let expected: Vec<_> =
        running.services().into_iter().filter(|it| is_up && stubborn(it)).collect();
    let before = lot.simulation.time();
    let stopping = running.stop_service();
    let hurried = u64::from(lot.chance(15));
    if hurried > 0 {
        lot.simulation.run_for(lot.time(SECOND * 2)).unwrap();
        drop(running.stop_service());
    }
    let outcome = lot.simulation.run_until(stopping);
    let took = lot.simulation.time() - before;
    // What cannot be ended at all has a second more.
    assert!(took <= LIMITS.total + SECOND * 2, "the stop took {took:?}");
    let late = match &outcome {
        Ok(()) => Vec::new(),
        Err(failure) => {
            let late = failure.check::<LateError>().unwrap_or_else(|| panic!("{failure:?}"));
            late.late().iter().map(|late| late.name().to_owned()).collect()
        }
    };
    for service in expected {
        assert!(late.iter().any(|late| late == service.name()), "{} in {late:?}", service.name());
    }
    assert_eq!(running.state(), ServiceState::Stopped);
    each_is_stopped(running);
    // What was asked for on the way comes to an end as well.
    lot.simulation.run_for(SECOND * 40).unwrap();
    each_is_stopped(running);
    let reactor = lot.server.reactor();
    assert!(reactor.delayed_calls().is_empty(), "timers: {:?}", reactor.delayed_calls());
    let left = format!("{reactor:?}");
    assert!(left.contains("sources: 0, tasks: 0 "), "{left}");
    (late.len() as u64, hurried)
}

fn each_is_stopped(running: &Running) {
    for service in running.services() {
        assert_eq!(service.state(), ServiceState::Stopped, "{}", service.name());
        let left = service.owner().left();
        assert!(left.is_empty() && left.timers() == 0, "{}: {left}", service.name());
        each_is_stopped(&service);
    }
}
