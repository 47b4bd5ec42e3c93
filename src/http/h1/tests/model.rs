// A client and a server over two pipes that cut as they like, each doing what it likes: whatever they
// try, every request gets its own answer, whole, once and in order.

use super::wire::Numbers;
use crate::http::h1::{Event, Length, Machine, RequestHead, ResponseHead, SendError};
use crate::http::{Headers, Limits, Method, Status};
use std::collections::VecDeque;

/// One end: its machine, what it has to send, and what it still has to read.
struct End {
    machine: Machine,
    out: Vec<u8>,
    inbox: Vec<u8>,
}

/// A message that is being sent: how much of its body is left, and whether it is in chunks.
#[derive(Clone, Copy, Debug)]
struct Sending {
    left: usize,
    number: usize,
}

#[derive(Debug)]
struct Asked {
    method: Method,
    body: usize,
}

#[derive(Debug)]
struct Answered {
    body: usize,
}

struct World {
    numbers: Numbers,
    client: End,
    server: End,
    asked: Vec<Asked>,
    /// What the server did with each request that it heard.
    answered: Vec<Option<Answered>>,
    asking: Option<Sending>,
    answering: Option<Sending>,
    /// How many request heads and ends the server heard, and bytes of the body that is read.
    heard: (usize, usize, usize),
    /// The same of answers at the client.
    received: (usize, usize, usize),
    methods: VecDeque<Method>,
    is_last: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let end = |machine| End { machine, out: Vec::new(), inbox: Vec::new() };
        World {
            numbers: Numbers(seed),
            client: end(Machine::client(Limits::default())),
            server: end(Machine::server(Limits::default())),
            asked: Vec::new(),
            answered: Vec::new(),
            asking: None,
            answering: None,
            heard: (0, 0, 0),
            received: (0, 0, 0),
            methods: VecDeque::new(),
            is_last: false,
        }
    }

    fn step(&mut self) {
        match self.numbers.below(8) {
            0 | 1 => self.ask(),
            2 => self.send_asked(),
            3 | 4 => self.answer(),
            5 => self.send_answer(),
            6 => self.carry_to_server(),
            _ => self.carry_to_client(),
        }
    }

    // ---- the client ----

    fn ask(&mut self) {
        let method = *self.numbers.pick(&[Method::Get, Method::Head, Method::Post, Method::Put]);
        let number = self.asked.len();
        let mut head = RequestHead::new(method, &format!("/{number}")).unwrap();
        head.set_header("Host", "a").unwrap();
        let body = if self.numbers.below(3) == 0 { self.numbers.below(3_000) } else { 0 };
        let closes = self.numbers.below(40) == 0;
        if closes {
            head.set_header("Connection", "close").unwrap();
        }
        let length = match self.numbers.below(2) {
            0 => Length::Unknown,
            _ => Length::Known(body as u64),
        };
        let before = self.client.out.len();
        let sent = self.client.machine.send_request(&head, length, &mut self.client.out);
        if self.asking.is_some() || self.is_last {
            assert!(sent.is_err(), "a request inside another, or behind the last");
        }
        if sent.is_err() {
            assert_eq!(self.client.out.len(), before);
            return;
        }
        self.is_last |= closes;
        self.asked.push(Asked { method, body });
        self.methods.push_back(method);
        self.asking = Some(Sending { left: body, number });
    }

    fn send_asked(&mut self) {
        let World { numbers, client, asking, .. } = self;
        let End { machine, out, .. } = client;
        let Some(sending) = asking else {
            assert!(machine.send_body("x", out).is_err() && machine.finish(out).is_err());
            return;
        };
        if send_some(numbers, machine, out, sending) {
            self.asking = None;
        }
    }

    // ---- the server ----

    fn answer(&mut self) {
        let code = *self.numbers.pick(&[200, 200, 200, 204, 304, 404]);
        let number = self.answered.len();
        let mut head = ResponseHead::new(Status::new(code).unwrap());
        head.set_header("x-number", number.to_string()).unwrap();
        let body = self.numbers.below(3_000);
        let length = match self.numbers.below(2) {
            0 => Length::Unknown,
            _ => Length::Known(body as u64),
        };
        let End { machine, out, .. } = &mut self.server;
        let before = out.len();
        let is_due = machine.owes_answer();
        let sent = machine.send_response(&head, length, out);
        assert_eq!(sent.is_ok(), is_due);
        if sent.is_err() {
            assert_eq!((sent, out.len()), (Err(SendError::NotNow), before));
            return;
        }
        assert!(number < self.heard.0, "an answer before its request");
        let has_body = ![204, 304].contains(&code) && self.asked[number].method != Method::Head;
        self.answered.push(Some(Answered { body: if has_body { body } else { 0 } }));
        self.answering = Some(Sending { left: body, number });
    }

    fn send_answer(&mut self) {
        let World { numbers, server, answering, .. } = self;
        let End { machine, out, .. } = server;
        let Some(sending) = answering else {
            assert!(machine.send_body("x", out).is_err() && machine.finish(out).is_err());
            return;
        };
        if send_some(numbers, machine, out, sending) {
            self.answering = None;
        }
    }

    // ---- the pipes ----

    fn carry_to_server(&mut self) {
        carry(&mut self.numbers, &mut self.client.out, &mut self.server.inbox);
        let inbox = std::mem::take(&mut self.server.inbox);
        let mut input = &inbox[..];
        while let Some(event) = self.server.machine.feed(&mut input) {
            let (heads, ends, body) = &mut self.heard;
            match event {
                Event::Request(head) => {
                    assert_eq!(head.target().path(), format!("/{heads}"));
                    assert_eq!(head.method(), self.asked[*heads].method);
                    (*heads, *body) = (*heads + 1, 0);
                }
                Event::Body(data) => {
                    check(data, *heads - 1, *body);
                    *body += data.len();
                }
                Event::End(_) => {
                    *ends += 1;
                    assert_eq!(heads, ends);
                    // Behind an answer that is finished the body is dropped.
                    let is_read = *body == self.asked[*ends - 1].body;
                    let is_answered = self.answered.len() == *ends && self.answering.is_none();
                    assert!(is_read || is_answered);
                }
                other => panic!("{other:?}"),
            }
        }
        self.server.inbox = input.to_vec();
    }

    fn carry_to_client(&mut self) {
        carry(&mut self.numbers, &mut self.server.out, &mut self.client.inbox);
        let inbox = std::mem::take(&mut self.client.inbox);
        let mut input = &inbox[..];
        while let Some(event) = self.client.machine.feed(&mut input) {
            let (heads, ends, body) = &mut self.received;
            match event {
                Event::Response(head) => {
                    assert_eq!(head.headers().text("x-number"), Some(&heads.to_string()[..]));
                    (*heads, *body) = (*heads + 1, 0);
                }
                Event::Body(data) => {
                    check(data, *heads - 1, *body);
                    *body += data.len();
                }
                Event::End(_) => {
                    let answered = self.answered[*ends].as_ref().unwrap();
                    assert_eq!(*body, answered.body);
                    *ends += 1;
                    assert_eq!(heads, ends);
                }
                other => panic!("{other:?}"),
            }
        }
        self.client.inbox = input.to_vec();
    }

    /// Lets everything that was begun come to its end.
    fn finish(mut self) {
        for _ in 0..100_000 {
            let is_sent = self.asking.is_none() && self.answering.is_none();
            let is_over = self.received.1 == self.asked.len() && is_sent;
            if is_over || self.server.machine.must_close() {
                break;
            }
            match self.numbers.below(6) {
                0 | 1 => self.carry_to_server(),
                2 | 3 => self.carry_to_client(),
                4 => {
                    if self.asking.is_some() {
                        self.send_asked();
                    }
                }
                _ => {
                    self.answer();
                    if self.answering.is_some() {
                        self.send_answer();
                    }
                }
            }
        }
        while !self.server.out.is_empty() || !self.client.out.is_empty() {
            self.carry_to_client();
            self.carry_to_server();
        }
        // Each that was answered arrived; those behind the last one were not heard.
        assert_eq!(self.received.1, self.answered.len());
        if !self.server.machine.must_close() {
            assert_eq!(self.answered.len(), self.asked.len());
            assert!(self.client.machine.is_idle() && self.server.machine.is_idle());
        }
        assert_eq!(self.client.machine.awaited(), self.asked.len() - self.answered.len());
    }
}

