//! Failures within failures, dropped in constant stack.

use super::Arisen;
use std::cell::Cell;
use std::error::Error;
use std::fmt;

impl Drop for Arisen {
    /// The error may hold the last of another failure, and that one of another: dropped one after the
    /// other, or a hundred thousand lists within each other would fail with an overflow of the stack.
    fn drop(&mut self) {
        // Of no size: the box is none.
        let error = std::mem::replace(&mut self.error, Box::new(Gone));
        match DROPPED.try_with(|dropped| dropped.take()) {
            Ok(Some(mut inside)) => {
                inside.push(error);
                DROPPED.set(Some(inside));
            }
            Ok(None) => drop_with_all_inside(error),
            // The thread is ending.
            Err(_) => drop(error),
        }
    }
}

type Inside = Vec<Box<dyn Error + Send + Sync>>;

thread_local! {
    /// While an error is being dropped: those that were in it.
    static DROPPED: Cell<Option<Inside>> = const { Cell::new(None) };
}

fn drop_with_all_inside(error: Box<dyn Error + Send + Sync>) {
    let _closing = Closing;
    let mut next = Some(error);
    DROPPED.set(Some(Vec::new()));
    while let Some(error) = next {
        drop(error);
        let mut inside = DROPPED.take();
        next = inside.as_mut().and_then(Vec::pop);
        DROPPED.set(inside);
    }
}

/// Also when a drop of the user's panics, the next one is a first one again.
struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        let left = DROPPED.take();
        drop(left);
    }
}

/// In the place of an error that is being dropped.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gone")
    }
}

impl Error for Gone {}
