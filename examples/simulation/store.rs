//! A log on a disk, of which as much survives a crash as was synced.

use ropewalk::Result;
use ropewalk::simulation::Disk;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Keys and values, in memory and in a log.
pub(crate) struct Store {
    pub(crate) values: RefCell<BTreeMap<String, String>>,
    disk: Disk,
}

impl Store {
    /// What the log says; a last line without its end was never answered.
    pub(crate) fn open(disk: Disk) -> Result<Store> {
        let log = if disk.exists("log") { disk.read("log")? } else { Vec::new() };
        let whole = log.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        disk.write("new log", &log[..whole])?;
        disk.sync("new log")?;
        disk.rename("new log", "log")?;
        disk.sync("log")?;
        let text = String::from_utf8(log[..whole].to_vec())?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(Store { values: RefCell::new(values), disk })
    }

    /// Answered only when it is certain: without the sync the first seed fails.
    pub(crate) fn put(&self, key: &str, value: &str) -> Result {
        self.disk.append("log", format!("{key} {value}\n").as_bytes())?;
        self.disk.sync("log")?;
        self.values.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}
