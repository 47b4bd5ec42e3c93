//! Logs on real files: nothing is lost when they are turned over, and a seed's log is always the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/paths.rs"]
mod paths;

use ropewalk::application::log::{
    LogFile, LogFormat, LogLevel, LogSink, Logger, Rotation, Written, captured_logs, log_reports,
    set_level, write_to,
};
use ropewalk::{Failure, Reactor};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LOG: Logger = Logger::new("test");

/// A fresh folder, gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = paths::path("logs");
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The files, in the order of their names.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A sink that keeps what it is given, each write for itself.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<String>>>);

impl LogSink for Memory {
    fn write_lines(&mut self, lines: &[u8]) -> Written {
        self.0.borrow_mut().push(String::from_utf8(lines.to_vec()).unwrap());
        (lines.len(), None)
    }
}

impl Memory {
    fn texts(&self) -> String {
        self.0.borrow().concat()
    }
}

/// What logrotate does, if the file is there.
fn rename_away(path: &Path, file: &LogFile, name: &str) {
    if fs::rename(path, path.with_file_name(name)).is_ok() {
        file.reopen();
    }
}

/// How often each of the numbered lines stands in the files of a folder.
fn counted(folder: &Folder, lines: usize) -> Vec<u32> {
    let mut counts = vec![0; lines];
    for name in folder.names() {
        for line in read(&folder.path(&name)).lines() {
            let number = line.rsplit_once("line ").expect("each is one of ours").1;
            counts[number.parse::<usize>().unwrap()] += 1;
        }
    }
    counts
}

#[test]
fn no_line_is_lost_or_twice_there_while_files_are_turned_over_renamed_and_reopened() {
    const LINES: usize = 100_000;
    let folder = Folder::new();
    let path = folder.path("log");
    // Some 500 lines a file, and many fewer in those that are renamed in between.
    let rotation = Rotation::Size { bytes: 20_000, keep: u32::MAX };
    let file = LogFile::open(&path, rotation).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, reopened, from) = (is_over.clone(), file.clone(), path.clone());
    let others = thread::spawn(move || {
        // No more than can be looked through; at any time, also in the middle of a turning over.
        for number in 0..500 {
            if over.load(Ordering::Relaxed) {
                break;
            }
            rename_away(&from, &reopened, &format!("moved-{number}"));
            thread::yield_now();
        }
    });
    let reactor = Reactor::new().unwrap();
    let writing = write_to(file.clone(), LogFormat::Text);
    let inside = reactor.clone();
    let write_all = async move {
        for number in 0..LINES {
            LOG.info(format_args!("line {number}"));
            if number % 2000 == 0 {
                rename_away(&path, &file, &format!("own-{number}"));
            }
            if number % 10 == 0 {
                inside.yield_now().await;
            }
        }
        Ok(())
    };
    reactor.run_until(write_all).unwrap();
    drop(writing);
    is_over.store(true, Ordering::Relaxed);
    others.join().unwrap();
    let files = |start: &str| folder.names().iter().filter(|it| it.starts_with(start)).count();
    println!("turned over {}, renamed {} and {}", files("log."), files("own"), files("moved"));
    assert!(files("log.") > 10 && files("own") > 10, "both happened");
    assert!(counted(&folder, LINES).iter().all(|count| *count == 1));
}

