//! What SQLite's errors mean to a pool.

use rusqlite::{Error, ErrorCode};

fn code(error: &Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether the file or its connection is damaged, or no database at all.
pub(super) fn is_broken(error: &Error) -> bool {
    let broken = [
        ErrorCode::NotADatabase,
        ErrorCode::DatabaseCorrupt,
        ErrorCode::SystemIoFailure,
        ErrorCode::CannotOpen,
        ErrorCode::FileLockingProtocolFailed,
        ErrorCode::ApiMisuse,
        ErrorCode::OutOfMemory,
    ];
    code(error).is_some_and(|code| broken.contains(&code))
}

/// Whether another connection's lock was in the way.
pub(super) fn is_locked(error: &Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
