//! Echo servers side by side: ropewalk by callbacks, by awaited callbacks and by streams, mio by hand, tokio.
//!
//!     cargo bench --bench echo                 under two minutes
//!     cargo bench --bench echo -- --quick      a smoke run
//!
//! Each server is a process of its own on one CPU, the load is this process on another. The servers
//! take turns inside a round, so a slow moment of the machine meets all of them; a ratio is made
//! inside its round, and each figure is the median over the rounds.

#[cfg(target_os = "linux")]
mod load;
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
    machine::server::be_server_or_bench("bench-echo.md", servers::serve, |is_quick| {
        let length = if is_quick { rounds::QUICK } else { rounds::FULL };
        rounds::run(length)
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("The echo bench reads a server's CPU time from /proc, and so runs on Linux only.");
}