#[test]
fn two_who_write_and_turn_over_one_log_lose_nothing_of_each_other() {
    const EACH: usize = 20_000;
    let folder = Folder::new();
    let path = folder.path("log");
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let path = path.clone();
            thread::spawn(move || {
                let rotation = Rotation::Size { bytes: 20_000, keep: u32::MAX };
                let writing = write_to(LogFile::open(path, rotation).unwrap(), LogFormat::Text);
                for number in 0..EACH {
                    LOG.info(format_args!("line {}", writer * EACH + number));
                }
                drop(writing);
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(counted(&folder, 2 * EACH).iter().all(|count| *count == 1));
}

#[test]
fn only_so_many_old_files_are_kept_and_the_newest_of_them() {
    let folder = Folder::new();
    let path = folder.path("log");
    let file = LogFile::open(&path, Rotation::Size { bytes: 1, keep: 3 }).unwrap();
    let writing = write_to(file, LogFormat::Text);
    for number in 0..7 {
        LOG.info(format_args!("line {number}"));
    }
    drop(writing);
    assert_eq!(folder.names(), ["log", "log.1", "log.2", "log.3"]);
    assert!(read(&path).ends_with("line 6\n"));
    assert!(read(&folder.path("log.3")).ends_with("line 3\n"));
}

#[test]
fn a_file_of_yesterday_is_put_aside_under_its_day_by_the_first_line_of_today() {
    let folder = Folder::new();
    let path = folder.path("log");
    fs::write(&path, "yesterday\n").unwrap();
    let then = UNIX_EPOCH + Duration::from_secs(951_782_400);
    fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
    let writing = write_to(LogFile::open(&path, Rotation::Daily).unwrap(), LogFormat::Text);
    LOG.info("today");
    drop(writing);
    assert_eq!(folder.names(), ["log", "log.2000-02-29"]);
    assert_eq!(read(&folder.path("log.2000-02-29")), "yesterday\n");
    assert!(read(&path).ends_with("today\n"));
}

#[test]
fn lines_for_a_full_disk_are_counted_and_told_once_there_is_room() {
    let folder = Folder::new();
    let path = folder.path("log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let file = LogFile::open(&path, Rotation::default()).unwrap();
    let writing = write_to(file.clone(), LogFormat::Text);
    LOG.info("one");
    LOG.info("two");
    fs::remove_file(&path).unwrap();
    file.reopen();
    LOG.info("three");
    drop(writing);
    let text = read(&path);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("2 lines of this log were lost: No space left on device"), "{text}");
    assert!(lines[1].ends_with("[test#info] three"), "{text}");
}

#[test]
fn a_log_whose_folder_is_moved_away_and_made_anew_goes_on_in_the_new_one() {
    let folder = Folder::new();
    let (inner, path) = (folder.path("logs"), folder.path("logs/log"));
    fs::create_dir(&inner).unwrap();
    let file = LogFile::open(&path, Rotation::Never).unwrap();
    let writing = write_to(file.clone(), LogFormat::Text);
    LOG.info("one");
    fs::remove_dir_all(&inner).unwrap();
    fs::create_dir(&inner).unwrap();
    file.reopen();
    LOG.info("two");
    drop(writing);
    assert!(read(&path).ends_with("two\n"));
}

#[test]
fn a_log_that_cannot_be_opened_anew_goes_on_in_the_old_file_and_says_so_once() {
    let folder = Folder::new();
    let (inner, path) = (folder.path("logs"), folder.path("logs/log"));
    fs::create_dir(&inner).unwrap();
    let file = LogFile::open(&path, Rotation::Never).unwrap();
    let writing = write_to(file.clone(), LogFormat::Text);
    let kept = folder.path("kept");
    fs::rename(&path, &kept).unwrap();
    fs::remove_dir(&inner).unwrap();
    for text in ["one", "two"] {
        file.reopen();
        LOG.info(text);
    }
    drop(writing);
    let text = read(&kept);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("this log could not be opened anew: No such file"), "{text}");
    assert!(lines[2].ends_with("two"), "{text}");
}

#[test]
fn a_pipe_that_nobody_reads_is_refused_and_does_not_keep_the_program_waiting() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(LogFile::open(&path, Rotation::Never).is_err());
}

#[test]
fn the_lines_of_a_turn_leave_in_one_write_and_a_critical_one_at_once() {
    let memory = Memory::default();
    let writing = write_to(memory.clone(), LogFormat::Text);
    let reactor = Reactor::new().unwrap();
    let (inside, seen) = (reactor.clone(), memory.clone());
    let log = async move {
        (0..10).for_each(|number| LOG.info(number));
        assert_eq!(seen.0.borrow().len(), 0, "the turn is not over");
        inside.yield_now().await;
        inside.yield_now().await;
        assert_eq!(seen.0.borrow().len(), 1);
        LOG.info("waits");
        LOG.critical("now");
        assert_eq!(seen.0.borrow().len(), 2);
        Ok(())
    };
    reactor.run_until(log).unwrap();
    LOG.info("no turn");
    drop(writing);
    let lines: Vec<_> = memory.0.borrow().iter().map(|text| text.lines().count()).collect();
    assert_eq!(lines, [10, 2, 1]);
}

#[test]
fn what_is_logged_in_the_last_turn_of_a_reactor_is_written() {
    let memory = Memory::default();
    let writing = write_to(memory.clone(), LogFormat::Text);
    let reactor = Reactor::new().unwrap();
    reactor
        .run_until(async {
            LOG.info("last words");
            Ok(())
        })
        .unwrap();
    drop(reactor);
    drop(writing);
    assert!(memory.texts().ends_with("last words\n"));
}

