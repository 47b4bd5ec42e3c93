//! Protocols that are reached from outside.

use super::kit::{Face, Notes, Role, Serving, census, hear_reports, serve, turn, until};
use ropewalk::net::NoProtocolError;
use ropewalk::{Address, Connected, Failure, Protocol, Reactor, Result, Transport};
use std::cell::RefCell;
use std::rc::Rc;

struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_factory_that_builds_nothing_fails_the_connect_and_closes() {
    struct Refuses;
    impl ropewalk::Factory for Refuses {
        type Protocol = Quiet;
        fn build_protocol(&mut self, _: &Address) -> Option<Quiet> {
            None
        }
    }
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let failure = reactor.run_until(reactor.connect(server.port.host(), Refuses)).unwrap_err();
    assert!(failure.is::<NoProtocolError>());
    until(&reactor, "the server knows", || server.ends.len() == 1);
}

#[test]
fn a_factory_that_panics_fails_the_connect_and_leaves_no_connection() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let factory = |_: &Address| -> Quiet { panic!("on purpose") };
    let failure = reactor.run_until(reactor.connect(server.port.host(), factory)).unwrap_err();
    assert!(failure.is::<ropewalk::Panicked>());
    until(&reactor, "the server knows", || server.ends.len() == 1);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

/// Calls itself from inside its callbacks.
#[derive(Default)]
struct Own {
    notes: Notes,
    me: Rc<RefCell<Option<Connected<Own>>>>,
    panics_in: &'static str,
}

impl Own {
    fn enter(&mut self, name: &'static str) {
        self.notes.add(name);
        if let Some(me) = &*self.me.borrow() {
            me.call(move |own, _| own.notes.add(format!("called in {name}")));
        }
        assert!(self.panics_in != name, "in {name}");
    }
}

impl Protocol for Own {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        self.enter("data_received");
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.enter("connection_lost");
    }
}

fn own(panics_in: &'static str) -> (Reactor, Notes, Connected<Own>, Serving) {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let me = Rc::new(RefCell::new(None));
    let (log, shelf) = (notes.clone(), me.clone());
    let factory = move |_: &Address| Own { notes: log.clone(), me: shelf.clone(), panics_in };
    let connected = reactor.run_until(reactor.connect(server.port.host(), factory)).unwrap();
    me.replace(Some(connected.clone()));
    (reactor, notes, connected, server)
}

#[test]
fn a_protocol_that_is_called_from_inside_its_callback_is_called_right_after_it() {
    let (reactor, notes, connected, _server) = own("");
    connected.call(|own, transport| {
        own.notes.add("now");
        transport.write(b"x");
    });
    notes.expect(&["now"]);
    until(&reactor, "it is echoed", || notes.has("called"));
    notes.expect(&["now", "data_received", "called in data_received"]);
    connected.transport().lose_connection();
    until(&reactor, "lost", || notes.has("connection_lost"));
    connected.call(|own, _| own.notes.add("too late"));
    assert_eq!(notes.len(), 4, "{:?}", notes.all());
}

#[test]
fn a_call_that_waits_behind_a_panic_is_never_made_after_the_loss() {
    let (reactor, notes, connected, _server) = own("data_received");
    let reports = hear_reports();
    connected.transport().write(b"x");
    until(&reactor, "lost", || notes.has("connection_lost"));
    turn(&reactor);
    notes.expect(&["data_received", "connection_lost"]);
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_panic_in_connection_lost_still_drops_the_protocol_for_good() {
    let (reactor, notes, connected, server) = own("connection_lost");
    let reports = hear_reports();
    server.transports.borrow()[0].lose_connection();
    until(&reactor, "lost", || notes.has("connection_lost"));
    connected.call(|own, _| own.notes.add("too late"));
    notes.expect(&["connection_lost"]);
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_panic_in_a_call_is_said_and_the_protocol_goes_on() {
    let (reactor, notes, connected, server) = own("");
    let reports = hear_reports();
    connected.call(|_, _| {
        if true {
            panic!("in a call")
        }
    });
    assert_eq!(reports.len(), 1);
    connected.call(|own, _| own.notes.add("again"));
    notes.expect(&["again"]);
    drop(server);
    let _ = reactor;
}
