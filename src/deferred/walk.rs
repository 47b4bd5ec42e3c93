//! Walking a chain, down with an outcome and up with a cancellation, in constant stack.
//!
//! A walk goes from node to node in a loop. Where it branches (a list cancels its members one after the
//! other, and then fires), the rest is laid on a heap of its own, last first, so that everything that
//! follows from one member has happened before the next is asked.
//!
//! Only code of the user can begin a walk inside of another: a step that fires another trigger, a
//! canceller that fires or cancels. The latter may be as many as a list has lists in it; beyond
//! [`NESTED`] of them the inner walks wait until the canceller returns.

use crate::failure::Place;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A node whose turn it is. [`drive`] turns the crank.
pub(super) trait Step {
    /// Does the node's work and names the next one, if that can go on at once.
    fn run(self: Rc<Self>, direct: u32, rest: &mut Rest) -> Option<Rc<dyn Step>>;
}

/// Anything that a cancellation may walk up to.
pub(crate) trait Cancel {
    /// Cancels here, or names the node further up that should be.
    fn cancel(self: Rc<Self>, place: Place, rest: &mut Rest) -> Option<Rc<dyn Cancel>>;
}

/// Where each Deferred is to be cancelled; None for those that had fired.
#[derive(Clone)]
pub(super) struct Nodes(Rc<[Option<Rc<dyn Cancel>>]>);

impl Nodes {
    pub(super) fn of(nodes: impl Iterator<Item = Option<Rc<dyn Cancel>>>) -> Nodes {
        Nodes(nodes.collect())
    }

    /// Those that had not fired, all but one perhaps.
    pub(super) fn iter(
        &self,
        but: Option<usize>,
    ) -> impl DoubleEndedIterator<Item = &Rc<dyn Cancel>> {
        let others = self.0.iter().enumerate().filter(move |(index, _)| but != Some(*index));
        others.filter_map(|(_, node)| node.as_ref())
    }
}

/// How many links may run one inside the other, before the next is left to [`drive`].
///
/// A link that hands its outcome directly to the next saves a fifth of its work.
pub(super) const DIRECT: u32 = 16;

/// How many cancellers may run one inside the other, before what they begin waits for their end.
const NESTED: u32 = 16;

enum Work {
    Run(Rc<dyn Step>),
    Cancel(Rc<dyn Cancel>, Place),
}

/// What a walk has yet to do; the last is done first.
#[derive(Default)]
pub(crate) struct Rest(Vec<Work>);

impl Rest {
    /// Does this next.
    pub(super) fn run(&mut self, step: Option<Rc<dyn Step>>) {
        self.0.extend(step.map(Work::Run));
    }

    /// Cancels these next, in their order.
    pub(super) fn cancel<'a>(
        &mut self,
        nodes: impl DoubleEndedIterator<Item = &'a Rc<dyn Cancel>>,
        place: Place,
    ) {
        self.0.extend(nodes.rev().map(|node| Work::Cancel(node.clone(), place)));
    }

    /// Does `next` and then everything else.
    fn go(&mut self, mut next: Option<Rc<dyn Step>>) {
        loop {
            while let Some(step) = next {
                next = step.run(DIRECT, self);
            }
            match self.0.pop() {
                Some(Work::Run(step)) => next = Some(step),
                Some(Work::Cancel(node, place)) => self.climb(node, place),
                None => return,
            }
        }
    }

    /// Walks up from `node` to what is being waited for, and cancels that.
    fn climb(&mut self, node: Rc<dyn Cancel>, place: Place) {
        let mut next = Some(node);
        while let Some(node) = next {
            next = node.cancel(place, self);
        }
    }
}

/// Runs steps until one has nobody to hand on to.
///
/// A loop, not a recursion: a chain of a million links needs no more stack than one of two.
#[inline(never)]
pub(super) fn drive(step: Rc<dyn Step>) {
    if is_nested() {
        return postpone(Work::Run(step));
    }
    Rest::default().go(Some(step));
}

/// Cancels what is being waited for at `node`, and does what follows from that.
pub(super) fn cancel(node: Rc<dyn Cancel>, place: Place) {
    if is_nested() {
        return postpone(Work::Cancel(node, place));
    }
    let mut rest = Rest::default();
    rest.climb(node, place);
    rest.go(None);
}

thread_local! {
    /// How many cancellers run at this moment, one inside the other.
    static CANCELLERS: Cell<u32> = const { Cell::new(0) };
    /// What those beyond [`NESTED`] began. Borrowed to push or to take all.
    static POSTPONED: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

fn is_nested() -> bool {
    CANCELLERS.get() >= NESTED
}

#[inline(never)]
fn postpone(work: Work) {
    POSTPONED.with_borrow_mut(|postponed| postponed.push(work));
}

/// Runs a canceller; what it began too deep inside of others is the walk's to do next.
///
/// A canceller that panics must be contained in `canceller`.
pub(super) fn within_a_canceller(rest: &mut Rest, canceller: impl FnOnce()) {
    CANCELLERS.set(CANCELLERS.get() + 1);
    canceller();
    CANCELLERS.set(CANCELLERS.get() - 1);
    rest.0.extend(POSTPONED.take().into_iter().rev());
}

#[cfg(test)]
mod tests {
    use crate::deferred::Cancelled;
    use crate::{Deferred, Trigger};
    use futures_util::FutureExt;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Each cancels the one before in its canceller.
    fn by_hand(deep: usize, order: &Rc<RefCell<Vec<usize>>>) -> (Vec<Trigger<()>>, Deferred<()>) {
        let (trigger, mut d) = Deferred::<()>::new();
        let mut triggers = vec![trigger];
        for depth in 0..deep {
            let log = order.clone();
            let (trigger, outer) = Deferred::with_canceller(move |_: &Trigger<()>| {
                log.borrow_mut().push(depth);
                d.cancel();
                drop(d.add_errback(|failure| failure.trap::<Cancelled>().map(drop)));
            });
            triggers.push(trigger);
            d = outer;
        }
        (triggers, d)
    }

    #[test]
    fn cancellers_that_cancel_each_other_need_no_stack_and_keep_their_order() {
        let test = || {
            let order = Rc::default();
            let (_triggers, d) = by_hand(100_000, &order);
            d.cancel();
            assert!(d.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
            assert!(order.borrow().iter().copied().eq((0..100_000).rev()));
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(test).unwrap().join().unwrap();
    }
}
