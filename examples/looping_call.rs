//! A looping call: the time, each second, until a delayed call stops the reactor after five.
//!
//!     cargo run --release --example looping_call

use ropewalk::deferred::LoopingCall;
use ropewalk::{Reactor, Result};
use std::io::{Write, stdout};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> Result {
    let reactor = Reactor::new()?;
    let looping = LoopingCall::new(&reactor, || Ok(writeln!(stdout(), "{}", time_of_day())?));
    drop(looping.start(Duration::from_secs(1)));
    let stopper = reactor.clone();
    reactor.call_later(Duration::from_secs(5), move || stopper.stop());
    reactor.run()?;
    Ok(writeln!(stdout(), "Reactor stopped.")?)
}

/// Hours, minutes and seconds in UTC: the standard library knows no time zones.
fn time_of_day() -> String {
    let since_midnight =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    let (hours, minutes) = (since_midnight / 3600, since_midnight / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", since_midnight % 60)
}
