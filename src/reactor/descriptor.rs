//! Foreign descriptors: the reactor's lowest level, below transports and protocols.
//!
//! A descriptor that is added is duplicated, and the duplicate is watched: the same descriptor may
//! be added as reader and as writer, and closing the original too early confuses nobody. Readiness
//! is level-triggered here, as Twisted's readers expect: a reader that leaves something unread is
//! called again next turn.

use super::{Loop, Reactor, Source};
use crate::driver::{Interest, Key, Readiness};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, report};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Something with a descriptor that wants to know when there is something to read.
#[doc(alias = "IReadDescriptor")]
pub trait ReadDescriptor {
    /// The descriptor to watch; asked once, when it is added.
    fn fileno(&self) -> BorrowedFd<'_>;

    /// Called when there is something to read.
    ///
    /// An error ends the watch, and is what `connection_lost` is told:
    /// [`ConnectionDone`](crate::transport::ConnectionDone) for a clean end.
    fn do_read(&mut self) -> Result;

    /// Called once, last, unless [`Descriptor::remove`] ended the watch.
    fn connection_lost(&mut self, reason: &Failure) {
        let _ = reason;
    }
}

/// Something with a descriptor that wants to know when there is room to write.
#[doc(alias = "IWriteDescriptor")]
pub trait WriteDescriptor {
    /// The descriptor to watch; asked once, when it is added.
    fn fileno(&self) -> BorrowedFd<'_>;

    /// Called when there is room to write; again each turn until the watch ends.
    fn do_write(&mut self) -> Result;

    /// Called once, last, unless [`Descriptor::remove`] ended the watch.
    fn connection_lost(&mut self, reason: &Failure) {
        let _ = reason;
    }
}

/// A descriptor that is watched; dropping this changes nothing.
pub struct Descriptor {
    watch: Rc<Watch>,
}

impl Descriptor {
    /// Ends the watch; the descriptor is not called any more, and what was added is dropped.
    #[doc(alias = "removeReader")]
    #[doc(alias = "removeWriter")]
    pub fn remove(&self) {
        let watched = self.watch.end();
        super::run_reporting_panic("drop of a descriptor", || drop(watched));
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").field("fd", &self.watch.duplicate).finish_non_exhaustive()
    }
}

impl Reactor {
    /// Calls `reader` whenever its descriptor has something to read.
    ///
    /// ```
    /// use ropewalk::reactor::ReadDescriptor;
    /// use ropewalk::transport::ConnectionDone;
    /// use ropewalk::{Failure, Reactor, Result};
    /// use std::io::{Read, Write};
    /// use std::os::{fd::{AsFd, BorrowedFd}, unix::net::UnixStream};
    ///
    /// struct Ear(UnixStream, Reactor);
    /// impl ReadDescriptor for Ear {
    ///     fn fileno(&self) -> BorrowedFd<'_> {
    ///         self.0.as_fd()
    ///     }
    ///     fn do_read(&mut self) -> Result {
    ///         let mut heard = [0; 5];
    ///         self.0.read_exact(&mut heard)?;
    ///         assert_eq!(&heard, b"hello");
    ///         Err(ConnectionDone.into())
    ///     }
    ///     fn connection_lost(&mut self, _reason: &Failure) {
    ///         let _ = self.1.stop();
    ///     }
    /// }
    /// let (mut mouth, ear) = UnixStream::pair()?;
    /// let reactor = Reactor::new()?;
    /// reactor.add_reader(Ear(ear, reactor.clone()))?;
    /// mouth.write_all(b"hello")?;
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "addReader")]
    pub fn add_reader(&self, reader: impl ReadDescriptor + 'static) -> Result<Descriptor> {
        let duplicate = reader.fileno().try_clone_to_owned()?;
        self.inner().watch(duplicate, Interest::Reading, Box::new(Reading(reader)))
    }

    /// Calls `writer` whenever its descriptor has room to write.
    ///
    /// ```
    /// use ropewalk::reactor::{Descriptor, WriteDescriptor};
    /// use ropewalk::transport::ConnectionDone;
    /// use ropewalk::{Failure, Reactor, Result};
    /// use std::io::{PipeWriter, Read, Write, pipe};
    /// use std::os::fd::{AsFd, BorrowedFd};
    ///
    /// struct Mouth(PipeWriter, Reactor);
    /// impl WriteDescriptor for Mouth {
    ///     fn fileno(&self) -> BorrowedFd<'_> {
    ///         self.0.as_fd()
    ///     }
    ///     fn do_write(&mut self) -> Result {
    ///         self.0.write_all(b"hello")?;
    ///         Err(ConnectionDone.into())
    ///     }
    ///     fn connection_lost(&mut self, _: &Failure) {
    ///         let _ = self.1.stop();
    ///     }
    /// }
    /// let (mut ear, mouth) = pipe()?;
    /// let reactor = Reactor::new()?;
    /// let watched: Descriptor = reactor.add_writer(Mouth(mouth, reactor.clone()))?;
    /// reactor.run()?;
    /// watched.remove(); // it has ended by itself: nothing is left to remove
    /// let mut heard = String::new();
    /// ear.read_to_string(&mut heard)?;
    /// assert_eq!(heard, "hello");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "addWriter")]
    pub fn add_writer(&self, writer: impl WriteDescriptor + 'static) -> Result<Descriptor> {
        let duplicate = writer.fileno().try_clone_to_owned()?;
        self.inner().watch(duplicate, Interest::Writing, Box::new(Writing(writer)))
    }
}

