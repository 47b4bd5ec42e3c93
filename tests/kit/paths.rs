//! Places for files that no other test, and no process before this one, has put anything at.
#![allow(dead_code, reason = "without all features a suite may need none")]

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        // Another process may have had this one's number, and have left its folder behind.
        for number in 0_u32.. {
            let path = std::env::temp_dir().join(format!("rw-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Folder(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no folder at {}: {error}", path.display()),
            }
        }
        unreachable!("some number is free")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static FOLDERS: RefCell<Vec<Folder>> = const { RefCell::new(Vec::new()) };
}

/// A path in a fresh folder, which is removed when the thread of the test ends.
pub(crate) fn path(name: &str) -> PathBuf {
    let folder = Folder::new();
    let path = folder.0.join(name);
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    path
}
