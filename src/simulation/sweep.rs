//! One scenario under many seeds, or with each of its calls failing in turn.
//!
//! Both stop at the first failure, say its seed, and print the command that runs that one again:
//! the variable `ROPEWALK_SEED` picks a single seed.

use super::reports::{judge, place_of, users_place};
use super::rerun::command;
use super::{Fault, Simulation};
use crate::failure::{Failure, Place, Result};
use crate::reactor::UnhandledFailure;
use std::fmt;
use std::iter::Sum;
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

/// What was run and how much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Simulations that were run.
    pub runs: u64,
    /// Virtual time in all of them.
    pub time: Duration,
    /// Calls of all drivers.
    pub calls: u64,
    /// Those that failed because they should.
    pub faults: u64,
}

impl SweepReport {
    fn of(simulation: &Simulation) -> SweepReport {
        SweepReport {
            runs: 1,
            time: simulation.time(),
            calls: simulation.calls(),
            faults: simulation.faults_made(),
        }
    }

    pub(super) fn add(&mut self, run: SweepReport) {
        *self = [*self, run].into_iter().sum();
    }
}

impl Sum for SweepReport {
    fn sum<I: Iterator<Item = SweepReport>>(reports: I) -> SweepReport {
        reports.fold(SweepReport::default(), |total, report| SweepReport {
            runs: total.runs + report.runs,
            time: total.time + report.time,
            calls: total.calls + report.calls,
            faults: total.faults + report.faults,
        })
    }
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SweepReport { runs, calls, faults, .. } = self;
        let hours = self.time.as_secs_f64() / 3600.0;
        write!(f, "{runs} runs, {hours:.2} virtual hours, {calls} calls, {faults} made to fail")
    }
}

/// Runs a scenario in a new simulation for each seed.
///
/// A failure or panic of the scenario ends it with [`FailedSeed`], and so does anything that was reported
/// and not allowed ([`Simulation::allow_reports`]), until the end of the simulation. If `ROPEWALK_SEED` is set, that seed
/// is run instead of all.
///
/// ```
/// use ropewalk::simulation::{Simulation, for_each_seed};
/// use std::time::Duration;
///
/// let report = for_each_seed(0..10, |simulation: &Simulation| {
///     simulation.run_for(Duration::from_secs(60))
/// })?;
/// println!("{report}"); // 10 runs, 0.17 virtual hours, ...
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn for_each_seed(
    seeds: Range<u64>,
    scenario: impl Fn(&Simulation) -> Result,
) -> Result<SweepReport> {
    let seeds = chosen_seed().map_or(seeds, |seed| seed..seed + 1);
    let mut report = SweepReport::default();
    for seed in seeds {
        report.add(run(seed, None, &scenario)?);
    }
    Ok(report)
}

/// Runs a scenario with its first call failing, then with its second, and so on to its last; all of
/// it for every kind of fault.
///
/// The scenario must hold whatever its programs promise when one call fails, and that is for it to
/// check: nothing hangs, nothing leaks, everybody who waits is told.
///
/// ```
/// use ropewalk::simulation::{Simulation, sweep_faults};
///
/// let report = sweep_faults(1, |simulation: &Simulation| {
///     let server = simulation.host("server").reactor();
///     // It works, or it says that it does not.
///     let _ = server.serve("0.0.0.0:80", async |_stream| Ok(()));
///     simulation.run_until_idle()
/// })?;
/// assert!(report.faults > 0);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn sweep_faults(seed: u64, scenario: impl Fn(&Simulation) -> Result) -> Result<SweepReport> {
    let seed = chosen_seed().unwrap_or(seed);
    let mut report = SweepReport::default();
    for fault in Fault::ALL {
        let mut number = 0;
        loop {
            number += 1;
            let run = run(seed, Some((number, fault)), &scenario)?;
            report.add(run);
            if run.calls < number {
                break;
            }
        }
    }
    Ok(report)
}

