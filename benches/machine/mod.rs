//! What the benches ask of Linux: CPUs to stay on, descriptors, the CPU time of a process, and a server
//! in a process of its own.
#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod server;

use std::time::Duration;
use std::{fs, io};

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs for the server and for the load: two different ones where there are two.
pub(crate) fn two_cpus() -> io::Result<(usize, usize)> {
    let allowed = sched_getaffinity(None)?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let first = cpus.next().unwrap_or_default();
    Ok((first, cpus.next().unwrap_or(first)))
}

/// Keeps the calling thread, and those it will start, on one CPU.
pub(crate) fn stay_on(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Allows as many descriptors as the system lets this process have; children inherit it.
pub(crate) fn allow_descriptors() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// What a process has run so far, user and system, all of its threads.
pub(crate) fn cpu_time(process: u32) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        total += Duration::from_nanos(running.unwrap_or_default());
    }
    Ok(total)
}
