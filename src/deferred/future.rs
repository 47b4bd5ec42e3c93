//! The Deferred as a future, and what dropping it means.
//!
//! Both worlds meet here. To Twisted a Deferred that nobody holds goes on: whoever added callbacks
//! wants them to run. To Rust a future that nobody holds is over: `select`, timeouts and dropped tasks
//! count on it. The first poll tells which world a Deferred is in.

use crate::deferred::Deferred;
use crate::deferred::downstream::{finish, unhandled};
use crate::deferred::state::{State, taken};
use crate::failure::Result;
use futures_core::FusedFuture;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The result of the chain, once. Polled again after that, it fails.
impl<T> Future for Deferred<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match self.take_state() {
            State::Fired(result) => Poll::Ready(result),
            State::Taken => Poll::Ready(Err(taken(self.made))),
            State::Pending(source) | State::Awaited(source) => {
                if let Some(result) = source.tail().poll(cx.waker()) {
                    finish(source);
                    return Poll::Ready(result); // 2
                }
                *self.state = State::Awaited(source); // 1
                Poll::Pending
            }
        }
    }
}

impl<T> FusedFuture for Deferred<T> {
    fn is_terminated(&self) -> bool {
        matches!(*self.state, State::Taken)
    }
}

// Nothing in it is pinned: what is awaited lives elsewhere.
impl<T> Unpin for Deferred<T> {}

/// Not awaited: the chain runs on. Awaited before: cancelled. A failure in it is reported, unless
/// it says that it was cancelled.
impl<T> Drop for Deferred<T> {
    #[inline]
    fn drop(&mut self) {
        match self.take_state() {
            State::Taken => {}
            State::Fired(Ok(value)) => drop(value),
            State::Fired(Err(failure)) => unhandled(failure, self.made),
            State::Pending(source) => source.forgo(self.made, false),
            State::Awaited(source) => source.forgo(self.made, true),
        }
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state {
            State::Fired(Ok(_)) => "has a value",
            State::Fired(Err(_)) => "has a failure",
            State::Pending(_) => "pending",
            State::Awaited(_) => "awaited",
            State::Taken => "taken",
        };
        write!(f, "Deferred({state}, made at {}:{})", self.made.file(), self.made.line())
    }
}
