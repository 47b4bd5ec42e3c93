//! The service: keys and values, kept over crashes.

use crate::store::Store;
use futures_util::io::BufReader;
use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::Host;
use ropewalk::{Result, Stream};
use std::rc::Rc;

const LONGEST: u64 = 1000;

async fn serve(stream: Stream, store: Rc<Store>) -> Result {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    let mut line = String::new();
    while (&mut lines).take(LONGEST).read_line(&mut line).await? > 0 {
        if !line.ends_with('\n') {
            // Cut short, or too long.
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["put", key, value] => store.put(key, value).map(|()| "ok\n".to_owned())?,
            ["get", key] => format!("{}\n", store.values.borrow().get(key).map_or("-", |it| it)),
            ["count"] => format!("{}\n", store.values.borrow().len()),
            _ => "what?\n".to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// Starts the service now, and again whenever the host restarts.
pub(crate) fn boot(server: &Host) {
    let disk = server.disk();
    server.boot(move |reactor| {
        let store = Rc::new(Store::open(disk.clone())?);
        reactor.serve("0.0.0.0:6000", async move |stream| serve(stream, store.clone()).await)?;
        Ok(())
    });
}
