//! Protocols that reach themselves: from timers and Deferreds, between callbacks and within them.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::deferred::{NeverFired, defer_later};
use ropewalk::framing::{
    LineProtocol, LineReceiver, NetstringReceiver, StringProtocol, send_line, send_netstring,
};
use ropewalk::net::Reachable;
use ropewalk::policies::{self, ConnectionLimit, IdleTimeout, Traffic, TrafficLog};
use ropewalk::simulation::Simulation;
use ropewalk::{
    Address, Connected, Deferred, Factory, Failure, Protocol, Result, Transport, Trigger,
};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

type Notes = Rc<RefCell<Vec<String>>>;

/// What a client hears of a server with this factory, to the end, after it said something.
fn talk(factory: impl Factory + 'static, said: &'static [u8]) -> (Simulation, Result<String>) {
    let simulation = Simulation::new(7);
    let server = simulation.host("server");
    server.reactor().listen("0.0.0.0:80", factory).unwrap();
    let opening = simulation.host("client").reactor().open("server:80");
    let heard = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(said).await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    (simulation, heard)
}

/// Answers each line a second later, by its number; then hangs up.
struct Later {
    me: Connected<Later>,
    count: usize,
}

impl LineProtocol for Later {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        let (me, line) = (self.me.clone(), String::from_utf8(line.to_vec())?);
        drop(defer_later(&transport.reactor(), SECOND, move || {
            me.call(move |this, transport| {
                this.count += 1;
                send_line(transport, format!("{}: {line}", this.count))?;
                if this.count == 2 {
                    transport.lose_connection();
                }
                Ok(())
            })
        }));
        Ok(())
    }
}

#[test]
fn a_line_protocol_reaches_itself_from_a_timer_through_its_receiver_and_policies() {
    let notes = Notes::default();
    let log = notes.clone();
    let policy = (
        (ConnectionLimit::new().total(2), IdleTimeout::new(60 * SECOND)),
        TrafficLog::new(move |traffic: &Traffic| log.borrow_mut().push(traffic.to_string())),
    );
    let build = |_: &Address| LineReceiver::new(Reachable::new(|me| Later { me, count: 0 }));
    let (_simulation, heard) = talk(policies::factory(policy, build), b"one\r\ntwo\r\n");
    assert_eq!(heard.unwrap(), "1: one\r\n2: two\r\n");
    assert!(!notes.borrow().is_empty(), "the policy saw the bytes");
}

/// Answers each string by a call to itself, and then ends by another.
struct Echo(Connected<Echo>);

impl StringProtocol for Echo {
    fn string_received(&mut self, _: &Transport, string: &[u8]) -> Result {
        let string = string.to_vec();
        drop(self.0.call(move |_, transport| Ok(send_netstring(transport, string, 100)?)));
        drop(self.0.call(|_, transport| transport.lose_connection()));
        Ok(())
    }
}

#[test]
fn a_string_protocol_reaches_itself_within_its_callback() {
    let build = |_: &Address| NetstringReceiver::new(Reachable::new(Echo));
    let (_simulation, heard) = talk(build, b"5:hello,");
    assert_eq!(heard.unwrap(), "5:hello,");
}

/// Notes in which order its calls of itself run, and what becomes of late ones.
struct Ordered {
    me: Connected<Ordered>,
    notes: Notes,
}

impl Ordered {
    fn note(&self, what: &str) {
        self.notes.borrow_mut().push(what.to_owned());
    }
}

impl Protocol for Ordered {
    fn connection_made(&mut self, _: &Transport) {
        drop(self.me.call(|this, _| this.note("called in connection_made")));
        self.note("made");
    }

    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        let again = self.me.clone();
        drop(self.me.call(move |this, _| {
            drop(again.call(|this, _| this.note("called in a call")));
            this.note("called in data_received");
        }));
        transport.lose_connection();
        drop(self.me.call(|this, _| this.note("called after lose_connection")));
        self.note("received");
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.note("lost");
        let log = self.notes.clone();
        let late = self.me.call(|this, _| this.note("called in connection_lost"));
        drop(late.add_errback(move |failure: Failure| {
            log.borrow_mut().push(format!("refused: {}", failure.is::<NeverFired>()));
            Ok(())
        }));
    }
}

