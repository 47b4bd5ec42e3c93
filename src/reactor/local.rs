//! Values of a reactor's own, one of a type: for pools and caches of the rooms above.

use super::{Loop, Reactor, run_reporting_panic};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// The oldest first. Few, so that a look at each is as good as a table.
///
/// Borrowed to look one up, to push one or to pop one; never while one is made or dropped.
#[derive(Default)]
pub(super) struct Locals(RefCell<Vec<Rc<dyn Any>>>);

impl Locals {
    fn find<T: 'static>(&self) -> Option<Rc<T>> {
        let locals = self.0.borrow();
        let found = locals.iter().find(|local| local.is::<T>())?;
        found.clone().downcast().ok()
    }

    /// Lets go of all, the youngest first: the older ones, which it may use, are still there.
    ///
    /// For the end of a loop, which adds none.
    pub(super) fn clear(&self) {
        while let Some(local) = self.pop() {
            run_reporting_panic("drop of a reactor's local value", || drop(local));
        }
    }

    fn pop(&self) -> Option<Rc<dyn Any>> {
        self.0.borrow_mut().pop()
    }
}

impl Loop {
    fn local<T: Default + 'static>(&self) -> Rc<T> {
        if let Some(found) = self.locals.find() {
            return found;
        }
        let made = Rc::new(T::default());
        // It may have asked for its own type, or ended this loop.
        if let Some(first) = self.locals.find() {
            return first;
        }
        if self.is_over() {
            self.refuse(made.clone());
        } else {
            self.locals.0.borrow_mut().push(made.clone());
        }
        made
    }
}

impl Reactor {
    /// The value of this type that belongs to this reactor, made when it is first asked for.
    ///
    /// For what all users of a reactor share: a pool of connections, a cache. Unlike a thread-local it ends
    /// with its reactor, and each simulated host has its own. A type that nobody else can name is a key
    /// that nobody else can use.
    ///
    /// [`Default::default`] may ask this reactor for values, of other types that is. At the reactor's end
    /// the values are let go, the youngest first, after everything else that could use them
    /// ([the order](crate::reactor#life-and-death)). What is asked for and not there any more is made anew,
    /// each time, and belongs to whoever asked.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::cell::Cell;
    ///
    /// #[derive(Default)]
    /// struct Requests(Cell<u32>);
    ///
    /// let reactor = Reactor::new()?;
    /// let count = |reactor: &Reactor| {
    ///     let requests = reactor.local::<Requests>();
    ///     requests.0.set(requests.0.get() + 1);
    ///     requests.0.get()
    /// };
    /// assert_eq!((count(&reactor), count(&reactor)), (1, 2));
    /// assert_eq!(count(&Reactor::new()?), 1);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "task_local")]
    #[doc(alias = "thread_local")]
    pub fn local<T: Default + 'static>(&self) -> Rc<T> {
        self.inner().local()
    }
}

