//! Locks, semaphores and queues under random use, held against models that fit on a page.

use ropewalk::Deferred;
use ropewalk::deferred::{DeferredQueue, DeferredSemaphore, Permit, QueueOverflow, QueueUnderflow};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

const SEEDS: u64 = 200;
const STEPS: usize = 400;

/// A small generator of even quality; the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// Takes a random one out.
fn pick<T>(random: &mut Random, from: &mut BTreeMap<usize, T>) -> Option<(usize, T)> {
    let place = random.below(from.len().max(1));
    let name = *from.keys().nth(place)?;
    from.remove_entry(&name)
}

#[test]
fn a_semaphore_serves_in_order_and_loses_no_token() {
    (0..SEEDS).for_each(|seed| {
        let mut random = Random(seed);
        let limit = 1 + random.below(4);
        SemaphoreRun::new(limit, seed).steps(&mut random);
    });
}

/// A semaphore in use, and the line as it should be.
struct SemaphoreRun {
    semaphore: DeferredSemaphore,
    limit: usize,
    seed: u64,
    /// Those who have their permit, in order of being served; then still here or gone again.
    served: Rc<RefCell<Vec<usize>>>,
    held: Rc<RefCell<BTreeMap<usize, Permit>>>,
    waiting: BTreeMap<usize, Deferred<()>>,
    line: VecDeque<usize>,
    expected: Vec<usize>,
    free: usize,
}

impl SemaphoreRun {
    fn new(limit: usize, seed: u64) -> SemaphoreRun {
        SemaphoreRun {
            semaphore: DeferredSemaphore::new(limit).expect("a limit above zero"),
            limit,
            seed,
            served: Rc::default(),
            held: Rc::default(),
            waiting: BTreeMap::new(),
            line: VecDeque::new(),
            expected: Vec::new(),
            free: limit,
        }
    }

    fn steps(mut self, random: &mut Random) {
        for name in 0..STEPS {
            match random.below(5) {
                0 | 1 => self.acquire(name),
                2 | 3 => self.release(random),
                _ => self.cancel(random),
            }
            self.check();
        }
        while !self.held.borrow().is_empty() {
            self.release(random);
        }
        self.check();
        assert_eq!(self.semaphore.tokens(), self.limit, "seed {}", self.seed);
    }

    fn acquire(&mut self, name: usize) {
        let (served, held) = (self.served.clone(), self.held.clone());
        let acquired = self.semaphore.acquire().map(move |permit| {
            served.borrow_mut().push(name);
            held.borrow_mut().insert(name, permit);
        });
        self.waiting.insert(name, acquired.add_errback(|_cancelled| ()));
        self.line.push_back(name);
        self.serve();
    }

    fn release(&mut self, random: &mut Random) {
        let picked = pick(random, &mut self.held.borrow_mut());
        if let Some((_name, permit)) = picked {
            permit.release();
            self.free += 1;
            self.serve();
        }
    }

    fn cancel(&mut self, random: &mut Random) {
        if let Some((name, acquired)) = pick(random, &mut self.waiting) {
            acquired.cancel();
            self.line.retain(|&other| other != name);
        }
    }

    /// What the semaphore should have done.
    fn serve(&mut self) {
        while self.free > 0 {
            let Some(name) = self.line.pop_front() else { return };
            self.free -= 1;
            self.expected.push(name);
        }
    }

    fn check(&self) {
        assert_eq!(*self.served.borrow(), self.expected, "seed {}", self.seed);
        assert_eq!(self.semaphore.tokens(), self.free, "seed {}", self.seed);
        assert_eq!(self.semaphore.waiting(), self.line.len(), "seed {}", self.seed);
        assert_eq!(self.held.borrow().len() + self.free, self.limit, "seed {}", self.seed);
    }
}

#[test]
fn a_queue_gives_each_value_once_and_in_order() {
    (0..SEEDS).for_each(|seed| {
        let mut random = Random(seed);
        let (size, backlog) = (random.below(4), 1 + random.below(4));
        let queue = DeferredQueue::new().with_size(size).with_backlog(backlog);
        let (mut values, mut getters) = (VecDeque::new(), VecDeque::new());
        let (got, mut expected) = (Rc::new(RefCell::new(Vec::new())), Vec::new());
        let mut waiting = BTreeMap::new();
        for step in 0..STEPS {
            match random.below(5) {
                0 | 1 => match getters.pop_front() {
                    Some(getter) => {
                        expected.push((getter, step));
                        queue.put(step).unwrap();
                    }
                    None if values.len() < size => {
                        values.push_back(step);
                        queue.put(step).unwrap();
                    }
                    None => assert_eq!(queue.put(step), Err(QueueOverflow(step))),
                },
                2 | 3 => {
                    let refused = values.is_empty() && getters.len() >= backlog;
                    match values.pop_front() {
                        Some(value) => expected.push((step, value)),
                        None if !refused => getters.push_back(step),
                        None => {}
                    }
                    waiting.insert(step, get(&queue, step, &got, refused));
                }
                _ => {
                    if let Some((getter, d)) = pick(&mut random, &mut waiting) {
                        d.cancel();
                        getters.retain(|&other| other != getter);
                    }
                }
            }
            assert_eq!(*got.borrow(), expected, "seed {seed}");
            assert_eq!(
                (queue.len(), queue.waiting()),
                (values.len(), getters.len()),
                "seed {seed}"
            );
        }
    });
}

type Got = Rc<RefCell<Vec<(usize, usize)>>>;

fn get(queue: &DeferredQueue<usize>, getter: usize, got: &Got, refused: bool) -> Deferred<()> {
    let (got, underflow) = (got.clone(), Rc::new(Cell::new(false)));
    let seen = underflow.clone();
    let d = queue.get().map(move |value| got.borrow_mut().push((getter, value)));
    let d = d.add_errback(move |failure| seen.set(failure.is::<QueueUnderflow>()));
    assert_eq!(underflow.get(), refused);
    d
}