/// The seed that the environment asks for.
pub fn chosen_seed() -> Option<u64> {
    std::env::var("ROPEWALK_SEED").ok()?.parse().ok()
}

#[track_caller]
pub(super) fn run(
    seed: u64,
    fault: Option<(u64, Fault)>,
    scenario: impl FnOnce(&Simulation) -> Result,
) -> Result<SweepReport> {
    let caller = Location::caller();
    let simulation = Simulation::new(seed);
    if let Some((number, fault)) = fault {
        simulation.fail_call(number, fault);
    }
    let outcome = judge(caller, || {
        let _observing = simulation.world().observe();
        scenario(&simulation)
    });
    let (run, trace) = (SweepReport::of(&simulation), simulation.trace());
    // What its programs do when they are dropped is part of the run.
    let end = judge(caller, || {
        drop(simulation);
        Ok(())
    });
    match outcome.and(end) {
        Ok(()) => Ok(run),
        Err(failure) => {
            Err(fallen(caller, FailedSeed::new(seed, run.time, fault, failure, &trace)))
        }
    }
}

fn fallen(caller: Place, fallen: FailedSeed) -> Failure {
    Failure::at(place_of(&fallen.failure, caller), fallen)
}

/// A scenario failed; says under which seed, and how to run that one again.
///
/// ```
/// use ropewalk::Failure;
/// use ropewalk::simulation::{FailedSeed, SweepReport, chosen_seed, for_each_seed};
///
/// let swept: ropewalk::Result<SweepReport> = for_each_seed(5..9, |simulation| match simulation.seed() {
///     7 => Err(Failure::msg("not with seven")),
///     _ => Ok(()),
/// });
/// # if chosen_seed().is_none() {
/// let failure = swept.unwrap_err();
/// let failed = failure.check::<FailedSeed>().unwrap();
/// assert_eq!((failed.seed(), failed.failure().to_string()), (7, "not with seven".to_owned()));
/// # }
/// assert_eq!(chosen_seed(), std::env::var("ROPEWALK_SEED").ok().and_then(|seed| seed.parse().ok()));
/// ```
#[derive(Debug)]
pub struct FailedSeed {
    seed: u64,
    at: Duration,
    fault: Option<(u64, Fault)>,
    failure: Failure,
    /// The last lines of the trace, if it was kept.
    last: String,
}

/// So many of the trace's last lines are told.
const SHOWN: usize = 50;

impl FailedSeed {
    fn new(
        seed: u64,
        at: Duration,
        fault: Option<(u64, Fault)>,
        failure: Failure,
        trace: &str,
    ) -> FailedSeed {
        let lines: Vec<&str> = trace.lines().rev().take(SHOWN).collect();
        let last = lines.into_iter().rev().map(|line| format!("\n{line}")).collect();
        FailedSeed { seed, at, fault, failure, last }
    }

    /// The seed that it failed under.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it failed with.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for FailedSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedSeed { seed, at, failure, .. } = self;
        write!(f, "seed {seed} failed at {at:?}")?;
        if let Some((number, fault)) = self.fault {
            write!(f, ", where call {number} fails with {fault:?}")?;
        }
        write!(
            f,
            ": {}{}\nrun it again: ROPEWALK_SEED={seed} {}",
            Story(failure),
            self.last,
            command()
        )
    }
}

impl std::error::Error for FailedSeed {}

/// A failure with what lies under it and the user's line, if it knows one.
pub(super) struct Story<'a>(pub(super) &'a Failure);

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Story(failure) = self;
        write!(f, "{failure}")?;
        failure.chain().skip(1).try_for_each(|source| write!(f, ": {source}"))?;
        match users_place(failure) {
            // A report tells its places itself.
            Some(place) if !failure.is::<UnhandledFailure>() => {
                write!(f, ", at {}:{}", place.file(), place.line())
            }
            _ => Ok(()),
        }
    }
}
