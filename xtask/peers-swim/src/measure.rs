//! Measuring: CPU time of a piece of work, in interleaved rounds, and allocations.

use std::time::Duration;

use cpu_time::ProcessTime;

/// Rounds of every timed case.
const ROUNDS: usize = 7;

/// CPU time of the work, in nanoseconds. CPU time rather than wall time: what other processes
/// take from this one does not count. The counting of allocations is off meanwhile.
pub(crate) fn cpu_ns(work: impl FnOnce()) -> f64 {
    let mut elapsed = Duration::ZERO;
    allocation_counter::opt_out(|| {
        let start = ProcessTime::now();
        work();
        elapsed = start.elapsed();
    });
    elapsed.as_nanos() as f64
}

/// A piece of work that measures itself.
pub(crate) type Work<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// The least of several rounds of each piece of work.
///
/// They take turns, so that a change in what else the machine does meets all that are compared.
/// The least, because everything that disturbs a computation can only make it longer.
pub(crate) fn best_of<const N: usize>(mut works: [Work<'_>; N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for (best, work) in best.iter_mut().zip(&mut works) {
            *best = best.min(work());
        }
    }
    best
}

/// Number of allocations in a piece of work.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// Bytes on the heap that a piece of work leaves behind, as they were asked for.
pub(crate) fn bytes_kept<T>(make: impl FnOnce() -> T) -> (T, u64) {
    let mut made = None;
    let info = allocation_counter::measure(|| made = Some(make()));
    let made = made.expect("the work was done");
    (made, info.bytes_current.max(0) as u64)
}

/// The value at a share of a sorted list.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    sorted[((last as f64 * share).round() as usize).min(last)]
}
