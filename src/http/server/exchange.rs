// One request and its answer: what all handles of it share.
//
// # Theory
// An exchange knows nothing of connections: what is sent and received is the channel's, so that another
// version of HTTP can have the same exchanges. It knows how far the answer is, who speaks of it and who
// waits for it. Most exchanges are answered where they begin; what only the others need lies apart, in
// `Extras`, and is not there for most.
//
// # Invariants
// * The answer is begun once and ended once; `stage` says how far it is, and never goes back.
// * When the last handle goes and the stage is `Owed` or `Sending`, somebody forgot to answer.
// * `extras` is borrowed inside `with_extras` only, and no code of the user's runs there.

use crate::deferred::Trigger;
use crate::failure::Failure;
use crate::http::h1::RequestHead;
use crate::http::headers::Headers;
use crate::http::server::incoming::Incoming;
use crate::http::status::Status;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

/// ```text
/// Owed ──(1) head sent──► Sending ──(2) all sent──► Finished
///   └───────────────(3) lost or refused─┴──────────► Lost
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Owed,
    Sending,
    Finished,
    Lost,
}

pub(crate) struct Exchange {
    pub(crate) head: RequestHead,
    /// How many `Request`s speak of it.
    handles: Cell<usize>,
    stage: Cell<Stage>,
    /// Of the answer that is begun, or that the handler asked for.
    pub(crate) status: Cell<Status>,
    /// Fields that were set before the answer.
    pub(crate) draft: RefCell<Headers>,
    /// Where in the path the segments begin that no resource has taken.
    pub(crate) rest: Cell<usize>,
    /// The line that made the handler.
    pub(crate) place: Cell<Option<&'static Location<'static>>>,
    pub(crate) began: Instant,
    pub(crate) received: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    extras: RefCell<Option<Box<Extras>>>,
}

/// What only some exchanges need.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) incoming: Incoming,
    /// Who is told of the end, in the order in which they asked.
    finishes: Vec<Trigger<()>>,
    /// Tasks that wait for the peer to go, or to take more.
    wakers: Vec<Waker>,
    /// Why it is lost.
    reason: Option<Failure>,
    /// The peer counts as gone, although its answer is still sent.
    is_deserted: bool,
    context: Vec<Rc<dyn Any>>,
}

impl Exchange {
    pub(crate) fn new(head: RequestHead, began: Instant) -> Exchange {
        Exchange {
            head,
            handles: Cell::new(0),
            stage: Cell::new(Stage::Owed),
            status: Cell::new(Status::OK),
            draft: RefCell::default(),
            rest: Cell::new(0),
            place: Cell::new(None),
            began,
            received: Cell::new(0),
            sent: Cell::new(0),
            extras: RefCell::default(),
        }
    }

    /// Begins another one, whose head was read in the same memory.
    #[inline]
    pub(crate) fn renew(&mut self, began: Instant) {
        self.handles = Cell::new(0);
        self.stage = Cell::new(Stage::Owed);
        self.status = Cell::new(Status::OK);
        self.rest = Cell::new(0);
        self.place = Cell::new(None);
        self.began = began;
        self.received = Cell::new(0);
        self.sent = Cell::new(0);
    }

