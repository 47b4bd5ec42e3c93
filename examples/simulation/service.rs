//! The service: keys and values on a disk that survives a crash.

use futures_util::io::BufReader;
use futures_util::{AsyncBufReadExt, AsyncWriteExt};
use ropewalk::simulation::Host;
use ropewalk::{Result, Stream};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What survives a crash.
type Disk = Rc<RefCell<BTreeMap<String, String>>>;

async fn serve(stream: Stream, disk: Disk) -> Result {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["put", key, value] => {
                disk.borrow_mut().insert(key.to_owned(), value.to_owned());
                "ok\n".to_owned()
            }
            ["get", key] => format!("{}\n", disk.borrow().get(key).map_or("-", String::as_str)),
            ["count"] => format!("{}\n", disk.borrow().len()),
            _ => "what?\n".to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// Starts the service now, and again whenever the host restarts.
pub(crate) fn boot(server: &Host) {
    let disk = Disk::default();
    server.boot(move |reactor| {
        let disk = disk.clone();
        reactor.serve_tcp("0.0.0.0:6000", async move |stream| serve(stream, disk.clone()).await)?;
        Ok(())
    });
}
