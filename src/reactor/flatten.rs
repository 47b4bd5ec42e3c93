//! A future together with the Deferred that it may return: what a task and `run_until` poll.

use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::Result;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    #[project = FlattenProjection]
    pub(super) enum Flatten<F, T> {
        Future { #[pin] future: F },
        /// What it returned has to be waited for.
        Returned { deferred: Deferred<T> },
        /// All is dropped.
        Over,
    }
}

impl<F, T> Future for Flatten<F, T>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
{
    type Output = Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let FlattenProjection::Future { future } = self.as_mut().project() {
            let returned = ready!(future.poll(context)).into_deferred();
            match returned.into_result() {
                Ok(result) => return Poll::Ready(result),
                Err(deferred) => self.set(Flatten::Returned { deferred }),
            }
        }
        match self.project() {
            FlattenProjection::Returned { deferred } => Pin::new(deferred).poll(context),
            FlattenProjection::Future { .. } | FlattenProjection::Over => Poll::Pending,
        }
    }
}
