//! SQLite: rows, transactions, what is wrong with files, and queries that do not end.

use crate::kit::until;
use ropewalk::database::sqlite::rusqlite::{self, ErrorCode};
use ropewalk::database::sqlite::{self, Begin, Sqlite};
use ropewalk::database::{ConnectError, ConnectionPool, FromRow, PoolLimits};
use ropewalk::deferred::Cancelled;
use ropewalk::{Deferred, Failure, Panicked, Reactor, Result};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder of one test's own, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-database-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left by a process that had the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A query that never ends by itself.
const ENDLESS: &str =
    "with recursive n(n) as (select 1 union all select n + 1 from n) select count(*) from n";

type Pool = ConnectionPool<Sqlite>;

fn pool_of(most: usize, database: Sqlite) -> (Reactor, Pool) {
    let reactor = Reactor::new().unwrap();
    let limits = PoolLimits { most, ..PoolLimits::default() };
    let pool = ConnectionPool::with_limits(&reactor, database, limits);
    (reactor, pool)
}

fn poems(database: Sqlite) -> (Reactor, Pool) {
    let (reactor, pool) = pool_of(5, database);
    let create = "create table poems (title text unique, lines integer)";
    reactor.run_until(pool.run_operation(create, ())).unwrap();
    (reactor, pool)
}

#[track_caller]
fn count(reactor: &Reactor, pool: &Pool) -> u32 {
    let counted: Vec<(u32,)> =
        reactor.run_until(pool.run_query("select count(*) from poems", ())).unwrap();
    counted[0].0
}

fn insert(pool: &Pool, title: &'static str) -> Deferred<u64> {
    pool.run_operation("insert into poems values (?1, 14)", (title,))
}

fn code(failure: &Failure) -> Option<ErrorCode> {
    let mut errors = failure.chain().filter_map(|error| error.downcast_ref::<rusqlite::Error>());
    errors.next().and_then(rusqlite::Error::sqlite_error_code)
}

/// The pool answers, and has all its permits.
#[track_caller]
fn expect_alive(reactor: &Reactor, pool: &Pool) {
    let answers: Vec<_> =
        (0..10_u32).map(|n| pool.run_query::<(u32,), _>("select ?1", (n,))).collect();
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(reactor.run_until(answer).unwrap(), [(n,)]);
    }
    assert_eq!(pool.connections(), pool.idle());
}

#[test]
fn what_one_connection_writes_the_others_read_in_memory_and_in_a_file() {
    let folder = Folder::new();
    for database in [sqlite::in_memory(), sqlite::open(folder.file("poems.db"))] {
        let (reactor, pool) = poems(database);
        reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
        let counts: Vec<_> =
            (0..5).map(|_| pool.run_query::<(u32,), _>("select count(*) from poems", ())).collect();
        for counted in counts {
            assert_eq!(reactor.run_until(counted).unwrap(), [(1,)]);
        }
    }
}

#[test]
fn two_databases_in_memory_are_two() {
    let (one, two) = (poems(sqlite::in_memory()), poems(sqlite::in_memory()));
    one.0.run_until(insert(&one.1, "Ozymandias")).unwrap();
    assert_eq!((count(&one.0, &one.1), count(&two.0, &two.1)), (1, 0));
}

#[test]
fn a_file_has_a_write_ahead_log_and_a_busy_timeout_of_5_seconds() {
    let folder = Folder::new();
    let (reactor, pool) = poems(sqlite::open(folder.file("poems.db")));
    let mode: Vec<(String,)> =
        reactor.run_until(pool.run_query("pragma journal_mode", ())).unwrap();
    let timeout: Vec<(u32,)> =
        reactor.run_until(pool.run_query("pragma busy_timeout", ())).unwrap();
    assert_eq!((&*mode[0].0, timeout[0].0), ("wal", 5000));
}

