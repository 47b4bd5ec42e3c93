//! A thousand tasks move amounts between accounts, while connections are killed in every step and Deferreds
//! cancelled at every moment: the sum never changes, and the pool is full again at the end.
//!
//! `ROPEWALK_INTERACTIONS=100000 cargo test --release --all-features --test database accounts -- --nocapture` is
//! the whole run; a smaller one is made by default.

use crate::sqlite::Folder;
use futures_util::FutureExt;
use futures_util::future::join_all;
use ropewalk::database::sqlite::{self, Sqlite, rusqlite};
use ropewalk::database::{ConnectionPool, Database, Interrupt, Noisy, Transaction};
use ropewalk::{Reactor, Result};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const ACCOUNTS: u64 = 20;
const AMOUNT: i64 = 1000;
const TASKS: u64 = 1000;

#[derive(Debug)]
enum Mortal {
    Sqlite(rusqlite::Error),
    Killed,
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Mortal {}

impl From<rusqlite::Error> for Mortal {
    fn from(error: rusqlite::Error) -> Mortal {
        Mortal::Sqlite(error)
    }
}

/// SQLite whose connections are killed at random, in each of their steps.
struct Killing {
    sqlite: Sqlite,
    chance: Chance,
    killed: Arc<AtomicU64>,
}

impl Killing {
    /// One time in a hundred.
    fn survives(&self) -> Result<(), Mortal> {
        if self.chance.below(100) > 0 {
            return Ok(());
        }
        self.killed.fetch_add(1, Ordering::Relaxed);
        Err(Mortal::Killed)
    }
}

impl Database for Killing {
    type Connection = sqlite::Connection;
    type Row<'r> = ();
    type Error = Mortal;

    fn connect(&self) -> Result<sqlite::Connection, Mortal> {
        self.survives()?;
        Ok(self.sqlite.connect()?)
    }

    fn begin(&self, connection: &mut sqlite::Connection) -> Result<(), Mortal> {
        self.survives()?;
        Ok(self.sqlite.begin(connection)?)
    }

    fn commit(&self, connection: &mut sqlite::Connection) -> Result<(), Mortal> {
        self.survives()?;
        self.sqlite.commit(connection)?;
        // It is committed, and who asked for it never hears.
        self.survives()
    }

    fn rollback(&self, connection: &mut sqlite::Connection) -> Result<(), Mortal> {
        self.survives()?;
        Ok(self.sqlite.rollback(connection)?)
    }

    fn is_broken(&self, error: &Mortal) -> bool {
        match error {
            Mortal::Sqlite(error) => self.sqlite.is_broken(error),
            Mortal::Killed => true,
        }
    }

    fn is_serialization_failure(&self, error: &Mortal) -> bool {
        matches!(error, Mortal::Sqlite(error) if self.sqlite.is_serialization_failure(error))
    }

    fn interrupt(&self, connection: &sqlite::Connection) -> Interrupt {
        self.sqlite.interrupt(connection)
    }
}

/// Numbers from a seed, for several threads.
#[derive(Clone)]
struct Chance(Arc<AtomicU64>);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(Arc::new(AtomicU64::new(seed)))
    }

    fn below(&self, limit: u64) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

type Pool = ConnectionPool<Killing>;

/// How the interactions ended.
#[derive(Clone, Default)]
struct Ended {
    well: Rc<Cell<u64>>,
    badly: Rc<Cell<u64>>,
}

fn move_amount(transaction: &mut Transaction<'_, Killing>, chance: &Chance) -> Result {
    let (from, to) = (chance.below(ACCOUNTS), chance.below(ACCOUNTS));
    let amount = chance.below(10) as i64;
    let add = "update accounts set amount = amount + ?2 where id = ?1";
    transaction.execute(add, (from, -amount))?;
    match chance.below(100) {
        0 => return Err(Mortal::Killed.into()),
        1 => std::panic::resume_unwind(Box::new("on purpose")),
        _ => {}
    }
    transaction.execute(add, (to, amount))?;
    Ok(())
}

/// One task: so many interactions, of which some are cancelled, and some dropped half way.
async fn work(reactor: Reactor, pool: Pool, chance: Chance, count: u64, ended: Ended) -> Result {
    for _ in 0..count {
        let its = chance.clone();
        let call = if chance.below(2) == 0 {
            pool.run_interaction(move |transaction| move_amount(transaction, &its))
        } else {
            pool.run_interaction_retrying(9, move |transaction| move_amount(transaction, &its))
        };
        let pause = Duration::from_micros(chance.below(2000));
        let result = match chance.below(8) {
            0 => {
                reactor.sleep(pause).await;
                call.cancel();
                call.await
            }
            1 => reactor.timeout(pause, call).await.unwrap_or_else(|late| Err(late.into())),
            _ => call.await,
        };
        let counter = if result.is_ok() { &ended.well } else { &ended.badly };
        counter.set(counter.get() + 1);
    }
    Ok(())
}

