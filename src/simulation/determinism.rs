//! Whether a seed is a run: the same scenario twice, and what happened compared.

use super::Simulation;
use super::rerun::command;
use super::sweep::{SweepReport, chosen_seed, run};
use crate::failure::{Failure, Result};
use std::fmt;
use std::ops::Range;
use std::panic::Location;

/// Runs a scenario twice for each of the seeds, and fails with [`DeterminismError`] at the first under
/// which something else happened the second time.
///
/// What differs came from outside of the simulation: the order of a `HashMap`, `SystemTime` or
/// `Instant::now`, a thread, `rand`, an address printed. The scenario itself must hold as well, as for
/// [`for_each_seed`](super::for_each_seed). If `ROPEWALK_SEED` is set, that seed is run instead of all.
///
/// ```
/// use ropewalk::simulation::{DeterminismError, check_determinism};
/// use std::collections::HashSet;
///
/// let outcome = check_determinism(0..3, |simulation| {
///     let hosts: HashSet<String> = (0..9).map(|number| format!("host{number}")).collect();
///     hosts.iter().for_each(|name| drop(simulation.host(name))); // in an order of the set's own
///     simulation.run_until_idle()
/// });
/// assert!(outcome.unwrap_err().is::<DeterminismError>());
/// ```
#[track_caller]
pub fn check_determinism(
    seeds: Range<u64>,
    scenario: impl Fn(&Simulation) -> Result,
) -> Result<SweepReport> {
    let seeds = chosen_seed().map_or(seeds, |seed| seed..seed + 1);
    let mut report = SweepReport::default();
    for seed in seeds {
        let (first, once) = run_kept(seed, &scenario)?;
        let (second, again) = run_kept(seed, &scenario)?;
        if !once.is_as(&again) {
            return Err(Failure::at(Location::caller(), once.compare(seed, &again)));
        }
        report.add(first);
        report.add(second);
    }
    Ok(report)
}

/// What happened in a run.
struct Course {
    digest: u64,
    /// After each line.
    digests: Vec<u64>,
    /// Which show contents too, that the digest may be told to ignore.
    lines: Vec<String>,
}

#[track_caller]
fn run_kept(seed: u64, scenario: &impl Fn(&Simulation) -> Result) -> Result<(SweepReport, Course)> {
    let mut course = None;
    let report = run(seed, None, |simulation| {
        simulation.keep_trace();
        scenario(simulation)?;
        course = Some(Course {
            digest: simulation.digest(),
            digests: simulation.digests(),
            lines: simulation.trace().lines().map(str::to_owned).collect(),
        });
        Ok(())
    })?;
    let course = course.ok_or_else(|| Failure::msg("the scenario did not come to its end"))?;
    Ok((report, course))
}

impl Course {
    fn is_as(&self, other: &Course) -> bool {
        (self.digest, &self.digests) == (other.digest, &other.digests)
    }

    fn compare(&self, seed: u64, other: &Course) -> DeterminismError {
        let pairs = self.digests.iter().zip(&other.digests);
        let same = pairs.take_while(|(one, other)| one == other).count();
        let line = |course: &Course| course.lines.get(same).cloned();
        DeterminismError { seed, lines: (line(self), line(other)) }
    }
}

/// A scenario did not do the same twice under one seed; tells what it did when it first differed.
#[derive(Clone, Debug)]
pub struct DeterminismError {
    seed: u64,
    /// Absent at the end of a run.
    lines: (Option<String>, Option<String>),
}

impl DeterminismError {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl fmt::Display for DeterminismError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeterminismError { seed, lines: (once, again) } = self;
        let line = |line: &Option<String>| line.clone().unwrap_or_else(|| "the end".into());
        write!(f, "seed {seed} is not one run: something else happened the second time")?;
        match (line(once), line(again)) {
            (once, again) if once == again => {
                write!(f, ", in turns, calls or bytes before\n  {once}")?;
            }
            (once, again) => write!(f, ", at\n  {once}\nand\n  {again}")?,
        }
        write!(f, "\nrun it again: ROPEWALK_SEED={seed} {}", command())
    }
}

impl std::error::Error for DeterminismError {}
