//! Crowds of clients in one simulated world.

use ropewalk::simulation::{Host, Latency, Link, Simulation};
use ropewalk::{Address, Failure, Protocol, Result, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

struct Echo;
impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

type Room = Rc<RefCell<Vec<Transport>>>;

/// Enters a room and counts what it hears.
struct Client {
    room: Room,
    heard: Rc<Cell<u64>>,
    /// Answers each message with the next, as long as there are some left.
    left: Option<Rc<Cell<u64>>>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &Transport) {
        self.room.borrow_mut().push(transport.clone());
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.heard.set(self.heard.get() + 1);
        if let Some(left) = self.left.as_ref().filter(|left| left.get() > 0) {
            left.set(left.get() - 1);
            transport.write(data);
        }
        Ok(())
    }
}

/// Passes on to everybody what anybody says.
struct Chatter {
    room: Room,
}

impl Protocol for Chatter {
    fn connection_made(&mut self, transport: &Transport) {
        self.room.borrow_mut().push(transport.clone());
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        let room = self.room.borrow().clone();
        room.iter().for_each(|other| other.write(data));
        Ok(())
    }
}

/// The clients' ends of so many connections.
struct Crowd {
    simulation: Simulation,
    room: Room,
    heard: Rc<Cell<u64>>,
}

/// A host has ports for so many connections.
const PER_HOST: usize = 50_000;

fn connect(count: usize, left: Option<u64>, listen: impl Fn(&Host)) -> Result<Crowd> {
    let simulation = Simulation::new(1);
    let between = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(20));
    simulation.set_default_link(Link::new().latency(between));
    listen(&simulation.host("server"));
    let crowd = Crowd { simulation, room: Room::default(), heard: Rc::default() };
    let left = left.map(|left| Rc::new(Cell::new(left)));
    for number in 0..count {
        let host = crowd.simulation.host(&format!("clients {}", number / PER_HOST));
        let (room, heard, left) = (crowd.room.clone(), crowd.heard.clone(), left.clone());
        let build = move |_: &Address| Client {
            room: room.clone(),
            heard: heard.clone(),
            left: left.clone(),
        };
        drop(host.reactor().connect("10.0.0.1:7", build));
        // So many are on their way at a time: a listener has room for a thousand.
        if number % 500 == 499 {
            crowd.simulation.run_for(Duration::from_millis(100))?;
        }
    }
    crowd.simulation.run_for(Duration::from_secs(1))?;
    assert_eq!(crowd.room.borrow().len(), count, "everybody is connected");
    Ok(crowd)
}

fn serve_echo(host: &Host) {
    host.boot(|reactor| reactor.listen("0.0.0.0:7", |_: &Address| Echo).map(drop));
}

fn serve_chat(host: &Host) {
    host.boot(|reactor| {
        let room = Room::default();
        let build = move |_: &Address| Chatter { room: room.clone() };
        reactor.listen("0.0.0.0:7", build).map(drop)
    });
}

/// Bytes of memory in use.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

/// Seconds that this thread has had a CPU for: what others do meanwhile on the machine does not count.
fn cpu_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = status.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or(0.0, |nanos| nanos / 1e9)
}

fn report(name: &str, crowd: &Crowd, start: (f64, Duration, u64)) {
    let (real, virtual_start, heard) = start;
    let real = cpu_seconds() - real;
    let passed = (crowd.simulation.time() - virtual_start).as_secs_f64();
    let messages = crowd.heard.get() - heard;
    println!(
        "{name}: {messages} messages in {passed:.1} virtual seconds and {real:.2} of the CPU: {:.2} virtual \
         seconds a second, {:.0} messages a second",
        passed / real,
        messages as f64 / real
    );
}

fn begin(crowd: &Crowd) -> (f64, Duration, u64) {
    (cpu_seconds(), crowd.simulation.time(), crowd.heard.get())
}

/// Every client says 64 bytes each virtual second, three times.
fn echo(count: usize) -> Result {
    let (before, start) = (memory(), cpu_seconds());
    let crowd = connect(count, None, serve_echo)?;
    let each = (memory() - before) / count;
    let seconds = cpu_seconds() - start;
    println!("echo: {count} connections in {seconds:.2} s, {each} bytes each, both ends included");
    let begun = begin(&crowd);
    for _ in 0..3 {
        let room = crowd.room.borrow().clone();
        room.iter().for_each(|client| client.write([7; 64]));
        crowd.simulation.run_for(Duration::from_secs(1))?;
    }
    report("echo", &crowd, begun);
    Ok(())
}

/// Ten guests say a line each, everybody hears it.
fn chat(count: usize) -> Result {
    let before = memory();
    let crowd = connect(count, None, serve_chat)?;
    println!("chat: {count} guests, {} bytes each", (memory() - before) / count);
    let begun = begin(&crowd);
    for _ in 0..10 {
        let speaker = crowd.room.borrow()[count / 2].clone();
        speaker.write(b"hello, everybody\r\n");
        crowd.simulation.run_for(Duration::from_secs(1))?;
    }
    report("chat", &crowd, begun);
    Ok(())
}

/// So many messages there and back over 64 connections, for a counter of instructions.
fn messages(count: u64) -> Result {
    let crowd = connect(64, Some(count), serve_echo)?;
    let room = crowd.room.borrow().clone();
    room.iter().for_each(|client| client.write([7; 64]));
    crowd.simulation.run_until_idle()?;
    println!("{} messages there and back", crowd.heard.get());
    Ok(())
}

/// Runs one part in a process of its own: memory that another has freed would not be counted.
fn run_alone(part: &str, count: usize) -> Result {
    let program = std::env::current_exe()?;
    let status = std::process::Command::new(program).args([part, &count.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(Failure::msg(format!("{part} failed"))) }
}

pub(crate) fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let clients = match words[..] {
        ["messages", count] => return messages(count.parse()?),
        ["echo", count] => return echo(count.parse()?),
        ["chat", count] => return chat(count.parse()?),
        ["--quick"] => 1_000,
        [count] => count.parse()?,
        _ => 100_000,
    };
    run_alone("echo", clients)?;
    run_alone("chat", (clients / 10).max(1))
}