/// What readers and writers have in common.
trait Watched {
    fn serve(&mut self) -> Result;
    fn lost(&mut self, reason: &Failure);
}

struct Reading<R>(R);

impl<R: ReadDescriptor> Watched for Reading<R> {
    fn serve(&mut self) -> Result {
        self.0.do_read()
    }

    fn lost(&mut self, reason: &Failure) {
        self.0.connection_lost(reason);
    }
}

struct Writing<W>(W);

impl<W: WriteDescriptor> Watched for Writing<W> {
    fn serve(&mut self) -> Result {
        self.0.do_write()
    }

    fn lost(&mut self, reason: &Failure) {
        self.0.connection_lost(reason);
    }
}

struct Watch {
    inner: Rc<Loop>,
    key: Key,
    interest: Interest,
    /// Absent once the watch ended.
    duplicate: RefCell<Option<OwnedFd>>,
    /// Absent while it is called, and once the watch ended.
    watched: Cell<Option<Box<dyn Watched>>>,
    /// The system cannot watch it (an ordinary file): it is ready in every turn.
    is_always_ready: Cell<bool>,
}

impl Loop {
    fn watch(
        self: &Rc<Self>,
        duplicate: OwnedFd,
        interest: Interest,
        watched: Box<dyn Watched>,
    ) -> Result<Descriptor> {
        self.check_alive()?;
        let watch = self.insert_source(|key| {
            let (inner, duplicate) = (self.clone(), RefCell::new(Some(duplicate)));
            let (watched, is_always_ready) = (Cell::new(Some(watched)), Cell::new(false));
            Rc::new(Watch { inner, key, interest, duplicate, watched, is_always_ready })
        });
        match watch.arm(Loop::driver_watch) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                watch.is_always_ready.set(true);
                self.sources.requeue(watch.key);
            }
            Err(error) => {
                watch.end();
                return Err(error.into());
            }
        }
        Ok(Descriptor { watch })
    }

    fn driver_watch(&self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.driver.watch(fd, key, interest)
    }

    fn driver_rewatch(&self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.driver.rewatch(fd, key, interest)
    }
}

type Arm = fn(&Loop, BorrowedFd<'_>, Key, Interest) -> io::Result<()>;

impl Watch {
    fn arm(&self, arm: Arm) -> io::Result<()> {
        match &*self.duplicate.borrow() {
            Some(duplicate) => arm(&self.inner, duplicate.as_fd(), self.key, self.interest),
            None => Ok(()),
        }
    }

    fn has_ended(&self) -> bool {
        self.duplicate.borrow().is_none()
    }

    /// Forgets the descriptor and returns what was watching, unless it is being called.
    fn end(&self) -> Option<Box<dyn Watched>> {
        if let Some(duplicate) = self.duplicate.take() {
            // It was never registered if it is always ready.
            let _ = self.inner.driver.unwatch(duplicate.as_fd());
            self.inner.sources.remove(self.key);
        }
        self.watched.take()
    }

    fn lose_watched(&self, mut watched: Box<dyn Watched>, reason: &Failure) {
        self.end();
        super::run_reporting_panic("connection_lost of a descriptor", || watched.lost(reason));
        super::run_reporting_panic("drop of a descriptor", || drop(watched));
    }

    /// Level-triggered: asks for the readiness anew after every call.
    fn serve_again_later(&self) -> io::Result<()> {
        if self.is_always_ready.get() {
            self.inner.sources.requeue(self.key);
            return Ok(());
        }
        self.arm(Loop::driver_rewatch)
    }
}

impl Source for Watch {
    fn name(&self) -> String {
        "a watched descriptor".to_owned()
    }

    fn ready(self: Rc<Self>, _readiness: Readiness, _scratch: &mut [u8]) {
        let Some(mut watched) = self.watched.take() else { return };
        let outcome = catch_panic(NO_PLACE, || watched.serve()).and_then(|result| result);
        if self.has_ended() {
            return super::run_reporting_panic("drop of a descriptor", || drop(watched));
        }
        let outcome = outcome.and_then(|()| Ok(self.serve_again_later()?));
        match outcome {
            Ok(()) => self.watched.set(Some(watched)),
            Err(failure) => {
                if failure.is::<crate::Panicked>() {
                    report("panic in a descriptor", &failure);
                }
                self.lose_watched(watched, &failure);
            }
        }
    }

    fn lose(self: Rc<Self>, reason: &Failure) {
        if let Some(watched) = self.watched.take() {
            self.lose_watched(watched, reason);
        }
    }
}
