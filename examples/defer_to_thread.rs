//! A blocking sleep in a thread, while the reactor goes on printing dots.
//!
//! Type `cargo run --example defer_to_thread`: dots, then `the thread slept for 1s`, then the word
//! that a thread fired a Deferred with.

use ropewalk::{Deferred, Reactor, Result};
use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

fn print_dots(reactor: Reactor) -> Result {
    write!(stdout(), ".")?;
    stdout().flush()?;
    let again = reactor.clone();
    reactor.call_later(Duration::from_millis(100), move || print_dots(again));
    Ok(())
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    print_dots(reactor.clone())?;

    let pause = Duration::from_secs(1);
    let slept = reactor.defer_to_thread(move || {
        thread::sleep(pause);
        Ok(pause)
    });

    let (trigger, fired) = Deferred::new();
    let sendable = reactor.sendable(trigger);
    let (stopper, starter) = (reactor.clone(), reactor.clone());
    slept
        .add_callback(|pause| Ok(writeln!(stdout(), "\nthe thread slept for {pause:?}")?))
        .add_callback(move |()| {
            starter.call_in_thread(move || Ok(sendable.callback("done")?));
            fired
        })
        .add_callback(|word| Ok(writeln!(stdout(), "\na thread fired a Deferred: {word}")?))
        .add_both(move |result| {
            stopper.stop()?;
            result
        });
    reactor.run()
}
