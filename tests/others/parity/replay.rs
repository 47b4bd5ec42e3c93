//! A script of Deferred operations in, a trace of what fired out. Shared by `parity.rs` and the
//! example `deferred_trace`.

use ropewalk::clock::TestClock;
use ropewalk::deferred::{Cancelled, DeferredList, FailureGroup, FirstError, OneOrAll, TimedOut};
use ropewalk::{Deferred, Failure, Result, Trigger, race, succeed};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Runs the script on a virtual clock; the lines are those that Twisted's replayer prints.
pub(crate) fn replay(script: &Json) -> Vec<String> {
    let world = World::default();
    let unhandled = Rc::new(RefCell::new(Vec::new()));
    let sink = unhandled.clone();
    ropewalk::on_report(move |report| sink.borrow_mut().push(name(report.failure())));
    for step in list(&script["steps"]) {
        world.step(step);
    }
    // First the Deferreds, whose failures count; then the triggers, whose silence does not. They are asked
    // before they are dropped: a cancellation would not be reported, as Twisted does it.
    for deferred in world.0.deferreds.take().into_values() {
        let sink = unhandled.clone();
        deferred.add_errback(move |failure| {
            sink.borrow_mut().push(name(&failure));
            Ok(Value::Number(0))
        });
    }
    let mut lines = world.0.out.take();
    let mut unhandled = unhandled.take();
    unhandled.sort();
    lines.extend(unhandled.iter().map(|name| format!("unhandled {name}")));
    drop(world.0.triggers.take());
    lines
}

#[derive(Clone, Default)]
struct World(Rc<Tables>);

#[derive(Default)]
struct Tables {
    clock: TestClock,
    triggers: RefCell<HashMap<u64, Trigger<Value>>>,
    /// Each leaves its place while it is being worked on: no borrow is alive when callbacks run.
    deferreds: RefCell<HashMap<u64, Deferred<Value>>>,
    out: RefCell<Vec<String>>,
}

impl World {
    fn step(&self, s: &Json) {
        let d = s["d"].as_u64().unwrap_or_default();
        match text(&s["op"]) {
            "new" => self.new_deferred(d, &s["canceller"]),
            "add" => self.put(d, self.add(self.take(d), s.clone())),
            "probe" => self.put(d, self.probe(self.take(d), s["id"].to_string())),
            "callback" => self.fire(d, Ok(Value::Number(number(&s["v"])))),
            "errback" => self.fire(d, Err(raise(&s["e"]))),
            "cancel" => self.cancel(d),
            "list" => self.put(d, self.list(s)),
            "gather" => {
                let all = DeferredList::new(self.take_all(s)).consume_errors().gather();
                self.put(d, all.map(Value::Gathered));
            }
            "race" => {
                let winner = race(self.take_all(s));
                self.put(d, winner.map(|(index, value)| Value::Winner(index, Box::new(value))));
            }
            "timeout" => self.put(d, self.take(d).add_timeout(seconds(s), &self.0.clock)),
            "advance" => self.0.clock.advance(seconds(s)),
            other => panic!("no such operation: {other}"),
        }
    }

    fn new_deferred(&self, d: u64, canceller: &Json) {
        let (world, canceller) = (self.clone(), canceller.clone());
        let (trigger, deferred) = if canceller.is_null() {
            Deferred::new()
        } else {
            Deferred::with_canceller(move |trigger: &Trigger<Value>| {
                world.say(format!("canceller {d}"));
                let _ = match (&canceller["fire"], &canceller["fail"]) {
                    (Json::Number(_), _) => {
                        trigger.callback(Value::Number(number(&canceller["fire"])))
                    }
                    (_, Json::String(_)) => trigger.errback(raise(&canceller["fail"])),
                    _quiet => Ok(()),
                };
            })
        };
        self.0.triggers.borrow_mut().insert(d, trigger);
        self.put(d, deferred);
    }

    fn add(&self, deferred: Deferred<Value>, s: Json) -> Deferred<Value> {
        let (id, callback, errback) = (s["id"].clone(), s["cb"].clone(), s["eb"].clone());
        let (here, there, that) = (self.clone(), self.clone(), id.clone());
        let called = move |value| {
            if callback.is_null() {
                return succeed(value);
            }
            here.say(format!("cb {id} {value}"));
            here.act(&callback, Ok(value))
        };
        let failed = move |failure| {
            there.say(format!("eb {that} {}", name(&failure)));
            there.act(&errback, Err(failure))
        };
        if s["eb"].is_null() {
            return deferred.add_callback(called);
        }
        deferred.add_callbacks(called, failed)
    }

