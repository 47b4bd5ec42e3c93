//! Files that are read without waiting for a disk, and files that the system moves into a socket.
//!
//! A read that may not wait (RWF_NOWAIT) says EAGAIN where the bytes are not in memory. File systems
//! that live in memory know no such read, and never wait.
//!
//! `sendfile` waits for the disk as a read does, so a byte at both ends of the slice is read first, and
//! must be in memory: the kernel reads ahead in runs that are longer than a slice.

use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Reads from a file what is in memory.
///
/// `WouldBlock` says that a disk would be waited for, or that nobody knows: a thread is to read then,
/// as [`Reactor::defer_to_thread`](crate::Reactor::defer_to_thread) does.
///
/// ```
/// use std::os::fd::AsFd;
///
/// let file = std::fs::File::open("Cargo.toml")?;
/// let mut buffer = [0; 9];
/// match ropewalk::driver::read_in_memory(file.as_fd(), 1, &mut buffer) {
///     Ok(count) => assert_eq!(&buffer[..count], b"workspace"),
///     Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_in_memory(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(read(file, offset, buffer)?)
}

#[cfg(target_os = "linux")]
fn read(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    use rustix::io::{IoSliceMut, ReadWriteFlags, pread, preadv2};
    let mut slices = [IoSliceMut::new(buffer)];
    match preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) if is_in_memory(file) => pread(file, buffer, offset),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(Errno::AGAIN),
        outcome => outcome,
    }
}

#[cfg(not(target_os = "linux"))]
fn read(_: BorrowedFd<'_>, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
    Err(Errno::AGAIN)
}

/// Whether a file's system keeps all of it in memory: tmpfs and ramfs.
#[cfg(target_os = "linux")]
fn is_in_memory(file: BorrowedFd<'_>) -> bool {
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    // As 32 bits: the field is wider on some machines, and its numbers are not.
    rustix::fs::fstatfs(file).is_ok_and(|it| matches!(it.f_type as u32, TMPFS | RAMFS))
}

/// See [`ByteStream::send_file`](crate::driver::ByteStream::send_file).
#[cfg(target_os = "linux")]
pub(super) fn send_file(
    socket: impl AsFd,
    file: BorrowedFd<'_>,
    offset: &mut u64,
    count: usize,
) -> io::Result<usize> {
    let last = offset.saturating_add(count as u64).saturating_sub(1);
    for at in [*offset, last] {
        read(file, at, &mut [0]).map_err(|_| io::ErrorKind::ResourceBusy)?;
    }
    Ok(rustix::fs::sendfile(socket, file, Some(offset), count)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send_file(
    _: impl AsFd,
    _: BorrowedFd<'_>,
    _: &mut u64,
    _: usize,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
