//! Trouble with a time: written down as text, or drawn from the seed.
//!
//! ```text
//! cut client-server at 3 s for 2 s       both ways; without "for", for good
//! cut client>server at 3 s               one way
//! crash server at 10 s for 500 ms        and restart it then
//! pause server at 12 s for 1 min
//! reset client-server at 13 s            every connection between the two
//! partition a, b | c, d at 14 s for 1 s  every link between the two sides
//! heal client-server at 15 s             what is cut between two hosts, or two sides
//! # a comment
//! ```

use super::{Host, Simulation};
use std::fmt;
use std::time::Duration;

/// Something that happens to a network at a time and, if it lasts, ends after a while.
#[derive(Clone, Debug)]
struct Trouble {
    at: Duration,
    lasts: Option<Duration>,
    what: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Cut(String, String),
    CutOneWay(String, String),
    Reset(String, String),
    Partition(Vec<String>, Vec<String>),
    Heal(Vec<String>, Vec<String>),
    Crash(String),
    Pause(String),
}

impl Simulation {
    /// Plans what a script says, counted from now.
    ///
    /// ```text
    /// cut client-server at 3 s for 2 s       both ways; without "for", for good
    /// cut client>server at 3 s               one way
    /// partition a, b | c, d at 4 s for 1 s   every link between the two sides
    /// heal a, b | c, d at 4500 ms            what is cut between two sides, or two hosts: heal a-c
    /// crash server at 10 s for 500 ms        and restart it then
    /// pause server at 12 s for 1 min
    /// reset client-server at 13 s            every connection between the two
    /// # a comment
    /// ```
    ///
    /// Fails at the first line that makes no sense, with nothing planned.
    ///
    /// ```
    /// use ropewalk::simulation::Simulation;
    ///
    /// let simulation = Simulation::new(1);
    /// let (client, server) = (simulation.host("client"), simulation.host("server"));
    /// simulation.script("cut client-server at 3 s for 2 s\ncrash server at 10 s for 500 ms")?;
    ///
    /// let mistake = simulation.script("cut client-sever at 3 s").unwrap_err();
    /// assert_eq!(mistake.to_string(), "line 1 of the script: there is no host sever");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn script(&self, text: &str) -> Result<(), BadScript> {
        let mut troubles = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let bad = |why| BadScript { line: index + 1, why };
            let trouble = parse(line).map_err(bad)?;
            trouble.hosts().into_iter().try_for_each(|host| self.known(host)).map_err(bad)?;
            troubles.push(trouble);
        }
        troubles.into_iter().for_each(|trouble| self.plan(trouble));
        Ok(())
    }

    fn known(&self, host: &str) -> Result<(), String> {
        match self.world().state.borrow().find_machine(host) {
            Some(_) => Ok(()),
            None => Err(format!("there is no host {host}")),
        }
    }

    /// Plans so many troubles of all kinds for the hosts, within so much time from now, all from the
    /// seed. Everything is healed, restarted and resumed by the end of that time.
    ///
    /// ```
    /// use ropewalk::simulation::Simulation;
    /// use std::time::Duration;
    ///
    /// let simulation = Simulation::new(1);
    /// let hosts = ["a", "b", "c"].map(|name| simulation.host(name));
    /// simulation.plan_troubles(&hosts, 10, Duration::from_secs(60));
    /// simulation.run_for(Duration::from_secs(60))?;
    /// assert!(hosts.iter().all(|host| host.is_up()));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn plan_troubles(&self, hosts: &[Host], count: usize, within: Duration) {
        for _ in 0..count {
            if let Some(trouble) = self.draw_trouble(hosts, within) {
                self.plan(trouble);
            }
        }
        let hosts = hosts.to_vec();
        self.at(self.time().saturating_add(within), move |simulation| heal_all(simulation, &hosts));
    }

    fn draw_trouble(&self, hosts: &[Host], within: Duration) -> Option<Trouble> {
        self.random(|random| {
            let at = random.between(Duration::ZERO, within);
            let lasts = Some(random.between(Duration::from_millis(1), within / 4));
            let (one, other) = (random.pick(hosts)?.name(), random.pick(hosts)?.name());
            let kind = random.below(if hosts.len() > 2 { 6 } else { 5 });
            // A host is not cut off from itself.
            let what = match kind {
                0 if one != other => Kind::Cut(one, other),
                1 if one != other => Kind::CutOneWay(one, other),
                2 if one != other => Kind::Reset(one, other),
                3 => Kind::Pause(one),
                5 if one != other => {
                    let is_on_one_side =
                        |name: &String| *name == one || (*name != other && random.below(2) == 0);
                    let names = hosts.iter().map(Host::name);
                    let (one_side, other_side) = names.partition(is_on_one_side);
                    Kind::Partition(one_side, other_side)
                }
                _ => Kind::Crash(one),
            };
            Some(Trouble { at, lasts, what })
        })
    }

    fn plan(&self, trouble: Trouble) {
        let at = self.time().saturating_add(trouble.at);
        let Trouble { what, lasts, .. } = trouble;
        if let Some(lasts) = lasts {
            let end = what.clone();
            self.at(at.saturating_add(lasts), move |simulation| end.end(simulation));
        }
        self.at(at, move |simulation| what.begin(simulation));
    }
}