#[test]
fn failures_that_nobody_handled_are_events_with_their_places() {
    log_reports();
    let logs = captured_logs();
    let reactor = Reactor::new().unwrap();
    reactor.call_later(Duration::ZERO, || Err::<(), _>(Failure::msg("bad\nluck")));
    reactor.turn(Some(Duration::from_secs(20))).unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    let text = logs.text();
    assert!(text.starts_with("[ropewalk#error] unhandled failure in Deferred"), "{text}");
    assert!(text.contains("bad\\nluck"), "{text}");
    assert!(text.contains("arose tests/logs.rs:"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn an_observer_that_logs_or_panics_harms_nobody() {
    let logs = captured_logs();
    let nested = ropewalk::application::log::observe(|_| LOG.info("again"));
    let panicking = ropewalk::application::log::observe(|_| panic!("on purpose"));
    let later = captured_logs();
    LOG.info("once");
    drop((nested, panicking));
    LOG.info("twice");
    assert_eq!(logs.text(), "[test#info] once\n[test#info] twice\n");
    assert_eq!(later.text(), logs.text());
}

#[test]
fn events_below_the_level_are_not_even_made() {
    struct Costly;
    impl std::fmt::Display for Costly {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it was written")
        }
    }
    let logs = captured_logs();
    LOG.debug(Costly);
    set_level(LogLevel::Debug);
    LOG.debug("seen");
    set_level(LogLevel::Error);
    LOG.event(LogLevel::Warn, Costly).with("field", Costly).emit();
    assert_eq!(logs.text(), "[test#debug] seen\n");
}

#[test]
fn an_event_names_the_service_that_it_is_of() {
    let logs = captured_logs();
    let reactor = Reactor::new().unwrap();
    let owner = ropewalk::reactor::Owner::new(&reactor, "mail");
    let said = owner.spawn(async {
        LOG.info("by a library");
        Logger::new("mail").info("by itself");
        Ok(())
    });
    reactor.run_until(said).unwrap();
    assert_eq!(logs.text(), "[test#info] by a library, service mail\n[mail#info] by itself\n");
}

#[test]
fn an_event_outside_of_a_turn_has_the_time_of_the_system() {
    let before = SystemTime::now();
    let logs = captured_logs();
    LOG.info("now");
    let time = logs.events()[0].time();
    assert!(before <= time && time <= SystemTime::now());
}

#[cfg(feature = "simulation")]
mod simulated {
    use super::*;
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    use ropewalk::simulation::{Latency, Link, Simulation};

    /// The log of a server and a client, over a network that is not kind to them.
    fn log_of(seed: u64) -> String {
        let memory = Memory::default();
        let writing = write_to(memory.clone(), LogFormat::Json);
        let simulation = Simulation::new(seed);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(40));
        simulation.set_link(&server, &client, Link::new().latency(latency));
        let log = Logger::new("server");
        let port = server.reactor().serve("0.0.0.0:25", async move |mut stream| {
            let mut space = [0; 16];
            loop {
                let count = stream.read(&mut space).await?;
                let event = log.event(LogLevel::Info, "read").with("peer", stream.peer());
                event.with("bytes", count).emit();
                if count == 0 {
                    log.failure("over", &Failure::msg("on purpose"));
                    return Ok(());
                }
            }
        });
        port.unwrap();
        let reactor = client.reactor();
        let inside = reactor.clone();
        simulation
            .run_until(reactor.spawn(async move {
                let mut stream = inside.open("server:25").await?;
                for _ in 0..20 {
                    stream.write_all(b"some more bytes").await?;
                    inside.sleep(Duration::from_millis(inside.random() % 50)).await;
                    LOG.info("sent");
                }
                drop(stream);
                inside.sleep(Duration::from_secs(1)).await;
                Ok(())
            }))
            .unwrap();
        drop((simulation, writing));
        memory.texts()
    }

    #[test]
    fn the_log_of_a_seed_is_the_same_byte_for_byte() {
        let (first, second) = (log_of(7), log_of(7));
        assert!(first.lines().count() > 40, "{first}");
        assert!(first.contains("\"log_time\":946684800."), "its time is virtual:\n{first}");
        assert!(first.contains("on purpose"), "{first}");
        assert!(first == second, "\n{first}\n{second}");
        assert_ne!(first, log_of(8), "another seed is another run");
    }
}
