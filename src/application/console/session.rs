// One client of a console: a line, its answer, the next line.

use super::answer::{Answer, error_json, error_text};
use super::following::Following;
use super::{CLIENTS, Table, commands};
use crate::application::log::LogFormat;
use crate::service::Running;
use crate::{Failure, ReadHalf, Result, Stream, WriteHalf};
use futures_util::future::{Either, select};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// A line may have so many bytes.
const LINE: usize = 4096;
/// A client that takes nothing, or gives no password, is let go after so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the clients that are served.
struct Place(Rc<Table>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.clients.set(self.0.clients.get() - 1);
    }
}

pub(super) async fn serve(table: Rc<Table>, up: &Running, mut stream: Stream) -> Result {
    if table.clients.get() >= CLIENTS {
        let full = error_text(&format!("{CLIENTS} clients are there already"));
        return Ok(stream.write_all(full.as_bytes()).await?);
    }
    table.clients.set(table.clients.get() + 1);
    let place = Place(table.clone());
    let (peer, draining) = (stream.peer(), stream.draining());
    let (reader, writer) = stream.split();
    let lines = Lines { reader, kept: Vec::new() };
    let mut session = Session { table, up: up.clone(), lines, writer };
    let serving = pin!(session.run(&peer));
    // A client that only waits keeps nobody from stopping.
    let outcome = match select(serving, draining).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Ok(()),
    };
    drop(place);
    outcome
}

struct Session {
    table: Rc<Table>,
    up: Running,
    lines: Lines,
    writer: WriteHalf,
}

impl Session {
    async fn run(&mut self, peer: &crate::Address) -> Result {
        if self.table.logins.has_password() && !self.is_let_in(peer).await? {
            return Ok(());
        }
        while let Some(line) = self.next_line().await? {
            let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            let is_json = words.first().is_some_and(|word| word == "json");
            if is_json {
                words.remove(0);
            }
            match words.first().map(String::as_str) {
                None => continue,
                Some("quit" | "exit") => break,
                Some("log") if words.get(1).is_some_and(|word| word == "-f") => {
                    self.follow(is_json).await?;
                }
                Some(_) => self.answer(words, is_json).await?,
            }
        }
        Ok(())
    }

    async fn is_let_in(&mut self, peer: &crate::Address) -> Result<bool> {
        let reactor = self.up.reactor().clone();
        if !self.table.logins.may_try(peer, reactor.now()) {
            self.say(error_text("too many wrong passwords, try later")).await?;
            return Ok(false);
        }
        self.say("password:\n".to_owned()).await?;
        let given = reactor.timeout(PATIENCE, self.next_line()).await;
        let Ok(Some(given)) = given.unwrap_or(Ok(None)) else { return Ok(false) };
        if !self.table.logins.try_password(peer, &given, reactor.now()) {
            self.say(error_text("wrong password")).await?;
            return Ok(false);
        }
        self.say("\n".to_owned()).await?;
        Ok(true)
    }

    /// The next line; an error of its length is said before the end.
    async fn next_line(&mut self) -> Result<Option<String>> {
        let line = self.lines.next().await;
        if let Err(failure) = &line
            && failure.is::<TooLong>()
        {
            self.say(error_text(&failure.to_string())).await?;
            return Ok(None);
        }
        line
    }

    async fn answer(&mut self, mut words: Vec<String>, is_json: bool) -> Result {
        let name = words.remove(0);
        let answer = match self.table.commands.get(&name) {
            _ if name == "help" => Ok(self.help()),
            _ if name == "log" => commands::log(&self.table.history, &words),
            Some(command) => (command.call)(&self.up, words).await,
            None => Err(Failure::msg(format!("no command {name}: help lists all"))),
        };
        let text = match (answer, is_json) {
            (Ok(answer), true) => answer.to_json(),
            (Ok(answer), false) => answer.to_text() + "\n",
            (Err(failure), true) => error_json(&failure.to_string()),
            (Err(failure), false) => error_text(&failure.to_string()) + "\n",
        };
        self.say(text).await
    }

    fn help(&self) -> Answer {
        let own = [
            ("help", "lists the commands"),
            ("json COMMAND", "answers by one line of JSON"),
            ("log [N]", "shows the last N events"),
            ("log -f", "shows events as they come, until the next line"),
            ("log level [LEVEL]", "shows the level, or sets it"),
            ("quit", "ends"),
        ];
        let own = own.map(|(name, help)| vec![name.to_owned(), help.to_owned()]);
        let all = self.table.commands.iter();
        let all = all.map(|(name, command)| vec![name.clone(), command.help.clone()]);
        let mut rows: Vec<_> = own.into_iter().chain(all).collect();
        rows.sort();
        Answer::rows(&["command", "help"], rows)
    }

    /// Shows events until the client says anything.
    async fn follow(&mut self, is_json: bool) -> Result {
        let format = if is_json { LogFormat::Json } else { LogFormat::Text };
        let following = Following::new(format);
        loop {
            let lines = {
                let (event, line) = (pin!(following.next()), pin!(self.lines.next()));
                match select(event, line).await {
                    Either::Left((lines, _)) => lines,
                    Either::Right((line, _)) => return line.map(|_| ()),
                }
            };
            self.say(lines).await?;
        }
    }

    async fn say(&mut self, text: String) -> Result {
        let saying = self.writer.write_all(text.as_bytes());
        Ok(self.up.reactor().timeout(PATIENCE, saying).await??)
    }
}

/// Lines of a client, without their ends; what was read of one stays here when nobody waits for it.
struct Lines {
    reader: ReadHalf,
    kept: Vec<u8>,
}

impl Lines {
    /// `None` at the end. What comes without an end is no line.
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.kept.iter().position(|byte| *byte == b'\n') {
                if end > LINE {
                    return Err(TooLong.into());
                }
                let line: Vec<u8> = self.kept.drain(..=end).collect();
                return Ok(Some(cleaned(&line)));
            }
            if self.kept.len() > LINE {
                return Err(TooLong.into());
            }
            let mut buffer = [0; 1024];
            match self.reader.read(&mut buffer).await? {
                0 => return Ok(None),
                count => self.kept.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

#[derive(Debug)]
struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the line is longer than {LINE} bytes")
    }
}

impl std::error::Error for TooLong {}

/// Without the end, and without what telnet clients say of themselves: no text has a byte of 255.
fn cleaned(line: &[u8]) -> String {
    let (mut text, mut rest) = (Vec::new(), line);
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after.first()) {
            (255, Some(251..=254)) => after.get(2..).unwrap_or_default(),
            (255, _) => after.get(1..).unwrap_or_default(),
            _ => {
                text.push(first);
                after
            }
        };
    }
    String::from_utf8_lossy(&text).trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn what_telnet_says_of_itself_is_no_part_of_a_line() {
        assert_eq!(cleaned(b"\xff\xfd\x03\xff\xfb\x18tasks\r\n"), "tasks");
        assert_eq!(cleaned(b"tasks\n"), "tasks");
        for cut in [&b"\xff"[..], b"\xff\xfd", b"\xff\xff\xff", b"a\xff\xf4"] {
            cleaned(cut);
        }
    }
}
