//! One scenario under many seeds, or with each of its calls failing in turn.
//!
//! Both stop at the first failure, say its seed, and print the command that runs that one again:
//! the variable `ROPEWALK_SEED` picks a single seed.

use super::{Fault, Simulation};
use crate::failure::{Failure, Result, contain};
use std::fmt;
use std::iter::Sum;
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

/// What was run and how much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Simulations that were run.
    pub runs: u64,
    /// Virtual time in all of them.
    pub time: Duration,
    /// Calls of all drivers.
    pub calls: u64,
    /// Those that failed because they should.
    pub faults: u64,
}

impl Survey {
    fn add(&mut self, simulation: &Simulation) {
        self.runs += 1;
        self.time += simulation.time();
        self.calls += simulation.calls();
        self.faults += simulation.faults_made();
    }
}

impl Sum for Survey {
    fn sum<I: Iterator<Item = Survey>>(surveys: I) -> Survey {
        surveys.fold(Survey::default(), |total, survey| Survey {
            runs: total.runs + survey.runs,
            time: total.time + survey.time,
            calls: total.calls + survey.calls,
            faults: total.faults + survey.faults,
        })
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Survey { runs, calls, faults, .. } = self;
        let hours = self.time.as_secs_f64() / 3600.0;
        write!(f, "{runs} runs, {hours:.2} virtual hours, {calls} calls, {faults} made to fail")
    }
}

/// Runs a scenario in a new simulation for each seed.
///
/// A failure or panic of the scenario ends it with [`Fallen`]. If `ROPEWALK_SEED` is set, that seed
/// is run instead of all.
///
/// ```
/// use ropewalk::simulation::{Simulation, for_each_seed};
/// use std::time::Duration;
///
/// let survey = for_each_seed(0..10, |simulation: &Simulation| {
///     simulation.run_for(Duration::from_secs(60))
/// })?;
/// println!("{survey}"); // 10 runs, 0.17 virtual hours, ...
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub fn for_each_seed(
    seeds: Range<u64>,
    scenario: impl Fn(&Simulation) -> Result,
) -> Result<Survey> {
    let seeds = chosen_seed().map_or(seeds, |seed| seed..seed + 1);
    let mut survey = Survey::default();
    for seed in seeds {
        let simulation = Simulation::new(seed);
        run(&simulation, None, &scenario)?;
        survey.add(&simulation);
    }
    Ok(survey)
}

/// Runs a scenario with its first call failing, then with its second, and so on to its last; all of
/// it for every kind of fault.
///
/// The scenario must hold whatever its programs promise when one call fails, and that is for it to
/// check: nothing hangs, nothing leaks, everybody who waits is told.
///
/// ```
/// use ropewalk::simulation::{Simulation, walk_faults};
///
/// let survey = walk_faults(1, |simulation: &Simulation| {
///     let server = simulation.host("server").reactor();
///     // It works, or it says that it does not.
///     let _ = server.serve_tcp("0.0.0.0:80", async |_stream| Ok(()));
///     simulation.run_until_idle()
/// })?;
/// assert!(survey.faults > 0);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub fn walk_faults(seed: u64, scenario: impl Fn(&Simulation) -> Result) -> Result<Survey> {
    let seed = chosen_seed().unwrap_or(seed);
    let mut survey = Survey::default();
    for fault in Fault::ALL {
        let mut number = 0;
        loop {
            number += 1;
            let simulation = Simulation::new(seed);
            simulation.fail_call(number, fault);
            run(&simulation, Some((number, fault)), &scenario)?;
            survey.add(&simulation);
            if simulation.calls() < number {
                break;
            }
        }
    }
    Ok(survey)
}

/// The seed that the environment asks for.
pub fn chosen_seed() -> Option<u64> {
    std::env::var("ROPEWALK_SEED").ok()?.parse().ok()
}

fn run(
    simulation: &Simulation,
    fault: Option<(u64, Fault)>,
    scenario: &impl Fn(&Simulation) -> Result,
) -> Result {
    let outcome = contain(Location::caller(), || scenario(simulation)).and_then(|result| result);
    outcome.map_err(|failure| {
        let last = simulation.trace();
        let lines: Vec<&str> = last.lines().rev().take(SHOWN).collect();
        let last = lines.into_iter().rev().map(|line| format!("\n{line}")).collect();
        Fallen { seed: simulation.seed(), at: simulation.time(), fault, failure, last }.into()
    })
}

/// A scenario failed; says under which seed, and how to run that one again.
#[derive(Debug)]
pub struct Fallen {
    seed: u64,
    at: Duration,
    fault: Option<(u64, Fault)>,
    failure: Failure,
    /// The last lines of the trace, if it was kept.
    last: String,
}

/// So many of the trace's last lines are told.
const SHOWN: usize = 50;

impl Fallen {
    /// The seed that it failed under.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it failed with.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for Fallen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fallen { seed, at, failure, .. } = self;
        write!(f, "seed {seed} failed at {at:?}")?;
        if let Some((number, fault)) = self.fault {
            write!(f, ", where call {number} fails with {fault:?}")?;
        }
        write!(f, ": {failure}{}\nrun it again: ROPEWALK_SEED={seed} {}", self.last, command())
    }
}

impl std::error::Error for Fallen {}

/// What to type to run this program, or this one test of it, again.
pub(super) fn command() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_stem().map(|name| name.to_string_lossy());
    // Cargo puts a hash behind the name of a test's program.
    let name = name.as_deref().and_then(|name| Some(name.rsplit_once('-')?.0)).map(str::to_owned);
    match (std::thread::current().name(), name) {
        (Some(test), Some(name)) if test != "main" => {
            format!("cargo test --all-features --test {name} -- --exact {test}")
        }
        _ => std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" "),
    }
}
