//! A table of poems in SQLite: filled, asked in both faces, and an interaction that fails and leaves nothing.
//!
//! Type `cargo run --example database --features sqlite` for one in memory, or give it a file:
//! `cargo run --example database --features sqlite -- poems.db`.

use ropewalk::database::ConnectionPool;
use ropewalk::database::sqlite::{self, Sqlite};
use ropewalk::{Deferred, Reactor, Result};

type Pool = ConnectionPool<Sqlite>;

async fn fill(pool: &Pool) -> Result {
    let create =
        "create table if not exists poems (title text primary key, poet text, year integer)";
    pool.run_operation(create, ()).await?;
    // A transaction: all three, or none.
    pool.run_interaction(|transaction| {
        let mut insert = transaction.prepare("insert or replace into poems values (?1, ?2, ?3)")?;
        insert.execute(("Ozymandias", "Shelley", 1818))?;
        insert.execute(("The Tyger", "Blake", 1794))?;
        insert.execute(("Ode on a Grecian Urn", "Keats", 1819))?;
        Ok(())
    })
    .await
}

/// By callbacks.
fn print_oldest(pool: &Pool) -> Deferred<()> {
    let oldest = "select title, year from poems order by year limit 1";
    pool.run_query(oldest, ()).add_callback(|rows: Vec<(String, u32)>| {
        rows.iter().for_each(|(title, year)| println!("oldest: {title}, {year}"));
    })
}

/// By async/await.
async fn print_since(pool: &Pool, year: u32) -> Result {
    let since = "select title, poet from poems where year >= ?1 order by title";
    let poems: Vec<(String, String)> = pool.run_query(since, (year,)).await?;
    poems.iter().for_each(|(title, poet)| println!("since {year}: {title} by {poet}"));
    Ok(())
}

async fn fail(pool: &Pool) -> Result {
    let failing = pool.run_interaction(|transaction| {
        transaction.execute("delete from poems", ())?;
        Ok(transaction.execute("insert into poems values ('Endymion', 'Keats')", ())?)
    });
    if let Err(failure) = failing.await {
        println!("rolled back: {failure}");
    }
    let count: Vec<(u32,)> = pool.run_query("select count(*) from poems", ()).await?;
    println!("still there: {} poems", count[0].0);
    Ok(())
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let database = std::env::args_os().nth(1).map_or_else(sqlite::in_memory, sqlite::open);
    let pool = ConnectionPool::new(&reactor, database);
    reactor.run_until(async move {
        fill(&pool).await?;
        print_oldest(&pool).await?;
        print_since(&pool, 1800).await?;
        fail(&pool).await?;
        pool.close().await
    })
}
