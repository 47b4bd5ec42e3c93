// What answers requests: a tree of resources, and handlers as its leaves.
//
// # Theory
// A handler in either face becomes a resource once, when it is given; a request then is two calls through
// a table. The async face polls its future where the callback stands: most are done then, and its
// memory is kept for the next. One that waits becomes a task, and another is made.

use super::reply::{IntoReply, Reply};
use super::request::Request;
use crate::failure::Result;
use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something that answers requests, and that may have children which do.
///
/// The resource of a path is found segment by segment, each decoded by itself, when the head of the
/// request is there and nothing of its body needs to be.
///
/// ```
/// use ropewalk::http::{Reply, Request, Resource, IntoReply};
/// use ropewalk::Result;
/// use std::rc::Rc;
///
/// /// `/any/path` answers with its depth.
/// struct Depth(usize);
/// impl Resource for Depth {
///     fn child(&self, _: &str, _: &Request) -> Option<Rc<dyn Resource>> {
///         Some(Rc::new(Depth(self.0 + 1)))
///     }
///     fn render(&self, _: &Request) -> Result<Reply> {
///         Ok(self.0.to_string().into_reply())
///     }
/// }
/// # let _ = Depth(0);
/// ```
#[doc(alias = "IResource")]
pub trait Resource {
    /// The child of a name; `None` is answered with 404.
    #[doc(alias = "getChild")]
    #[doc(alias = "getChildWithDefault")]
    fn child(&self, segment: &str, request: &Request) -> Option<Rc<dyn Resource>> {
        let _ = (segment, request);
        None
    }

    /// Whether it answers for everything below it; [`Request::rest`] is what was not followed.
    #[doc(alias = "isLeaf")]
    fn is_leaf(&self) -> bool {
        false
    }

    /// Answers, or keeps a clone of the request and answers later.
    fn render(&self, request: &Request) -> Result<Reply>;
}

impl<R: Resource + ?Sized> Resource for Rc<R> {
    fn child(&self, segment: &str, request: &Request) -> Option<Rc<dyn Resource>> {
        (**self).child(segment, request)
    }

    fn is_leaf(&self) -> bool {
        (**self).is_leaf()
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        (**self).render(request)
    }
}

/// A function that answers requests: `|request: &Request| ..` as a callback, `async |request: Request| ..`
/// as a task.
///
/// Both return a `Result` of something that is an [`IntoReply`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of requests",
    note = "`|request: &Request| Ok(..)` and `async |request: Request| Ok(..)` are, with the types written"
)]
pub trait Handler<Face> {
    /// The resource that calls it; `place` is where it was given.
    #[doc(hidden)]
    fn into_resource(self, place: &'static Location<'static>) -> Rc<dyn Resource>;
}

/// The face of handlers that are callbacks.
#[derive(Debug)]
pub struct Called(());

/// The face of handlers that are `async`.
#[derive(Debug)]
pub struct Awaited(());

/// A handler as a resource, for everything below its place.
///
/// ```
/// use ropewalk::http::{Request, Site, leaf};
///
/// let callback = Site::new(leaf(|request: &Request| Ok(format!("you asked for {}", request.path()))));
/// let task = Site::new(leaf(async |request: Request| {
///     let text = request.body().text().await?;
///     Ok(text.to_uppercase())
/// }));
/// # let _ = (callback, task);
/// ```
#[track_caller]
pub fn leaf<Face>(handler: impl Handler<Face>) -> Leaf {
    Leaf(handler.into_resource(Location::caller()))
}

/// A handler as a resource; [`leaf`] makes it.
#[derive(Clone)]
pub struct Leaf(pub(super) Rc<dyn Resource>);

impl Resource for Leaf {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        self.0.render(request)
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaf")
    }
}

impl<H, R> Handler<Called> for H
where
    H: Fn(&Request) -> Result<R> + 'static,
    R: IntoReply,
{
    fn into_resource(self, place: &'static Location<'static>) -> Rc<dyn Resource> {
        Rc::new(Callback { handler: self, place })
    }
}

struct Callback<H> {
    handler: H,
    place: &'static Location<'static>,
}

impl<H, R> Resource for Callback<H>
where
    H: Fn(&Request) -> Result<R>,
    R: IntoReply,
{
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        request.set_place(self.place);
        Ok((self.handler)(request)?.into_reply())
    }
}

impl<H, R> Handler<Awaited> for H
where
    H: AsyncFn(Request) -> Result<R> + 'static,
    R: IntoReply + 'static,
{
    fn into_resource(self, place: &'static Location<'static>) -> Rc<dyn Resource> {
        let handler = Rc::new(self);
        // The future owns its handler, which a future of `AsyncFn`'s own would borrow.
        let begin = move |request: Request| {
            let handler = handler.clone();
            async move { Ok((*handler)(request).await?.into_reply()) }
        };
        Rc::new(Task { begin, spare: Cell::default(), place })
    }
}

struct Task<B, F> {
    begin: B,
    /// The memory of a future that is done.
    spare: Cell<Option<Memory<F>>>,
    place: &'static Location<'static>,
}

/// Empty, or a future at its place.
type Memory<F> = Pin<Box<Option<F>>>;

impl<B, F> Resource for Task<B, F>
where
    B: Fn(Request) -> F,
    F: Future<Output = Result<Reply>> + 'static,
{
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        request.set_place(self.place);
        let mut memory = self.spare.take().unwrap_or_else(|| Box::pin(None));
        memory.set(Some((self.begin)(request.clone())));
        match poll(&mut memory, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => {
                memory.set(None);
                self.spare.set(Some(memory));
                reply
            }
            Poll::Pending => {
                go_on(memory, request);
                Ok(Reply::Later)
            }
        }
    }
}

fn poll<F>(memory: &mut Memory<F>, context: &mut Context<'_>) -> Poll<Result<Reply>>
where
    F: Future<Output = Result<Reply>>,
{
    match memory.as_mut().as_pin_mut() {
        Some(future) => future.poll(context),
        None => Poll::Ready(Ok(Reply::Later)),
    }
}

/// Goes on with a handler that waits, in a task.
#[inline(never)]
fn go_on<F>(mut memory: Memory<F>, request: &Request)
where
    F: Future<Output = Result<Reply>> + 'static,
{
    let (reactor, request) = (request.reactor(), request.clone());
    let task = async move {
        let reply = poll_fn(|context| match request.catch(|| poll(&mut memory, context)) {
            Ok(polled) => polled,
            Err(panic) => Poll::Ready(Err(panic)),
        })
        .await;
        // What the future holds goes first: it may be another handle, or what the answer is made of.
        drop(memory);
        request.settle(reply);
    };
    drop(reactor.spawn(task));
}
