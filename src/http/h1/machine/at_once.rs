// What is usual, at once: a request whose head came whole, and an answer whose body is there.
//
// It is the same as what `receiving.rs` and `sending.rs` do step by step, for the one case that most
// exchanges are: no event is made, nothing is moved, and the memory of the head stays with who reads it.

use super::{Incoming, Machine, Outgoing, Role};
use crate::http::h1::encode::length_line;
use crate::http::h1::framing::{self, Framing, Said};
use crate::http::h1::messages::{Asked, RequestHead};
use crate::http::h1::usual;
use crate::http::syntax::is_authority;
use crate::http::target::TargetForm;
use crate::http::version::Version;

/// A status line of 200 and a Date.
pub(crate) type FirstLines = [u8; FIRST_LINES];

const FIRST_LINES: usize = 54;

impl Machine {
    /// Reads a request whose head is whole and usual, in the memory of an earlier one. Without a body its
    /// end is not told as an event.
    ///
    /// If it is `false` nothing was taken, and [`feed`](Machine::feed) is to be asked.
    // Not inlined: the loop of who calls it has use for the registers.
    #[inline(never)]
    pub(crate) fn read_at_once(&mut self, input: &mut &[u8], head: &mut RequestHead) -> bool {
        let is_between = matches!(self.incoming, Incoming::Head) && self.parser.at == 0;
        if !is_between || self.role != Role::Server || self.strict_authority {
            return false;
        }
        let seen = input.get(..self.limits.request_head).unwrap_or(input);
        let Some(line) = usual::request_line(seen) else { return false };
        let block = &mut head.headers.block;
        block.clear();
        let mut marked = framing::Marked::default();
        let most = self.limits.fields;
        let (end, rest) = usual::fields(seen, line.end, &mut block.fields, &mut marked, most);
        if !rest.starts_with(b"\r\n") {
            return false;
        }
        let (bytes, left) = input.split_at(end + 2);
        let is_origin = bytes.get(line.target.start()) == Some(&b'/');
        block.bytes.extend_from_slice(bytes);
        let said = match marked.lone_host() {
            Some(host) => Said { host: Some(host), ..Said::default() },
            None => match framing::read(block, marked, Version::Http11) {
                Ok(said) => said,
                Err(_) => return false,
            },
        };
        let is_host = said.host.is_some_and(|host| is_authority(host.of(&block.bytes)));
        let framing = said.of_request();
        let fits = self.check_length(framing).is_ok();
        if !is_origin || !is_host || !fits {
            return false;
        }
        *input = left;
        head.headers.is_mixed = true;
        head.method = line.method;
        head.form = TargetForm::Origin;
        head.target = line.target;
        head.version = Version::Http11;
        head.framing = framing;
        head.upgrade = said.asks_for_upgrade();
        self.asked = Asked::new(line.method, head.upgrade, !said.persists(Version::Http11));
        self.is_last |= self.asked.last;
        self.outgoing = Outgoing::Owed; // 1
        self.offset = bytes.len() as u64;
        if framing == Framing::Length(0) {
            head.expects_continue = false;
            self.incoming = Incoming::Answering; // 1, 2, 5
            return true;
        }
        self.owes_continue = said.expects_continue;
        head.expects_continue = self.owes_continue;
        self.expect_body(framing); // 1
        true
    }

    /// Writes an answer whose body is there, to a usual request that has come whole: the lines as they are
    /// given, then the length and the body. The connection goes on after it.
    ///
    /// If it is `false` nothing was written.
    #[inline]
    pub(crate) fn answer_at_once(
        &mut self,
        first: &FirstLines,
        kind: &[u8],
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let is_usual = self.outgoing == Outgoing::Owed
            && matches!(self.incoming, Incoming::Answering)
            && !(self.is_last | self.peer_ended)
            && !(self.asked.head | self.asked.connect | self.asked.old);
        if !is_usual {
            return false;
        }
        let mut line = [0; 40];
        let length = length_line(body.len(), &mut line);
        out.reserve(FIRST_LINES + kind.len() + length.len() + body.len());
        out.extend_from_slice(first);
        out.extend_from_slice(kind);
        out.extend_from_slice(length);
        out.extend_from_slice(body);
        self.outgoing = Outgoing::Idle; // 2, 3, 5
        self.expect_head(); // 6
        true
    }
}