#[test]
fn rows_come_as_tuples_and_as_structs_by_a_closure_or_by_from_row() {
    #[derive(Debug, PartialEq)]
    struct Poem {
        title: String,
        lines: Option<u32>,
    }
    impl FromRow<Sqlite> for Poem {
        fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Poem> {
            Ok(Poem { title: row.get("title")?, lines: row.get("lines")? })
        }
    }
    let (reactor, pool) = poems(sqlite::in_memory());
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    let all = "select title, lines from poems";
    let tuples: Vec<(String, u32)> = reactor.run_until(pool.run_query(all, ())).unwrap();
    assert_eq!(tuples, [("Ozymandias".into(), 14)]);
    let titles = pool.run_query_map(all, (), |row| Ok(row.get::<_, String>(0)?));
    assert_eq!(reactor.run_until(titles).unwrap(), ["Ozymandias"]);
    let poems: Vec<Poem> = reactor.run_until(pool.run_query(all, ())).unwrap();
    assert_eq!(poems, [Poem { title: "Ozymandias".into(), lines: Some(14) }]);
}

#[test]
fn a_row_that_does_not_fit_what_is_asked_for_fails_at_the_users_line() {
    let (reactor, pool) = pool_of(1, sqlite::in_memory());
    let line = line!() + 1;
    let wrong = pool.run_query::<(u32,), _>("select 'a text'", ());
    let failure = reactor.run_until(wrong).unwrap_err();
    assert!(failure.to_string().starts_with("Invalid column type Text"), "{failure}");
    assert_eq!(failure.location().unwrap().line(), line);
    expect_alive(&reactor, &pool);
}

#[test]
fn an_interaction_that_fails_leaves_nothing_behind() {
    let (reactor, pool) = poems(sqlite::in_memory());
    let failing = pool.run_interaction(|transaction| {
        transaction.execute("insert into poems values ('Ozymandias', 14)", ())?;
        transaction.execute("insert into poems values ('Ozymandias', 14)", ())?;
        Ok(())
    });
    let failure = reactor.run_until(failing).unwrap_err();
    assert_eq!(code(&failure), Some(ErrorCode::ConstraintViolation));
    assert!(failure.attached().is_none());
    let panicking = pool.run_interaction(|transaction| -> Result {
        transaction.execute("insert into poems values ('Ozymandias', 14)", ())?;
        panic!("on purpose")
    });
    assert!(reactor.run_until(panicking).unwrap_err().is::<Panicked>());
    assert_eq!(count(&reactor, &pool), 0);
    expect_alive(&reactor, &pool);
}

#[test]
fn what_a_connection_was_left_with_is_committed_or_rolled_back() {
    let (reactor, pool) = poems(sqlite::in_memory());
    let left = |works: bool| {
        let call = pool.run_with_connection(move |connection| {
            connection.execute_batch("begin; insert into poems values (null, 1)")?;
            if works { Ok(()) } else { Err(Failure::msg("no")) }
        });
        reactor.run_until(call).is_ok()
    };
    assert!(left(true) && !left(false));
    assert_eq!(count(&reactor, &pool), 1);
}

#[test]
fn sql_that_does_not_parse_is_told_once_at_the_users_line_and_the_pool_lives() {
    let (reactor, pool) = pool_of(1, sqlite::in_memory());
    for sql in ["selekt 1", "select 1; select 2", "", "select * from nowhere", "select ?1"] {
        let line = line!() + 1;
        let failure = reactor.run_until(pool.run_query::<(u32,), _>(sql, ())).unwrap_err();
        assert_eq!(failure.location().unwrap().line(), line);
        assert!(!failure.to_string().is_empty());
    }
    let failure = reactor.run_until(pool.run_query::<(u32,), _>("selekt 1", ())).unwrap_err();
    assert!(failure.to_string().starts_with("near \"selekt\": syntax error"), "{failure}");
    expect_alive(&reactor, &pool);
}

#[test]
fn a_file_that_is_no_database_is_named_each_time_and_works_once_it_is_one() {
    let folder = Folder::new();
    let file = folder.file("poems.db");
    fs::write(&file, "Look on my works, ye Mighty, and despair! ".repeat(100)).unwrap();
    let (reactor, pool) = pool_of(5, sqlite::open(&file));
    for _ in 0..20 {
        let failure = reactor.run_until(insert(&pool, "Ozymandias")).unwrap_err();
        assert!(failure.is::<ConnectError>());
        assert_eq!(failure.to_string(), format!("cannot connect to {}", file.display()));
        assert_eq!(code(&failure), Some(ErrorCode::NotADatabase));
    }
    fs::remove_file(&file).unwrap();
    expect_alive(&reactor, &pool);
}