#[test]
fn calls_run_in_order_right_after_the_callback_and_none_after_the_end() {
    let notes = Notes::default();
    let kept: Rc<RefCell<Option<Connected<Ordered>>>> = Rc::default();
    let (log, keeper) = (notes.clone(), kept.clone());
    let build = move |_: &Address| {
        let (notes, keeper) = (log.clone(), keeper.clone());
        Reachable::new(move |me: Connected<Ordered>| {
            *keeper.borrow_mut() = Some(me.clone());
            Ordered { me, notes }
        })
    };
    let (simulation, heard) = talk(build, b"!");
    assert_eq!(heard.unwrap(), "");
    simulation.run_until_idle().unwrap();
    let told = [
        "made",
        "called in connection_made",
        "received",
        "called in data_received",
        "called after lose_connection",
        "called in a call",
        "lost",
        "refused: true",
    ];
    assert_eq!(*notes.borrow(), told);

    let me = kept.borrow_mut().take().unwrap();
    let late = simulation.run_until(me.call(|this, _| this.note("called after the end")));
    assert!(late.unwrap_err().is::<NeverFired>());
    assert_eq!(notes.borrow().len(), told.len(), "it ran: {:?}", notes.borrow());
    assert!(me.transport().peer().ip().is_some(), "addresses are known after the end");
}

/// Holds itself, and something of which the test knows whether it is there.
struct Circle {
    _me: Connected<Circle>,
    _token: Rc<()>,
}

impl Protocol for Circle {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        transport.lose_connection();
        Ok(())
    }
}

#[test]
fn a_protocol_that_holds_itself_is_dropped_with_its_connection_whoever_holds_a_handle() {
    let token: Rc<RefCell<Weak<()>>> = Rc::default();
    let handles: Rc<RefCell<Vec<Connected<Circle>>>> = Rc::default();
    let (weak, kept) = (token.clone(), handles.clone());
    let build = move |_: &Address| {
        let (weak, kept) = (weak.clone(), kept.clone());
        Reachable::new(move |me: Connected<Circle>| {
            let token = Rc::new(());
            *weak.borrow_mut() = Rc::downgrade(&token);
            kept.borrow_mut().push(me.clone());
            Circle { _me: me, _token: token }
        })
    };
    let (simulation, heard) = talk(build, b"!");
    heard.unwrap();
    simulation.run_until_idle().unwrap();
    assert_eq!(handles.borrow().len(), 1);
    assert!(token.borrow().upgrade().is_none(), "the protocol is there still");
}

/// Answers when somebody else's Deferred fires, be it in another connection's callback.
struct Waiting {
    me: Connected<Waiting>,
    answer: Option<Deferred<u32>>,
}

impl Protocol for Waiting {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        let (me, answer) = (self.me.clone(), self.answer.take());
        let say = move |number: u32| {
            me.call(move |this, transport| {
                transport.write(format!("{number} {}", this.answer.is_none()));
                transport.lose_connection();
            })
        };
        if let Some(answer) = answer {
            answer.add_callback(say);
        }
        Ok(())
    }
}

#[test]
fn a_deferred_that_is_fired_elsewhere_reaches_the_protocol() {
    let (trigger, answer): (Trigger<u32>, _) = Deferred::new();
    let answer = Cell::new(Some(answer));
    let build = move |_: &Address| {
        let answer = answer.take();
        Reachable::new(move |me| Waiting { me, answer })
    };
    let simulation = Simulation::new(3);
    let (server, other) = (simulation.host("server"), simulation.host("other"));
    server.reactor().listen("0.0.0.0:80", build).unwrap();
    drop(other.reactor().call_later(9 * SECOND, move || trigger.callback(42).unwrap()));
    let opening = simulation.host("client").reactor().open("server:80");
    let heard = simulation.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(b"?").await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), "42 true");
}
