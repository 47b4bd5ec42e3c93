//! A server in a process of its own: this very program, told by its arguments which one to be.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ropewalk::{Failure, Result};

use super::cpu_time;
use crate::table::{Table, publish};

/// The first argument of a program that is to be a server.
const ROLE: &str = "--serve";

/// Is the server that the arguments name, on a CPU; or has all of them measured, in short or at length,
/// and publishes the tables under a name.
pub(crate) fn be_server_or_bench(
    name: &str,
    serve: fn(&str, &str) -> Result,
    bench: impl FnOnce(bool) -> Result<Vec<Table>>,
) -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, server, cpu] = &arguments[..]
        && role == ROLE
    {
        return serve(server, cpu);
    }
    // Without `--bench` this is `cargo test --benches`: does it work at all?
    let has = |name| arguments.iter().any(|argument| argument == name);
    let path = publish(name, &bench(has("--quick") || !has("--bench"))?)?;
    println!("The same as Markdown: {}", path.display());
    Ok(())
}

/// Has each server measured once in each round; nobody is always the first of a round.
pub(crate) fn take_turns<S: Copy + Default, const SERVERS: usize>(
    rounds: usize,
    names: [&str; SERVERS],
    measure: impl Fn(&str) -> Result<S>,
) -> Result<Vec<[S; SERVERS]>> {
    let mut samples = vec![[S::default(); SERVERS]; rounds];
    for (round, samples) in samples.iter_mut().enumerate() {
        for turn in 0..SERVERS {
            let server = (round + turn) % SERVERS;
            let name = names[server];
            samples[server] =
                measure(name).map_err(|failure| Failure::msg(format!("{name}: {failure}")))?;
        }
    }
    Ok(samples)
}

/// Ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server on a CPU, with these variables beside those of this process.
    pub(crate) fn start(name: &str, cpu: usize, variables: &[(&str, String)]) -> Result<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([ROLE, name, &cpu.to_string()])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse()?;
        Ok(Server { process, address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu_time(self.id())
    }

    /// Microseconds of the server's CPU that something takes.
    pub(crate) fn cpu_of(&self, work: impl FnOnce() -> Result) -> Result<f64> {
        let before = self.cpu_time()?;
        work()?;
        Ok((self.cpu_time()? - before).as_secs_f64() * 1e6)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, and then there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
