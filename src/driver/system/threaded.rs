//! A descriptor whose calls may wait, read or written by a thread of its own.
//!
//! # Theory
//! The thread alone has the descriptor, and a call that waits has the thread wait in it; the reactor has
//! one end of a pair of sockets, and the thread the other. So readiness, ends and room are the socket's,
//! and a connection sees no difference.
//!
//! The thread asks before each call whether there is something to do, so that it waits in `poll`, where the
//! end of the connection is an event as well. Only what others do between that and the call can hold it
//! longer: it ends then when the call does.
//!
//! # Invariants
//! * It has read one buffer ahead at most: what is left is for whoever reads the descriptor afterwards.
//! * Bytes leave its socket after they were written: those that did not are counted, and an end in order
//!   waits for them. Other ends discard them.
//! * Why it ended is kept before its socket is closed, which is what tells of it.
//!
//! # Not here
//! When a thread is needed: `watched.rs`.

use super::dialect::{AT_ONCE, QUIETLY};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{RecvFlags, recv, send};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// So much passes at once. As much as a pipe takes without waiting when it has room at all.
const BUFFER: usize = 4096;
/// So much may wait for the thread that writes.
const WAITING: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Reading,
    Writing,
}

/// What the two threads know of each other.
#[derive(Default)]
pub(super) struct Carrier {
    /// So many bytes were sent to the thread and are not written yet.
    unwritten: AtomicUsize,
    /// Why the thread ended, if that was a failure.
    failure: Mutex<Option<Errno>>,
}

/// Gives a descriptor to a thread. What is returned stands for it.
pub(super) fn carry(
    descriptor: OwnedFd,
    direction: Direction,
) -> io::Result<(OwnedFd, Arc<Carrier>)> {
    let (ours, theirs) = UnixStream::pair()?;
    let carrier: Arc<Carrier> = Arc::default();
    let name = match direction {
        Direction::Reading => {
            set_socket_send_buffer_size(&theirs, BUFFER)?;
            "ropewalk-input"
        }
        Direction::Writing => {
            set_socket_send_buffer_size(&ours, WAITING)?;
            "ropewalk-output"
        }
    };
    let shared = carrier.clone();
    thread::Builder::new().name(name.into()).spawn(move || {
        let outcome = match direction {
            Direction::Reading => pass_in(&descriptor, &theirs),
            Direction::Writing => pass_out(&theirs, &descriptor, &shared.unwritten),
        };
        shared.ended(outcome);
        drop((descriptor, theirs));
    })?;
    Ok((ours.into(), carrier))
}

impl Carrier {
    /// Counts what `send` sends of `wanted` bytes. Before it does: the thread may be the faster one.
    pub(super) fn sending(
        &self,
        wanted: usize,
        send: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.unwritten.fetch_add(wanted, Ordering::AcqRel);
        let outcome = send();
        let sent = *outcome.as_ref().unwrap_or(&0);
        self.unwritten.fetch_sub(wanted - sent, Ordering::AcqRel);
        outcome.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                self.failure().unwrap_or(Errno::PIPE).into()
            }
            _ => error,
        })
    }

    /// Whether what was sent has left, or never will.
    pub(super) fn has_written_all(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) == 0 || self.failure().is_some()
    }

    /// Why the thread ended, if that was a failure.
    pub(super) fn failure(&self) -> Option<Errno> {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, outcome: Result<(), Errno>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
    }
}

