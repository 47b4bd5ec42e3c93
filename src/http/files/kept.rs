// Files that are kept open for a while, and small ones in memory.

use super::find::{Served, Wanted};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What was found of late, by what was asked for.
pub(super) struct Kept {
    files: HashMap<Wanted, Entry>,
    most: usize,
    /// After so long it is looked at again.
    look_again: Duration,
}

struct Entry {
    file: Rc<Served>,
    found: Instant,
}

impl Kept {
    pub(super) fn new(most: usize, look_again: Duration) -> Kept {
        Kept { files: HashMap::new(), most, look_again }
    }

    pub(super) fn find(&mut self, wanted: &Wanted, now: Instant) -> Option<Rc<Served>> {
        let entry = self.files.get(wanted)?;
        if now.duration_since(entry.found) < self.look_again {
            return Some(entry.file.clone());
        }
        self.files.remove(wanted);
        None
    }

    pub(super) fn keep(&mut self, wanted: Wanted, file: Rc<Served>, now: Instant) {
        if self.most == 0 {
            return;
        }
        if self.files.len() >= self.most {
            self.make_room(now);
        }
        self.files.insert(wanted, Entry { file, found: now });
    }

    /// Lets go of what has to be looked at again anyway, or else of all: rare, and no worse than a file
    /// that was not kept.
    fn make_room(&mut self, now: Instant) {
        let look_again = self.look_again;
        self.files.retain(|_, entry| now.duration_since(entry.found) < look_again);
        if self.files.len() >= self.most {
            self.files.clear();
        }
    }
}