/// Sends a piece of a body, or its end; tries now and then what must not be possible.
fn send_some(
    numbers: &mut Numbers,
    machine: &mut Machine,
    out: &mut Vec<u8>,
    sending: &mut Sending,
) -> bool {
    let count = numbers.below(sending.left + 1);
    let at = sending.left;
    let piece: Vec<_> = (0..count).map(|it| byte(sending.number, at - it)).collect();
    match machine.send_body(&piece, out) {
        Ok(()) => sending.left -= count,
        // The peer has gone on without the rest.
        Err(error) => {
            assert_eq!(error, SendError::Closed);
            return true;
        }
    }
    if sending.left > 0 {
        return false;
    }
    machine.finish_with(&Headers::new(), out).unwrap();
    true
}

/// Each byte tells its message, and its distance from the end.
fn byte(number: usize, from_end: usize) -> u8 {
    (number * 7 + from_end) as u8
}

fn check(data: &[u8], number: usize, before: usize) {
    let first = data[0].wrapping_sub((number * 7) as u8);
    for (at, &it) in data.iter().enumerate() {
        assert_eq!(it, first.wrapping_sub(at as u8).wrapping_add((number * 7) as u8), "{before}");
    }
}

/// Moves some of what was sent, or all of it, or nothing.
fn carry(numbers: &mut Numbers, from: &mut Vec<u8>, to: &mut Vec<u8>) {
    let count = match numbers.below(3) {
        0 => from.len(),
        1 => numbers.below(from.len() + 1),
        _ => numbers.below(9).min(from.len()),
    };
    to.extend(from.drain(..count));
}

#[test]
fn whatever_both_try_each_request_has_one_answer_and_no_other_s_bytes() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
        world.finish();
    }
}