#[test]
fn a_folder_and_a_file_that_may_not_be_made_are_told() {
    let folder = Folder::new();
    for place in [folder.file(""), folder.file("none/poems.db")] {
        let (reactor, pool) = pool_of(1, sqlite::open(place));
        let failure = reactor.run_until(insert(&pool, "Ozymandias")).unwrap_err();
        assert_eq!(code(&failure), Some(ErrorCode::CannotOpen));
        assert_eq!(pool.connections(), 0);
    }
}

#[test]
fn a_file_that_is_cut_short_under_an_open_connection_is_told_and_costs_that_connection() {
    let folder = Folder::new();
    let file = folder.file("poems.db");
    let journal = sqlite::open(&file)
        .on_connect(|connection| connection.pragma_update(None, "journal_mode", "delete"));
    let (reactor, pool) = poems(journal);
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    fs::write(&file, [b'x'; 4096]).unwrap();
    let failure = reactor
        .run_until(pool.run_query::<(u32,), _>("select count(*) from poems", ()))
        .unwrap_err();
    assert_eq!(code(&failure), Some(ErrorCode::NotADatabase));
    assert_eq!(pool.connections(), 0);
}

#[test]
fn a_full_database_is_told_rolled_back_and_has_room_again_later() {
    let folder = Folder::new();
    let small = sqlite::open(folder.file("poems.db")).on_connect(|connection| {
        connection.query_row("pragma max_page_count = 16", (), |_| Ok(()))
    });
    let (reactor, pool) = poems(small);
    let fill = || {
        pool.run_interaction(|transaction| {
            for _ in 0..100 {
                transaction.execute("insert into poems values (hex(randomblob(1000)), 1)", ())?;
            }
            Ok(())
        })
    };
    for _ in 0..10 {
        let failure = reactor.run_until(fill()).unwrap_err();
        assert_eq!(code(&failure), Some(ErrorCode::DiskFull), "{failure}");
        assert!(failure.attached().is_none(), "{failure:?}");
    }
    assert_eq!(count(&reactor, &pool), 0);
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    expect_alive(&reactor, &pool);
}

/// Another program's lock.
fn lock(file: &PathBuf) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("begin immediate").unwrap();
    other
}

#[test]
fn a_locked_file_is_busy_after_the_busy_timeout_and_works_when_it_is_free() {
    let folder = Folder::new();
    let file = folder.file("poems.db");
    let (reactor, pool) = poems(sqlite::open(&file).busy_timeout(Duration::from_millis(1)));
    let other = lock(&file);
    for call in [insert(&pool, "Ozymandias"), pool.run_interaction(|_| Ok(0))] {
        let failure = reactor.run_until(call).unwrap_err();
        assert_eq!(code(&failure), Some(ErrorCode::DatabaseBusy));
        assert_eq!(failure.to_string(), "database is locked");
    }
    assert_eq!(count(&reactor, &pool), 0, "readers do not wait");
    other.execute_batch("rollback").unwrap();
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    expect_alive(&reactor, &pool);
}

#[test]
fn an_interaction_that_met_a_lock_is_tried_again_until_it_is_free() {
    let folder = Folder::new();
    let file = folder.file("poems.db");
    let (reactor, pool) = poems(sqlite::open(&file).busy_timeout(Duration::ZERO));
    let other = lock(&file);
    let (attempts, seen) = std::sync::mpsc::channel();
    let trying = pool.run_interaction_retrying(1000, move |transaction| {
        attempts.send(())?;
        Ok(transaction.execute("insert into poems values ('Ozymandias', 14)", ())?)
    });
    // Twenty turns in which a timer was due: it was tried more than once.
    for _ in 0..20 {
        reactor.run_until(reactor.spawn(reactor.sleep(Duration::from_millis(2)))).unwrap();
    }
    assert_eq!(seen.try_iter().count(), 0, "it begins with the lock");
    other.execute_batch("rollback").unwrap();
    assert_eq!(reactor.run_until(trying).unwrap(), 1);
    assert_eq!((seen.iter().count(), count(&reactor, &pool)), (1, 1));
}

