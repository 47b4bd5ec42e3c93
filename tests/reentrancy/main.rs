//! Everything that user code may do, done from inside every place where user code is called.
//!
//! A row of the table is a *site*, a place where the crate calls what its user gave it; a column is a
//! *deed*. Each combination has a reactor of its own: the scene for the site is set, the deed is armed,
//! and the reactor runs until the site was reached. Then nobody may have panicked, nothing may be
//! reported, bystanders must still be served in both faces, every protocol must have been told of its
//! end exactly once and last, and nothing may be left of anything once the reactor is dropped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod awaited;
mod cast;
#[path = "../kit/mod.rs"]
mod kit;
mod layered;
mod scenes;
mod table;
mod world;

use cast::{ARMED, ENDED, OWN, was_reached};
use kit::{Face, Notes, Role, census, hear_reports, serve};
use ropewalk::{Reactor, Result};
use scenes::set;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use table::{DEEDS, Deed, SITES, Site};
use world::World;

fn play(site: Site, deed: Deed) {
    let scene = format!("{deed:?} in {site:?}");
    let reports = hear_reports();
    let world = World::new();
    world.arm(deed);
    let props = set(site, &world);
    let mut stopped = world.drive(format!("{scene}: it is reached"), was_reached);
    assert!(was_reached(), "{scene}: stopped before it was reached");

    let own = ENDED.take();
    if own.is_some() && matches!(deed, Deed::Close | Deed::Abort | Deed::HalfClose) && !stopped {
        stopped = world.drive(format!("{scene}: the end comes"), world.has_ended(deed));
    }
    drop(own);
    if !stopped {
        for port in &world.bystanders {
            let mut peer = world.call(port);
            peer.send(b"and me?");
            peer.until_heard(&world.reactor, b"and me?");
        }
    }
    // Also a reactor that was stopped serves again.
    let server = serve(Face::Stream, &world.reactor, Role::Echo);
    let mut peer = world.call(&server.port);
    peer.send(b"and me?");
    peer.until_heard(&world.reactor, b"and me?");

    let ledger = world.ledger.clone();
    world.belongings.take();
    drop((props, peer, server, world));
    ARMED.take();
    OWN.take();
    ledger.faults.expect(&[]);
    let (made, lost, dropped) = (ledger.made.get(), ledger.lost.get(), ledger.dropped.get());
    assert_eq!((lost, dropped), (made, made), "{scene}: each is lost once and dropped");
    assert_eq!(Rc::strong_count(&ledger), 1, "{scene}: something is left");
    assert!(reports.len() == 0, "{scene}: {:?}", reports.all());
}

fn play_all(sites: impl IntoIterator<Item = Site>) {
    for site in sites {
        DEEDS.into_iter().for_each(|deed| play(site, deed));
    }
}

/// The table in four parts, for as many threads.
#[test]
fn whatever_is_done_in_a_callback_of_a_connection_is_in_order() {
    play_all(SITES.into_iter().take(24));
}

#[test]
fn whatever_is_done_in_any_other_callback_is_in_order() {
    play_all(SITES.into_iter().skip(24).take(25));
}

#[test]
fn whatever_a_layer_does_while_it_is_called_is_in_order() {
    play_all(SITES.into_iter().skip(49).take(18));
}

#[test]
fn whatever_is_done_in_a_handler_that_is_awaited_is_in_order() {
    play_all(SITES.into_iter().skip(67));
}

#[test]
fn a_panic_in_the_drop_of_a_future_or_of_its_result_is_said_once_and_ends_nothing_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "in a drop");
        }
    }
    struct Plain(Bomb);
    impl Future for Plain {
        type Output = Result;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result> {
            Poll::Ready(Ok(()))
        }
    }
    let (reactor, reports, heard) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
    let notes = heard.clone();
    reactor.spawn(Plain(Bomb)).map(move |()| notes.add("its result"));
    drop(reactor.spawn(async { Ok(Bomb) }));
    let notes = heard.clone();
    drop(reactor.spawn(async move { notes.add("the next task") }));
    (0..3).for_each(|_| reactor.turn(Some(Duration::ZERO)).expect("a turn"));
    heard.expect(&["its result", "the next task"]);
    assert_eq!((reports.len(), census(&reactor)), (2, (0, 0)), "{:?}", reports.all());
}