async fn create(pool: &Pool) -> Result {
    // The connection may be killed, and the table be there though.
    loop {
        let create = pool.run_interaction(|transaction| {
            transaction.execute_batch(
                "create table if not exists accounts (id integer primary key, amount integer)",
            )?;
            for id in 0..ACCOUNTS {
                transaction
                    .execute("insert or ignore into accounts values (?1, ?2)", (id, AMOUNT))?;
            }
            Ok(())
        });
        if create.await.is_ok() {
            return Ok(());
        }
    }
}

/// The sum, and how many accounts there are.
async fn sum(pool: &Pool) -> (i64, u64) {
    loop {
        let sum = pool.run_interaction(|transaction| {
            let both = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            Ok(transaction.query_row("select sum(amount), count(*) from accounts", (), both)?)
        });
        if let Ok(sum) = sum.await {
            return sum;
        }
    }
}

async fn run(reactor: Reactor, pool: Pool, chance: Chance, interactions: u64) -> Result<Ended> {
    create(&pool).await?;
    let ended = Ended::default();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (reactor, pool, chance) = (reactor.clone(), pool.clone(), chance.clone());
            let work = work(reactor.clone(), pool, chance, interactions / TASKS, ended.clone());
            reactor.spawn(work)
        })
        .collect();
    let watched = pool.clone();
    let mut watching = reactor.spawn(async move {
        loop {
            assert_eq!(sum(&watched).await, (ACCOUNTS as i64 * AMOUNT, ACCOUNTS));
            ropewalk::sleep(Duration::from_millis(5)).await;
        }
    });
    for result in join_all(tasks).await {
        result?;
    }
    // It never ends by itself: an end is a wrong sum.
    assert!((&mut watching).now_or_never().is_none());
    assert_eq!(sum(&pool).await, (ACCOUNTS as i64 * AMOUNT, ACCOUNTS));
    Ok(ended)
}

fn interactions(default: u64) -> u64 {
    std::env::var("ROPEWALK_INTERACTIONS").ok().map_or(default, |text| text.parse().unwrap())
}

fn killing(sqlite: Sqlite, seed: u64) -> (Killing, Chance, Arc<AtomicU64>) {
    let (chance, killed) = (Chance::new(seed), Arc::new(AtomicU64::new(0)));
    (Killing { sqlite, chance: chance.clone(), killed: killed.clone() }, chance, killed)
}

#[test]
fn the_sum_of_all_accounts_never_changes_and_no_permit_is_lost() {
    let folder = Folder::new();
    let file = sqlite::open(folder.file("accounts.db"))
        .on_connect(|connection| connection.pragma_update(None, "synchronous", "off"));
    let reactor = Reactor::new().unwrap();
    let (database, chance, killed) = killing(file, 7);
    let pool = ConnectionPool::new(&reactor, database);
    pool.noisy(Noisy::Silent);
    let count = interactions(3000);
    let running = run(reactor.clone(), pool.clone(), chance, count);
    let ended = reactor.run_until(running).unwrap();
    let (well, badly) = (ended.well.get(), ended.badly.get());
    println!(
        "{count} interactions: {well} well, {badly} badly, {} connections killed",
        killed.load(Ordering::Relaxed)
    );
    assert_eq!(well + badly, count);
    assert!(well > badly && badly > 0 && killed.load(Ordering::Relaxed) > 0);
    // What was cancelled last comes back still.
    crate::kit::until(&reactor, "all came back", || pool.connections() == pool.idle());
    expect_five_at_once(&reactor, &pool);
}

/// Each of five can only go on when all of them have a connection.
fn expect_five_at_once(reactor: &Reactor, pool: &Pool) {
    let (together, count) = (Arc::new(Barrier::new(5)), Arc::new(AtomicU64::new(0)));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (together, count) = (together.clone(), count.clone());
            pool.run_with_connection(move |_| {
                // Once five were there together, nobody needs to wait.
                if count.fetch_add(1, Ordering::SeqCst) < 5 {
                    together.wait();
                }
                Ok(())
            })
        })
        .collect();
    reactor.run_until(join_all(calls).map(|_| Ok(()))).unwrap();
    assert!(count.load(Ordering::SeqCst) >= 5);
}

#[cfg(feature = "simulation")]
#[test]
fn the_sum_never_changes_under_many_seeds_in_a_simulation_and_a_seed_is_one_run() {
    use ropewalk::simulation::Simulation;
    let one = |seed| {
        let simulation = Simulation::new(seed);
        let reactor = simulation.host("any").reactor();
        let (database, chance, killed) = killing(sqlite::in_memory(), seed);
        let pool = ConnectionPool::new(&reactor, database);
        pool.noisy(Noisy::Silent);
        let running = run(reactor, pool.clone(), chance, interactions(2000) / 2);
        let ended = simulation.run_until(running).unwrap();
        simulation.run_for(Duration::from_secs(2)).unwrap();
        assert_eq!(pool.connections(), pool.idle());
        let killed = killed.load(Ordering::Relaxed);
        (ended.well.get(), ended.badly.get(), killed, simulation.digest())
    };
    for seed in 0..3 {
        assert_eq!(one(seed), one(seed));
    }
}