#[test]
fn one_that_reads_first_and_writes_after_another_is_tried_again_with_what_holds_then() {
    let folder = Folder::new();
    let database = sqlite::open(folder.file("poems.db")).begin_with(Begin::Deferred);
    let (reactor, pool) = poems(database);
    let ((read, has_read), (go_on, may_go_on)) =
        (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let mut attempt = 0;
    let slow = pool.run_interaction_retrying(2, move |transaction| {
        attempt += 1;
        let seen: u32 =
            transaction.query_row("select count(*) from poems", (), |row| row.get(0))?;
        if attempt == 1 {
            read.send(())?;
            may_go_on.recv()?;
        }
        transaction.execute("insert into poems values ('second', ?1)", [seen])?;
        Ok((attempt, seen))
    });
    until(&reactor, "it has read", || has_read.try_recv().is_ok());
    reactor.run_until(insert(&pool, "first")).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(reactor.run_until(slow).unwrap(), (2, 1));
}

#[test]
fn a_query_that_runs_for_ever_ends_when_it_is_cancelled_in_every_kind_of_call() {
    let (reactor, pool) = poems(sqlite::in_memory());
    let calls: [fn(&Pool) -> Deferred<()>; 4] = [
        |pool| pool.run_query::<(u64,), _>(ENDLESS, ()).map(drop),
        |pool| pool.run_operation(concat_endless(), ()).map(drop),
        |pool| {
            pool.run_interaction(|transaction| {
                transaction.execute("insert into poems values ('Ozymandias', 14)", ())?;
                Ok(transaction.query_row(ENDLESS, (), |_| Ok(()))?)
            })
        },
        |pool| pool.run_with_connection(|it| Ok(it.query_row(ENDLESS, (), |_| Ok(()))?)),
    ];
    for call in calls {
        for turns in [0, 1, 50] {
            let running = call(&pool);
            (0..turns).for_each(|_| reactor.turn(Some(Duration::from_micros(10))).unwrap());
            running.cancel();
            assert!(reactor.run_until(running).unwrap_err().is::<Cancelled>());
            until(&reactor, "the connection is back", || pool.connections() == pool.idle());
        }
    }
    assert_eq!(count(&reactor, &pool), 0, "rolled back");
    expect_alive(&reactor, &pool);
}

fn concat_endless() -> &'static str {
    "insert into poems with recursive n(n) as (select 1 union all select n + 1 from n) \
     select 'same', n from n where n < 0"
}

#[test]
fn a_cancellation_meets_the_query_wherever_it_is() {
    let (reactor, pool) = pool_of(1, sqlite::in_memory());
    // Between two queries an interrupt of SQLite's would strike nothing, and the second never end.
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let running = pool.run_interaction(move |transaction| {
        transaction.query_row("select 1", (), |_| Ok(()))?;
        begun.send(())?;
        may_go_on.recv()?;
        Ok(transaction.query_row(ENDLESS, (), |_| Ok(()))?)
    });
    has_begun.recv().unwrap();
    running.cancel();
    go_on.send(()).unwrap();
    until(&reactor, "the connection is back", || pool.idle() == 1);
    expect_alive(&reactor, &pool);
}

#[test]
fn a_time_limit_on_a_query_ends_it() {
    let (reactor, pool) = pool_of(1, sqlite::in_memory());
    let limited =
        pool.run_query::<(u64,), _>(ENDLESS, ()).add_timeout(Duration::from_millis(5), &reactor);
    let failure = reactor.run_until(limited).unwrap_err();
    assert!(failure.is::<ropewalk::deferred::TimedOut>());
    expect_alive(&reactor, &pool);
}

#[test]
fn what_is_only_read_is_not_written() {
    let folder = Folder::new();
    let file = folder.file("poems.db");
    let (reactor, pool) = poems(sqlite::open(&file));
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    reactor.run_until(pool.close()).unwrap();
    let (reactor, pool) = pool_of(1, sqlite::open(&file).read_only());
    let failure = reactor.run_until(insert(&pool, "Endymion")).unwrap_err();
    assert_eq!(code(&failure), Some(ErrorCode::ReadOnly));
    let counted = pool.run_interaction(|transaction| {
        Ok(transaction.query_row("select count(*) from poems", (), |row| row.get::<_, u32>(0))?)
    });
    assert_eq!(reactor.run_until(counted).unwrap(), 1);
}

#[test]
fn a_pool_that_is_closed_leaves_one_whole_file() {
    let folder = Folder::new();
    let (reactor, pool) = poems(sqlite::open(folder.file("poems.db")));
    reactor.run_until(insert(&pool, "Ozymandias")).unwrap();
    reactor.run_until(pool.close()).unwrap();
    let files: Vec<_> =
        fs::read_dir(folder.file("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(files, ["poems.db"], "the log was written back");
}
