//! UDP servers side by side: ropewalk in both faces, mio by hand, tokio.
//!
//!     cargo bench --bench udp                 half a minute
//!     cargo bench --bench udp -- --quick      a smoke run
//!
//! Each server is a process of its own on one CPU, the client is this process on another. The servers
//! take turns inside a round, so a slow moment of the machine meets all of them, and each is as often
//! the first; a ratio is made inside its round, and each figure is the median over the rounds.
//!
//! Whether a burst comes as a train is the network card's doing, where there is one; on the loopback
//! it is the sender's. Therefore bursts are sent in both ways.

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
#[path = "../machine/mod.rs"]
mod machine;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
#[path = "../table/mod.rs"]
mod table;

#[cfg(target_os = "linux")]
fn main() -> ropewalk::Result {
    machine::server::be_server_or_bench("bench-udp.md", servers::serve, |is_quick| {
        let length = if is_quick { rounds::QUICK } else { rounds::FULL };
        Ok(vec![rounds::run(length)?])
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("The UDP bench reads a server's CPU time from /proc, and so runs on Linux only.");
}
