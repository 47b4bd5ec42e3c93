//! A site over a database: poems that are listed, and one more with every POST.
//!
//!     cargo run --features http,sqlite --example http_database -- 127.0.0.1:8080 [poems.db]
//!
//! Then `curl -d Shelley http://127.0.0.1:8080/Ozymandias`, and `curl http://127.0.0.1:8080/`. A title that is
//! there is answered with 409. Without a file the poems live in memory.

use ropewalk::database::ConnectionPool;
use ropewalk::database::sqlite::rusqlite::{self, ErrorCode};
use ropewalk::database::sqlite::{self, Sqlite};
use ropewalk::http::{Error, Method, Request, Response, Site, Status, leaf};
use ropewalk::{Failure, Reactor, Result};
use std::io::{Write, stdout};

type Pool = ConnectionPool<Sqlite>;

async fn list(pool: &Pool) -> Result<Response> {
    let all = "select title, poet from poems order by title";
    let poems: Vec<(String, String)> = pool.run_query(all, ()).await?;
    let lines: Vec<_> = poems.iter().map(|(title, poet)| format!("{title} by {poet}\n")).collect();
    Ok(Response::ok(lines.concat()))
}

async fn add(pool: &Pool, title: String, poet: Vec<u8>) -> Result<Response> {
    let poet = String::from_utf8(poet).map_err(|_| Error::new(Status::BAD_REQUEST, "no UTF-8"))?;
    let inserted = pool.run_operation("insert into poems values (?1, ?2)", (title, poet)).await;
    inserted.map_err(|failure| {
        if is_there_already(&failure) {
            return Error::new(Status::CONFLICT, "that poem is there already").into();
        }
        failure
    })?;
    Ok(Response::new(Status::CREATED))
}

fn is_there_already(failure: &Failure) -> bool {
    let code = failure.check::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code == Some(ErrorCode::ConstraintViolation)
}

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let reactor = Reactor::new()?;
    let database = arguments.next().map_or_else(sqlite::in_memory, sqlite::open);
    let pool = ConnectionPool::new(&reactor, database);
    let create = "create table if not exists poems (title text primary key, poet text)";
    reactor.run_until(pool.run_operation(create, ()))?;
    let site = Site::new(leaf(async move |request: Request| match request.method() {
        Method::Post => {
            let title = request.rest().to_owned();
            let poet = request.body().read_all(1000).await?;
            add(&pool, title, poet).await
        }
        _ => list(&pool).await,
    }));
    let port = reactor.listen(listen, site)?;
    writeln!(stdout(), "Listening on {}", port.host())?;
    reactor.run()
}
