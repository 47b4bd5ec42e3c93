//! Calls of a pool per second, and the processor's time for each: ours, and Twisted's adbapi on sqlite3 where
//! python3 has Twisted. The same file of SQLite's, the same three kinds of call, so many at a time.
//!
//! `cargo bench -p ropewalk-benches --features sqlite --bench database`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

use futures_util::future::join_all;
use ropewalk::database::ConnectionPool;
use ropewalk::database::sqlite::{self, Sqlite};
use ropewalk::{Reactor, Result};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// So many callers, each of which makes the next call when its last has ended.
const CALLERS: u64 = 10;

const KINDS: [&str; 3] = ["query", "operation", "interaction"];

type Pool = ConnectionPool<Sqlite>;

/// What one kind of call cost.
struct Cost {
    calls: u64,
    wall: Duration,
    processor: Duration,
}

impl Cost {
    fn tell(&self, who: &str, kind: &str) {
        let (per_second, micros) = (self.calls as f64 / self.wall.as_secs_f64(), self.micros());
        println!(
            "{kind:<12} {who:<10} {per_second:>10.0} calls/s {micros:>9.2} us of processor a call"
        );
    }

    fn micros(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.calls as f64
    }
}

fn processor() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

async fn call(pool: &Pool, kind: &str, n: u64) -> Result {
    match kind {
        "query" => {
            let rows =
                pool.run_query::<(String,), _>("select title from poems where id = ?1", (n % 100,));
            assert_eq!(rows.await?.len(), 1);
        }
        "operation" => {
            pool.run_operation("update poems set reads = reads + 1 where id = ?1", (n % 100,))
                .await?;
        }
        _ => {
            let interaction = pool.run_interaction(move |transaction| {
                let reads: i64 = transaction.query_row(
                    "select reads from poems where id = ?1",
                    [n % 100],
                    |row| row.get(0),
                )?;
                transaction
                    .execute("update poems set reads = ?2 where id = ?1", (n % 100, reads + 1))?;
                Ok(())
            });
            interaction.await?;
        }
    }
    Ok(())
}

fn prepare(connection: &mut sqlite::rusqlite::Connection) -> sqlite::rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "off")
}

fn ours(file: &Path, calls: u64) -> Vec<Cost> {
    let reactor = Reactor::new().unwrap();
    let pool = ConnectionPool::new(&reactor, sqlite::open(file).on_connect(prepare));
    let fill = pool.run_interaction(|transaction| {
        transaction.execute_batch(
            "create table poems (id integer primary key, title text, reads integer)",
        )?;
        for id in 0..100 {
            transaction.execute("insert into poems values (?1, 'Ozymandias', 0)", [id])?;
        }
        Ok(())
    });
    reactor.run_until(fill).unwrap();
    KINDS
        .iter()
        .map(|kind| {
            let (began, before) = (Instant::now(), processor());
            let callers = (0..CALLERS).map(|caller| {
                let pool = pool.clone();
                async move {
                    for n in 0..calls / CALLERS {
                        call(&pool, kind, n * CALLERS + caller).await?;
                    }
                    Ok(())
                }
            });
            let all = join_all(callers.map(|caller| reactor.spawn(caller)).collect::<Vec<_>>());
            reactor.run_until(async move { all.await.into_iter().collect::<Result>() }).unwrap();
            Cost { calls, wall: began.elapsed(), processor: processor() - before }
        })
        .collect()
}

/// None without python3 and Twisted.
fn adbapi(file: &Path, calls: u64) -> Option<Vec<Cost>> {
    let mut python = Command::new("python3");
    python.args(["-", &file.to_string_lossy(), &calls.to_string(), &CALLERS.to_string()]);
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().ok()?;
    child.stdin.take()?.write_all(include_bytes!("adbapi.py")).ok()?;
    let output = child.wait_with_output().ok()?;
    if !output.status.success() {
        println!("no figures of adbapi: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs_f64);
    let cost = |line: &str| {
        let (wall, processor) = line.split_once(' ')?;
        Some(Cost { calls, wall: seconds(wall)?, processor: seconds(processor)? })
    };
    text.lines().map(cost).collect()
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let calls = if quick { 1_000 } else { 20_000 };
    let folder = std::env::temp_dir().join(format!("ropewalk-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let ours = ours(&folder.join("ours.db"), calls);
    let theirs = adbapi(&folder.join("theirs.db"), calls);
    std::fs::remove_dir_all(&folder).unwrap();
    for (i, kind) in KINDS.iter().enumerate() {
        ours[i].tell("ropewalk", kind);
        if let Some(theirs) = &theirs {
            theirs[i].tell("adbapi", kind);
            println!(
                "{kind:<12} ours is {:.3} of its processor's time",
                ours[i].micros() / theirs[i].micros()
            );
        }
    }
}
