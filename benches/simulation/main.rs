//! How much fits into one simulated world: memory per connection, virtual seconds per second of a CPU.
//!
//! ```sh
//! cargo bench --bench simulation               # 100 000 clients of an echo, a chat of 10 000
//! cargo bench --bench simulation -- 10000      # that many clients, a tenth of it in the chat
//! cargo bench --bench simulation -- --quick    # a smoke run
//! # instructions per message, both ends included: count two lengths and divide the difference
//! target/release/deps/simulation-* messages 10000
//! target/release/deps/simulation-* messages 20000
//! ```

#[cfg(feature = "simulation")]
mod worlds;

#[cfg(feature = "simulation")]
fn main() -> ropewalk::Result {
    worlds::main()
}

/// Runs what is meant. Cargo gives all that it builds at once the same features: were this one's among
/// them, the simulator would be compiled for every example too.
#[cfg(not(feature = "simulation"))]
fn main() -> std::io::Result<()> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["bench", "--features", "simulation", "--bench", "simulation"]);
    cargo.args(["--manifest-path", manifest, "--"]).args(std::env::args_os().skip(1));
    let status = cargo.status()?;
    std::process::exit(status.code().unwrap_or(1))
}
