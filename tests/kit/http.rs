//! A site on a socket of loopback, and a client that sends one request and reads to the end.
#![allow(dead_code, reason = "each suite uses its part")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::Reactor;
use ropewalk::http::Site;

pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) struct Server {
    pub(crate) reactor: Reactor,
    pub(crate) address: String,
    _port: ropewalk::Port,
}

impl Server {
    pub(crate) fn of(site: Site) -> Server {
        let reactor = Reactor::new().unwrap();
        let port = reactor.listen("127.0.0.1:0", site).unwrap();
        Server { reactor, address: port.host().to_string(), _port: port }
    }

    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(method, target, fields, b"")
    }

    /// One request on a connection of its own.
    pub(crate) fn send(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let request = [request.as_bytes(), body].concat();
        let opening = self.reactor.open(self.address.as_str());
        let got = self.reactor.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(&request).await?;
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await?;
            Ok(got)
        });
        let got = got.unwrap();
        let end = got.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(got[..end].to_vec()).unwrap();
        Answer { head, body: got[end..].to_vec() }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }
}
