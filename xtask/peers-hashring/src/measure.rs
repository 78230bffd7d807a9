//! Timing that survives a shared machine: subjects take turns, and the best run of each counts.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use twox_hash::XxHash3_64;

/// A subject gives the nanoseconds of one operation, averaged over a short run.
pub type Subject<'a> = (&'a str, Box<dyn FnMut() -> f64 + 'a>);

/// How long a subject runs in one turn. Its first runs load its memory into the caches, which the
/// subject before has filled with its own; the later ones are what counts, because only the best
/// does.
const TURN: Duration = Duration::from_millis(50);

/// The best time of every subject over `rounds` turns, in their order. They take turns, so that
/// what else the machine does hits all of them.
pub fn interleaved(rounds: usize, subjects: &mut [Subject<'_>]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; subjects.len()];
    for _ in 0..rounds {
        for (best, (_, subject)) in best.iter_mut().zip(subjects.iter_mut()) {
            let start = Instant::now();
            while start.elapsed() < TURN {
                *best = best.min(subject());
            }
        }
    }
    best
}

/// Runs `operation` on every input and gives the nanoseconds of one.
#[inline(always)]
pub fn per_input<T: Copy>(inputs: &[T], mut operation: impl FnMut(T) -> u64) -> f64 {
    let mut sum = 0_u64;
    let start = Instant::now();
    for input in inputs {
        sum = sum.wrapping_add(operation(*input));
    }
    let elapsed = start.elapsed();
    black_box(sum);
    elapsed.as_nanos() as f64 / inputs.len() as f64
}

/// Runs `operation` once and gives its nanoseconds, the drop of its result included.
pub fn once<T>(mut operation: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    drop(black_box(operation()));
    start.elapsed().as_nanos() as f64
}

/// A well-mixed number.
pub fn mixed(number: u64) -> u64 {
    XxHash3_64::oneshot(&number.to_le_bytes())
}

/// Windows of a long list, one after the other, so that each turn sees other inputs.
pub struct Windows<'a, T> {
    all: &'a [T],
    next: usize,
    size: usize,
}

impl<'a, T> Windows<'a, T> {
    pub fn new(all: &'a [T], size: usize) -> Self {
        Self { all, next: 0, size: size.min(all.len()) }
    }

    pub fn turn(&mut self) -> &'a [T] {
        if self.next + self.size > self.all.len() {
            self.next = 0;
        }
        self.next += self.size;
        &self.all[self.next - self.size..self.next]
    }
}