fn heal_all(simulation: &Simulation, hosts: &[Host]) {
    for host in hosts {
        if !host.is_up() {
            host.restart();
        }
        host.resume();
        hosts.iter().for_each(|other| simulation.heal(host, other));
    }
}

impl Trouble {
    fn hosts(&self) -> Vec<&str> {
        match &self.what {
            Kind::Partition(one, other) | Kind::Heal(one, other) => {
                one.iter().chain(other).map(String::as_str).collect()
            }
            Kind::Cut(a, b) | Kind::CutOneWay(a, b) | Kind::Reset(a, b) => vec![a, b],
            Kind::Crash(host) | Kind::Pause(host) => vec![host],
        }
    }
}

impl Kind {
    fn begin(&self, simulation: &Simulation) {
        let all = |names: &[String]| hosts(simulation, names);
        let host = |name: &str| simulation.host(name);
        match self {
            Kind::Partition(one, other) => simulation.partition(&all(one), &all(other)),
            Kind::Heal(one, other) => simulation.heal_partition(&all(one), &all(other)),
            Kind::Cut(a, b) => simulation.cut(&host(a), &host(b)),
            Kind::CutOneWay(a, b) => simulation.cut_one_way(&host(a), &host(b)),
            Kind::Reset(a, b) => simulation.reset(&host(a), &host(b)),
            Kind::Crash(name) => host(name).crash(),
            Kind::Pause(name) => host(name).pause(),
        }
    }

    fn end(&self, simulation: &Simulation) {
        let host = |name: &str| simulation.host(name);
        match self {
            Kind::Cut(a, b) | Kind::CutOneWay(a, b) => simulation.heal(&host(a), &host(b)),
            Kind::Partition(one, other) => {
                simulation.heal_partition(&hosts(simulation, one), &hosts(simulation, other));
            }
            Kind::Reset(..) | Kind::Heal(..) => {}
            // Two crashes may overlap: the first end restarts it.
            Kind::Crash(name) if host(name).is_up() => {}
            Kind::Crash(name) => host(name).restart(),
            Kind::Pause(name) => host(name).resume(),
        }
    }
}

fn hosts(simulation: &Simulation, names: &[String]) -> Vec<Host> {
    names.iter().map(|name| simulation.host(name)).collect()
}

/// The hosts before and after a line that separates them.
fn parse_sides(whom: &str) -> Option<(Vec<String>, Vec<String>)> {
    let side = |text: &str| -> Option<Vec<String>> {
        let names = text.split(',').map(|name| name.trim().to_owned());
        let names: Vec<_> = names.collect();
        (!names.iter().any(String::is_empty)).then_some(names)
    };
    let (one, other) = whom.split_once('|')?;
    Some((side(one)?, side(other)?))
}

fn parse(line: &str) -> Result<Trouble, String> {
    let (head, lasts) = match line.split_once(" for ") {
        Some((head, lasts)) => (head, Some(parse_duration(lasts)?)),
        None => (line, None),
    };
    let (head, at) = head.split_once(" at ").ok_or("a time is missing: \"at 3 s\"")?;
    let (verb, whom) = head.trim().split_once(' ').ok_or("it does not say which host")?;
    let whom = whom.trim();
    let pair = |separator| {
        let (one, other) = whom.split_once(separator)?;
        Some((one.trim().to_owned(), other.trim().to_owned()))
    };
    let both = || pair('-').ok_or_else(|| format!("{whom} is no pair of hosts, as \"a-b\" is"));
    let what = match verb {
        "cut" => match pair('>') {
            Some((from, to)) => Kind::CutOneWay(from, to),
            None => both().map(|(one, other)| Kind::Cut(one, other))?,
        },
        "partition" => match parse_sides(whom) {
            Some((one, other)) => Kind::Partition(one, other),
            None => return Err(format!("{whom} is no two sides, as \"a, b | c\" is")),
        },
        "heal" => match parse_sides(whom) {
            Some((one, other)) => Kind::Heal(one, other),
            None => both().map(|(one, other)| Kind::Heal(vec![one], vec![other]))?,
        },
        "reset" => both().map(|(one, other)| Kind::Reset(one, other))?,
        "crash" => Kind::Crash(whom.to_owned()),
        "pause" => Kind::Pause(whom.to_owned()),
        _ => return Err(format!("{verb} is none of cut, partition, heal, reset, crash and pause")),
    };
    Ok(Trouble { at: parse_duration(at)?, lasts, what })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let bad = || format!("\"{text}\" is no time, as \"3 s\" and \"250 ms\" are");
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    let seconds = match unit.trim() {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// A script makes no sense; says at which line, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScript {
    line: usize,
    why: String,
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the script: {}", self.line, self.why)
    }
}

impl std::error::Error for BadScript {}