    /// Lets go of everything but the memory of the head.
    #[inline]
    pub(crate) fn clear(&mut self) {
        let draft = self.draft.get_mut();
        if !draft.is_empty() {
            draft.clear();
        }
        if let Some(extras) = self.extras.get_mut().take() {
            drop(extras);
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Whether the head of the answer can still be chosen.
    pub(crate) fn is_owed(&self) -> bool {
        self.stage.get() == Stage::Owed
    }

    /// Whether there is still something to be said.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage.get(), Stage::Owed | Stage::Sending)
    }

    pub(crate) fn begin_sending(&self, status: Status) {
        self.status.set(status);
        self.stage.set(Stage::Sending); // 1
    }

    /// Nothing of the answer was sent after all.
    pub(crate) fn reopen(&self) {
        self.stage.set(Stage::Owed);
    }

    // ---- handles ----

    pub(crate) fn add_handle(&self) {
        self.handles.set(self.handles.get() + 1);
    }

    /// Whether that was the last one.
    pub(crate) fn remove_handle(&self) -> bool {
        let left = self.handles.get() - 1;
        self.handles.set(left);
        left == 0
    }

    // ---- ends ----

    /// All is sent.
    pub(crate) fn finish(&self) {
        self.stage.set(Stage::Finished); // 2
        if self.extras.borrow().is_none() {
            return;
        }
        let finishes = self.with_extras(|extras| mem::take(&mut extras.finishes));
        for finish in finishes {
            // Cancelled meanwhile: nobody waits.
            let _ = finish.callback(());
        }
    }

    /// The peer is gone, or was refused.
    pub(crate) fn lose(&self, reason: &Failure) {
        if !self.is_open() {
            return;
        }
        self.stage.set(Stage::Lost); // 3
        let (finishes, wakers) = self.with_extras(|extras| {
            extras.reason = Some(reason.clone());
            extras.is_deserted = true;
            (mem::take(&mut extras.finishes), mem::take(&mut extras.wakers))
        });
        wakers.into_iter().for_each(Waker::wake);
        for finish in finishes {
            let _ = finish.errback(reason.clone());
        }
    }

    /// The peer has ended its half, and long enough ago to be taken for gone.
    pub(crate) fn desert(&self) {
        let wakers = self.with_extras(|extras| {
            extras.is_deserted = true;
            mem::take(&mut extras.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    // ---- extras ----

    pub(crate) fn with_extras<R>(&self, look: impl FnOnce(&mut Extras) -> R) -> R {
        look(self.extras.borrow_mut().get_or_insert_default())
    }

    /// Whether there are extras; else nobody waits for anything.
    pub(crate) fn has_extras(&self) -> bool {
        self.extras.borrow().is_some()
    }

    pub(crate) fn is_deserted(&self) -> bool {
        self.has_extras() && self.with_extras(|extras| extras.is_deserted)
    }

    pub(crate) fn reason(&self) -> Option<Failure> {
        if !self.has_extras() {
            return None;
        }
        self.with_extras(|extras| extras.reason.clone())
    }

    /// Tells of the end, which is still to come.
    pub(crate) fn add_finish(&self, finish: Trigger<()>) {
        self.with_extras(|extras| extras.finishes.push(finish));
    }

    /// Has a task polled again when the peer goes, or takes more.
    pub(crate) fn add_waker(&self, waker: &Waker) {
        let is_known =
            self.with_extras(|extras| extras.wakers.iter().any(|it| it.will_wake(waker)));
        if !is_known {
            let waker = waker.clone();
            self.with_extras(|extras| extras.wakers.push(waker));
        }
    }

    pub(crate) fn wake(&self) {
        if self.has_extras() {
            let wakers = self.with_extras(|extras| mem::take(&mut extras.wakers));
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn context<T: 'static>(&self) -> Option<Rc<T>> {
        if !self.has_extras() {
            return None;
        }
        let found =
            self.with_extras(|extras| extras.context.iter().find(|it| it.is::<T>()).cloned());
        found.and_then(|found| found.downcast().ok())
    }

    pub(crate) fn set_context<T: 'static>(&self, value: T) {
        let value: Rc<dyn Any> = Rc::new(value);
        let former = self.with_extras(|extras| {
            let place = extras.context.iter().position(|it| it.is::<T>());
            match place {
                Some(place) => Some(mem::replace(&mut extras.context[place], value)),
                None => {
                    extras.context.push(value);
                    None
                }
            }
        });
        drop(former);
    }
}

/// The exchange is over, and nothing can be said in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is answered, or its peer is gone")
    }
}

impl std::error::Error for Gone {}