#[cfg(all(test, feature = "simulation"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
mod tests {
    use crate::reactor::ReactorGone;
    use crate::simulation::Simulation;
    use crate::{Reactor, Result};
    use std::cell::{Cell, RefCell};
    use std::future::pending;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    thread_local!(static NOTES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

    fn note(what: &'static str) {
        NOTES.with_borrow_mut(|notes| notes.push(what));
    }

    /// Notes its end; who ends with its reactor may ask that for other values meanwhile.
    #[derive(Default)]
    struct Older;

    impl Drop for Older {
        fn drop(&mut self) {
            note("older");
        }
    }

    /// Asks for another when it is made and when it is dropped.
    struct Younger(Reactor);

    impl Default for Younger {
        fn default() -> Younger {
            let reactor = Reactor::current().unwrap();
            reactor.local::<Older>();
            Younger(reactor)
        }
    }

    impl Drop for Younger {
        fn drop(&mut self) {
            note("younger");
            assert!(Rc::strong_count(&self.0.local::<Older>()) > 1, "the older one is there still");
            self.0.local::<Cell<u8>>().set(7);
            assert_eq!(self.0.local::<Cell<u8>>().get(), 0, "kept by nobody but who asks");
        }
    }

    #[test]
    fn values_are_dropped_with_their_reactor_the_youngest_first_and_after_its_tasks() {
        let reactor = Reactor::new().unwrap();
        let asks = reactor.clone();
        let task = async move {
            drop(asks.local::<Younger>());
            Ok(())
        };
        reactor.run_until(task).unwrap();
        let asks = reactor.clone();
        let chain = reactor.spawn(pending::<Result>()).add_both(move |result: Result| {
            assert!(result.unwrap_err().is::<ReactorGone>());
            assert!(Rc::strong_count(&asks.local::<Older>()) > 1, "it is there still");
            note("task");
        });
        drop((chain, reactor));
        assert_eq!(NOTES.take(), ["task", "younger", "older"]);
    }

    #[derive(Default)]
    struct Count(Cell<u32>);

    #[test]
    fn a_type_has_one_value_in_each_reactor_whichever_handle_is_asked() {
        let (one, other) = (Reactor::new().unwrap(), Reactor::new().unwrap());
        one.local::<Count>().0.set(1);
        assert_eq!(one.clone().local::<Count>().0.get(), 1);
        assert_eq!(other.local::<Count>().0.get(), 0);
        assert_eq!(one.local::<Cell<u32>>().get(), 0, "another type is another value");
    }

    #[test]
    fn a_simulated_host_has_its_own_and_loses_it_in_a_crash() {
        let simulation = Simulation::new(1);
        let (a, b) = (simulation.host("a"), simulation.host("b"));
        let held = a.reactor().local::<Count>();
        held.0.set(1);
        assert_eq!(b.reactor().local::<Count>().0.get(), 0);
        a.crash();
        assert_eq!(Rc::strong_count(&held), 1, "let go of by the host");
        a.restart();
        assert_eq!(a.reactor().local::<Count>().0.get(), 0);
    }

    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

    /// The first one that is made makes a second, of its own type.
    struct Nested(u32);

    impl Default for Nested {
        fn default() -> Nested {
            let depth = DEPTH.replace(DEPTH.get() + 1);
            if depth == 0 {
                let inner = Reactor::current().unwrap().local::<Nested>();
                assert_eq!(inner.0, 1);
            }
            Nested(depth)
        }
    }

    #[test]
    fn a_value_whose_default_asks_for_its_own_type_gives_way_to_the_one_made_inside() {
        let reactor = Reactor::new().unwrap();
        let asks = reactor.clone();
        let outer = reactor.run_until(async move { Ok(asks.local::<Nested>().0) });
        assert_eq!(outer.unwrap(), 1);
        assert_eq!(reactor.local::<Nested>().0, 1);
    }

    /// Panics the first time.
    struct Fragile;

    impl Default for Fragile {
        fn default() -> Fragile {
            assert!(DEPTH.replace(1) > 0, "on purpose");
            Fragile
        }
    }

    #[test]
    fn a_panic_of_default_reaches_who_asked_and_leaves_nothing_behind() {
        let reactor = Reactor::new().unwrap();
        let asked = catch_unwind(AssertUnwindSafe(|| reactor.local::<Fragile>()));
        assert!(asked.is_err());
        assert!(Rc::strong_count(&reactor.local::<Fragile>()) == 2);
    }

    /// Asks its reactor for one of its own kind when it is dropped.
    struct Phoenix(Reactor);

    impl Default for Phoenix {
        fn default() -> Phoenix {
            note("made");
            Phoenix(REACTOR.with_borrow(|reactor| reactor.clone()).unwrap())
        }
    }

    impl Drop for Phoenix {
        fn drop(&mut self) {
            if NOTES.with_borrow(Vec::len) < 5 {
                self.0.local::<Phoenix>();
            }
        }
    }

    thread_local!(static REACTOR: RefCell<Option<Reactor>> = const { RefCell::new(None) });

    #[test]
    fn a_value_that_asks_for_another_of_its_kind_at_the_end_lets_the_end_come() {
        let reactor = Reactor::new().unwrap();
        REACTOR.set(Some(reactor.clone()));
        reactor.local::<Phoenix>();
        let handle = reactor.clone();
        drop(reactor);
        assert_eq!(NOTES.take(), ["made"; 5]);
        assert!(handle.inner().locals.0.borrow().is_empty());
    }

    #[test]
    fn after_the_end_a_value_belongs_to_whoever_asks() {
        let reactor = Reactor::new().unwrap();
        let handle = reactor.clone();
        drop(reactor);
        let value = handle.local::<Count>();
        assert_eq!(Rc::strong_count(&value), 1);
        assert!(!Rc::ptr_eq(&value, &handle.local::<Count>()));
    }
}