    fn act(&self, action: &Json, outcome: Result<Value>) -> Deferred<Value> {
        let d = action["d"].as_u64().unwrap_or_default();
        match text(&action["do"]) {
            "plus" => {
                let old = if let Ok(Value::Number(old)) = outcome { old } else { 0 };
                succeed(Value::Number(old + number(&action["n"])))
            }
            "raise" => ropewalk::fail(raise(&action["e"])),
            "pass" => outcome.map_or_else(ropewalk::fail, succeed),
            "defer" => self.take(d),
            "fire" => {
                self.fire(d, Ok(Value::Number(number(&action["v"]))));
                self.act(&action["then"], outcome)
            }
            "cancel" => {
                self.cancel(d);
                self.act(&action["then"], outcome)
            }
            other => panic!("no such action: {other}"),
        }
    }

    fn probe(&self, deferred: Deferred<Value>, id: String) -> Deferred<Value> {
        let world = self.clone();
        deferred.add_both(move |outcome| {
            world.say(match &outcome {
                Ok(value) => format!("probe {id} {value}"),
                Err(failure) => format!("probe {id} {}", name(failure)),
            });
            outcome
        })
    }

    fn list(&self, s: &Json) -> Deferred<Value> {
        let mut list = DeferredList::new(self.take_all(s)).consume_errors();
        if s["one_err"] == true {
            list = list.fire_on_one_errback();
        }
        if s["one_ok"] != true {
            return list.results().map(Value::Listed);
        }
        list.fire_on_one_callback().map(|one| match one {
            OneOrAll::One(index, value) => Value::One(Box::new(value), index),
            OneOrAll::AllFailed(failures) => Value::Listed(failures.into_iter().map(Err).collect()),
        })
    }

    fn fire(&self, d: u64, outcome: Result<Value>) {
        let trigger = self.0.triggers.borrow()[&d].clone();
        if trigger.fire(outcome).is_err() {
            self.say(format!("AlreadyCalled {d}"));
        }
    }

    fn cancel(&self, d: u64) {
        let deferred = self.take(d);
        deferred.cancel();
        self.put(d, deferred);
    }

    fn take(&self, d: u64) -> Deferred<Value> {
        self.0.deferreds.borrow_mut().remove(&d).expect("a script uses what it still has")
    }

    fn take_all(&self, s: &Json) -> Vec<Deferred<Value>> {
        list(&s["of"]).iter().map(|d| self.take(d.as_u64().expect("a name"))).collect()
    }

    fn put(&self, d: u64, deferred: Deferred<Value>) {
        self.0.deferreds.borrow_mut().insert(d, deferred);
    }

    fn say(&self, line: String) {
        self.0.out.borrow_mut().push(line);
    }
}

/// What a Deferred of a script may hold.
enum Value {
    Number(i64),
    Listed(Vec<Result<Value>>),
    Gathered(Vec<Value>),
    One(Box<Value>, usize),
    Winner(usize, Box<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(n) => write!(f, "{n}"),
            Value::Listed(results) => {
                let shown = results.iter().map(|result| match result {
                    Ok(value) => format!("ok:{value}"),
                    Err(failure) => format!("fail:{}", name(failure)),
                });
                write!(f, "[{}]", joined(shown))
            }
            Value::Gathered(values) => write!(f, "[{}]", joined(values.iter())),
            Value::One(value, index) => write!(f, "{value}:{index}"),
            Value::Winner(index, value) => write!(f, "{index}:{value}"),
        }
    }
}

/// A failure that a script names.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise(name: &Json) -> Failure {
    Raised(text(name).to_owned()).into()
}

fn name(failure: &Failure) -> String {
    if failure.is::<Cancelled>() {
        return "Cancelled".into();
    }
    if failure.is::<TimedOut>() {
        return "Timeout".into();
    }
    if failure.is::<ropewalk::deferred::AlreadyCalled>() {
        return "AlreadyCalled".into();
    }
    if let Some(first) = failure.check::<FirstError>() {
        return format!("First({},{})", first.index(), name(first.failure()));
    }
    if let Some(group) = failure.check::<FailureGroup>() {
        return format!("Group({})", joined(group.failures().iter().map(name)));
    }
    failure.to_string()
}

fn joined(parts: impl Iterator<Item = impl ToString>) -> String {
    parts.map(|part| part.to_string()).collect::<Vec<_>>().join(",")
}

fn list(json: &Json) -> &[Json] {
    json.as_array().expect("a list")
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a text")
}

fn number(json: &Json) -> i64 {
    json.as_i64().expect("a number")
}

fn seconds(s: &Json) -> Duration {
    Duration::from_secs(s["secs"].as_u64().expect("whole seconds"))
}
