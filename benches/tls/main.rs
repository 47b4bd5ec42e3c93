//! TLS servers side by side: ropewalk in both faces, and tokio-rustls; the same rustls below all.
//!
//!     cargo bench --features tls --bench tls                 half a minute
//!     cargo bench --features tls --bench tls -- --quick      a smoke run
//!
//! Each server is a process of its own on one CPU, the client is this process on another. The servers
//! take turns inside a round, so a slow moment of the machine meets all of them, and each is as often
//! the first; a ratio is made inside its round, and each figure is the median over the rounds.
//!
//! Inbound bulk is a matter of luck too: how two blocks of memory lie to each other decides how fast
//! rustls copies a record from one to the other, and makes the figure of any server half as much again.

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
    machine::server::be_server_or_bench("bench-tls.md", servers::serve, |is_quick| {
        let length = if is_quick { rounds::QUICK } else { rounds::FULL };
        Ok(vec![rounds::run(length)?])
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("The TLS bench reads a server's CPU time from /proc, and so runs on Linux only.");
}