/// Until there is nothing more to read, or nobody who wants it.
fn pass_in(from: &OwnedFd, to: &UnixStream) -> Result<(), Errno> {
    let mut buffer = [0; BUFFER];
    loop {
        // What was read before is gone then.
        if has_gone(wait(to, PollFlags::OUT, None)?.0) {
            return Ok(());
        }
        if has_gone(wait(to, PollFlags::empty(), Some((from, PollFlags::IN)))?.0) {
            return Ok(());
        }
        match read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) if send_all(to, &buffer[..count])? => {}
            Ok(_) => return Ok(()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// False: nobody wants it any more.
fn send_all(to: &UnixStream, mut bytes: &[u8]) -> Result<bool, Errno> {
    while !bytes.is_empty() {
        match send(to, bytes, QUIETLY) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => drop(wait(to, PollFlags::OUT, None)?),
            Err(Errno::INTR) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Until nothing more will come, all of it is written, or nobody takes it.
fn pass_out(from: &UnixStream, to: &OwnedFd, unwritten: &AtomicUsize) -> Result<(), Errno> {
    let mut buffer = [0; BUFFER];
    let mut is_hung_up = false;
    loop {
        // One that is hung up may be written to, as the master of a terminal, and would end each wait.
        let watched = (!is_hung_up).then_some((to, PollFlags::empty()));
        let (ours, theirs) = wait(from, PollFlags::IN, watched)?;
        is_hung_up = theirs.intersects(PollFlags::HUP);
        if has_gone(ours) {
            return Ok(());
        }
        if theirs.intersects(PollFlags::ERR) {
            return Err(Errno::PIPE);
        }
        let next = match recv(from, &mut buffer, AT_ONCE | RecvFlags::PEEK) {
            Ok((0, _)) => return Ok(()),
            Ok((count, _)) => &buffer[..count],
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(error),
        };
        if has_gone(wait(from, PollFlags::empty(), Some((to, PollFlags::OUT)))?.0) {
            return Ok(());
        }
        match write(to, next) {
            Ok(count) => {
                unwritten.fetch_sub(count, Ordering::AcqRel);
                // Now, for this is what makes the other end writable.
                recv(from, &mut buffer[..count], AT_ONCE)?;
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether nothing is left of the connection.
fn has_gone(socket: PollFlags) -> bool {
    socket.intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Waits for either; what of the socket came true, and what of the other one.
fn wait(
    socket: &UnixStream,
    wanted: PollFlags,
    other: Option<(&OwnedFd, PollFlags)>,
) -> Result<(PollFlags, PollFlags), Errno> {
    let mut asked = vec![PollFd::new(socket, wanted)];
    asked.extend(other.map(|(other, wanted)| PollFd::new(other, wanted)));
    while let Err(error) = poll(&mut asked, None) {
        if error != Errno::INTR {
            return Err(error);
        }
    }
    let other = asked.get(1).map_or(PollFlags::empty(), PollFd::revents);
    Ok((asked[0].revents(), other))
}

#[cfg(test)]
mod tests {
    use super::super::SystemDriver;
    use super::super::watched::tests::IS_REFUSED;
    use super::*;
    use crate::address::Address;
    use crate::driver::{ByteStream, Driver, Key, Pipes, Readiness};
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::io::{Read, Write, pipe};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    const MUCH: usize = 1_000_000;

    /// A stream over descriptors that may not be opened again, and the driver that watches it.
    struct Carried {
        driver: SystemDriver,
        stream: Box<dyn ByteStream>,
    }

    impl Carried {
        fn over(input: Option<OwnedFd>, output: Option<OwnedFd>) -> Carried {
            IS_REFUSED.set(true);
            let driver = SystemDriver::new().unwrap();
            let name = Address::pipe("refused");
            let pipes = Pipes { input, output, name, is_shared: true, is_standard: false };
            let mut stream = driver.adopt(pipes).unwrap();
            stream.register(Key::NONE).unwrap();
            Carried { driver, stream }
        }

        fn reading(input: impl Into<OwnedFd>) -> Carried {
            Carried::over(Some(input.into()), None)
        }

        fn writing(output: impl Into<OwnedFd>) -> Carried {
            Carried::over(None, Some(output.into()))
        }

        /// Makes a call until it does not say that it would wait; between the tries only an event helps.
        fn until_done<T>(
            &mut self,
            mut call: impl FnMut(&mut dyn ByteStream) -> io::Result<T>,
        ) -> io::Result<T> {
            loop {
                match call(&mut *self.stream) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(),
                    outcome => return outcome,
                }
            }
        }

        fn wait(&self) {
            let mut ready = Vec::new();
            self.driver.wait(Some(Duration::from_secs(20)), &mut ready).unwrap();
            assert!(!ready.is_empty(), "nobody told that it would not wait any more");
            assert!(ready.iter().any(|event| event.readiness != Readiness::NONE));
        }

        fn read_to_end(&mut self) -> Vec<u8> {
            let (mut all, mut buffer) = (Vec::new(), [0; 3000]);
            loop {
                match self.until_done(|stream| stream.read(&mut buffer)).unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&buffer[..count]),
                }
            }
        }

        fn write_all(&mut self, bytes: &[u8]) {
            let mut written = 0;
            while written < bytes.len() {
                written += self.until_done(|stream| stream.write(&bytes[written..])).unwrap();
            }
        }
    }

    fn pattern() -> Vec<u8> {
        (0..MUCH).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn all_that_is_sent_is_read_and_then_the_end() {
        let (input, mut to) = pipe().unwrap();
        let sender = thread::spawn(move || to.write_all(&pattern()).unwrap());
        assert!(Carried::reading(input).read_to_end() == pattern());
        sender.join().unwrap();
    }

    #[test]
    fn all_that_is_written_arrives_before_an_end_in_order_is_one() {
        let (mut from, output) = pipe().unwrap();
        let mut carried = Carried::writing(output);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            from.read_to_end(&mut all).unwrap();
            all
        });
        carried.write_all(&pattern());
        carried.stream.shutdown_write().unwrap();
        carried.until_done(|stream| stream.close_notify()).unwrap();
        drop(carried);
        assert!(reader.join().unwrap() == pattern());
    }

    #[test]
    fn what_nobody_reads_keeps_an_end_in_order_waiting_and_other_ends_not() {
        let (mut from, output) = pipe().unwrap();
        let mut carried = Carried::writing(output);
        while carried.stream.write(&[b'x'; 10_000]).is_ok() {}
        carried.wait();
        while carried.stream.write(&[b'x'; 10_000]).is_ok() {}
        let error = carried.stream.close_notify().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(!carried.stream.has_written_all());
        drop(carried);
        // The thread has let go of the pipe, or this would not end.
        from.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn no_more_than_a_buffer_is_read_ahead() {
        let (mut input, mut to) = pipe().unwrap();
        to.write_all(&[b'x'; 60_000]).unwrap();
        drop(to);
        let carried = Carried::reading(input.try_clone().unwrap());
        carried.wait();
        drop(carried);
        let mut left = Vec::new();
        input.read_to_end(&mut left).unwrap();
        assert!(left.len() >= 60_000 - 2 * BUFFER, "{} are left", left.len());
    }

    #[test]
    fn a_reader_that_goes_away_is_a_broken_pipe_though_nothing_is_written() {
        let (from, output) = pipe().unwrap();
        let mut carried = Carried::writing(output);
        drop(from);
        let error = carried.until_done(|stream| stream.read(&mut [0])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = carried.stream.write(b"more").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        carried.stream.close_notify().unwrap();
    }

    #[test]
    fn a_reader_that_goes_away_from_a_full_pipe_fails_the_write() {
        let (from, output) = pipe().unwrap();
        let mut carried = Carried::writing(output);
        while carried.stream.write(&[b'x'; 10_000]).is_ok() {}
        drop(from);
        let error = loop {
            if let Err(error) = carried.until_done(|stream| stream.write(&[b'x'; 10_000])) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        carried.stream.close_notify().unwrap();
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let mut carried = Carried::reading(pipe().unwrap().1);
        let error = carried.until_done(|stream| stream.read(&mut [0])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }

    #[test]
    fn a_thread_that_waits_for_bytes_ends_with_its_stream() {
        let (input, mut to) = pipe().unwrap();
        drop(Carried::reading(input));
        // Until nobody has the reading end open any more.
        while to.write_all(b"x").is_ok() {
            thread::yield_now();
        }
    }

    #[test]
    fn another_holder_may_have_it_wait_or_not_in_the_middle_of_a_call() {
        let ((input, mut to), (mut from, output)) = (pipe().unwrap(), pipe().unwrap());
        let held = [input.try_clone().unwrap().into(), output.try_clone().unwrap().into()];
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        let holder = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                for one in &held as &[OwnedFd; 2] {
                    let flags = fcntl_getfl(one).unwrap();
                    fcntl_setfl(one, flags ^ OFlags::NONBLOCK).unwrap();
                }
            }
        });
        let sender = thread::spawn(move || to.write_all(&pattern()).unwrap());
        let mut carried = Carried::over(Some(input.into()), Some(output.into()));
        assert!(carried.read_to_end() == pattern());
        sender.join().unwrap();
        let reader = thread::spawn(move || {
            let mut all = vec![0; MUCH];
            from.read_exact(&mut all).map(|()| all)
        });
        carried.write_all(&pattern());
        assert!(reader.join().unwrap().unwrap() == pattern());
        is_over.store(true, Ordering::Relaxed);
        holder.join().unwrap();
    }

    #[test]
    fn what_other_holders_have_is_left_as_it_was() {
        let (input, _to) = pipe().unwrap();
        let before = fcntl_getfl(&input).unwrap();
        let _carried = Carried::reading(input.try_clone().unwrap());
        assert_eq!(fcntl_getfl(&input).unwrap(), before);
    }
}
