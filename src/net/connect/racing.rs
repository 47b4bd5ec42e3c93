//! Connecting to one of several addresses, as RFC 8305 ("happy eyeballs") would have it.
//!
//! # Theory
//! A name may have addresses of both families, and one family may lead nowhere. So the addresses are
//! tried alternately, each a short while after the one before, or at once when one has failed. The
//! first that answers wins; the others are given up. When all have failed, all causes are told.
//!
//! # Deviations from Twisted
//! Its `HostnameEndpoint` keeps the resolver's order and a fixed beat of 0.3 s, and tells the last
//! cause only.
//!
//! # Not here
//! The order within a family: the system's resolver sorts (RFC 6724).

use crate::address::Address;
use crate::net::connect::connect_one;
use crate::net::connection::Connection;
use crate::reactor::{Loop, Reactor};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What each address answered; without an address, what stood before or beside any attempt.
pub(super) type Causes = Vec<(Option<Address>, io::Error)>;

/// The first connection of all the attempts. Adds to `causes` what each of the others ended with.
pub(super) async fn race(
    inner: &Rc<Loop>,
    addresses: Vec<Address>,
    from: Option<SocketAddr>,
    delay: Duration,
    causes: &RefCell<Causes>,
) -> Option<Rc<Connection>> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(async move {
                let outcome = connect_one(inner, &address, from).await;
                (address, outcome)
            });
        }
        let ended = if waiting.len() == 0 {
            attempts.next().await
        } else {
            let pause = Reactor::from(inner.clone()).sleep(delay);
            match select(attempts.next(), pause).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => continue,
            }
        };
        match ended? {
            (_, Ok(connection)) => return Some(connection),
            (address, Err(cause)) => causes.borrow_mut().push((Some(address), cause)),
        }
    }
}

/// One family and the other in turn, beginning with the first address's; the order within a family
/// stays.
fn interleaved(addresses: Vec<Address>) -> Vec<Address> {
    let family = |address: &Address| address.ip().map(|ip| ip.is_ipv6());
    let first = addresses.first().and_then(family);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| family(address) == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut merged = Vec::with_capacity(one.len() + other.len());
    while one.len() + other.len() > 0 {
        merged.extend(one.next());
        merged.extend(other.next());
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> String {
        let addresses = text.split(' ').map(|ip| SocketAddr::new(ip.parse().unwrap(), 1).into());
        let ips = interleaved(addresses.collect()).into_iter().filter_map(|a| a.ip());
        ips.map(|ip| ip.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn families_take_turns_and_the_first_addresss_begins() {
        assert_eq!(order("::1 ::2 ::3 10.0.0.1 10.0.0.2"), "::1 10.0.0.1 ::2 10.0.0.2 ::3");
        assert_eq!(order("10.0.0.1 ::1 ::2 ::3"), "10.0.0.1 ::1 ::2 ::3");
        assert_eq!(order("10.0.0.2 10.0.0.1"), "10.0.0.2 10.0.0.1");
    }
}
