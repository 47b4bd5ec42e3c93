//! A protocol that notes what it is told, and lets a check wait for it.

use crate::awaited::AsyncProtocol;
use crate::failure::{Failure, Result};
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What one end was told; clones are the same log.
#[derive(Clone)]
pub(super) struct Log(Rc<RefCell<Notes>>);

#[derive(Default)]
// Borrowed to note one thing or to look at one.
struct Notes {
    transport: Option<Transport>,
    data: Vec<u8>,
    events: Vec<&'static str>,
    lost: Option<Failure>,
    manner: Behaviour,
    /// Told something from inside something else, or after the end.
    is_broken: bool,
    /// A callback is in progress.
    is_inside: bool,
    waker: Option<Waker>,
}

/// What the protocol does by itself.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Behaviour {
    /// Notes, and ends when its peer does.
    #[default]
    Listens,
    /// Sends back what it gets.
    Echoes,
    /// Stays when its peer ends its half.
    Stays,
    /// Fails at the first byte.
    Fails,
}

impl Log {
    pub(super) fn new() -> Log {
        Log(Rc::default())
    }

    pub(super) fn recorder(&self) -> Recorder {
        Recorder(self.clone())
    }

    pub(super) fn set_manner(&self, manner: Behaviour) {
        self.0.borrow_mut().manner = manner;
    }

    pub(super) fn data(&self) -> Vec<u8> {
        self.0.borrow().data.clone()
    }

    pub(super) fn forget_data(&self) {
        self.0.borrow_mut().data.clear();
    }

    pub(super) fn count(&self, event: &str) -> usize {
        self.0.borrow().events.iter().filter(|other| **other == event).count()
    }

    pub(super) fn lost(&self) -> Option<Failure> {
        self.0.borrow().lost.clone()
    }

    /// Waits until the log fulfils a condition.
    pub(super) async fn until(&self, condition: impl Fn(&Log) -> bool) {
        std::future::poll_fn(|context| {
            if condition(self) {
                return Poll::Ready(());
            }
            let former = self.0.borrow_mut().waker.replace(context.waker().clone());
            drop(former);
            Poll::Pending
        })
        .await;
    }

    pub(super) async fn until_data(&self, length: usize) {
        self.until(|log| log.0.borrow().data.len() >= length).await;
    }

    pub(super) async fn transport(&self) -> Result<Transport> {
        self.until(|log| log.0.borrow().transport.is_some()).await;
        let transport = self.0.borrow().transport.clone();
        transport.ok_or_else(|| Failure::msg("the transport is gone"))
    }

    /// Waits for the end, and checks that all was told once and in order.
    pub(super) async fn until_lost(&self) -> Result<Failure> {
        self.until(|log| log.lost().is_some()).await;
        let events = self.0.borrow().events.join(", ");
        let once = self.count("made") == 1 && self.count("lost") == 1;
        let in_order = events.starts_with("made") && events.ends_with("lost");
        if !once || !in_order || self.0.borrow().is_broken {
            return Err(Failure::msg(format!("it was told: {events}")));
        }
        self.lost().ok_or_else(|| Failure::msg("it was not lost"))
    }

    fn note(&self, event: &'static str, react: impl FnOnce() -> Result) -> Result {
        self.begin(event);
        let outcome = react();
        let waker = self.end();
        waker.into_iter().for_each(Waker::wake);
        outcome
    }

    fn begin(&self, event: &'static str) {
        let mut notes = self.0.borrow_mut();
        notes.is_broken |= notes.is_inside || notes.lost.is_some();
        notes.is_inside = true;
        notes.events.push(event);
    }

    fn end(&self) -> Option<Waker> {
        let mut notes = self.0.borrow_mut();
        notes.is_inside = false;
        notes.waker.take()
    }
}

pub(super) struct Recorder(Log);

impl Recorder {
    fn note(&self, event: &'static str) {
        // There is nothing in it that fails.
        let _ = self.0.note(event, || Ok(()));
    }

    fn manner(&self) -> Behaviour {
        self.0.0.borrow().manner
    }
}

impl Protocol for Recorder {
    fn connection_made(&mut self, transport: &Transport) {
        let former = self.0.0.borrow_mut().transport.replace(transport.clone());
        drop(former);
        self.note("made");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.note("data", || {
            self.0.0.borrow_mut().data.extend_from_slice(data);
            match self.manner() {
                Behaviour::Echoes => transport.write(data),
                Behaviour::Fails => return Err(Failure::msg("on purpose")),
                Behaviour::Listens | Behaviour::Stays => {}
            }
            Ok(())
        })
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.note("lost");
        self.0.0.borrow_mut().lost = Some(reason.clone());
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.note("read closed");
        if self.manner() != Behaviour::Stays {
            transport.lose_connection();
        }
    }

    fn write_closed(&mut self, _: &Transport) {
        self.note("write closed");
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.note("full");
    }

    fn resume_writing(&mut self, _: &Transport) {
        self.note("room");
    }
}

/// The same in async callbacks, each of which waits before it does anything.
impl AsyncProtocol for Recorder {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.reactor().yield_now().await;
        Protocol::connection_made(self, transport);
        Ok(())
    }

    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.reactor().yield_now().await;
        Protocol::data_received(self, transport, data)
    }

    async fn read_closed(&mut self, transport: &Transport) -> Result {
        transport.reactor().yield_now().await;
        Protocol::read_closed(self, transport);
        Ok(())
    }

    async fn write_closed(&mut self, transport: &Transport) -> Result {
        Protocol::write_closed(self, transport);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        Protocol::connection_lost(self, reason);
    }
}
