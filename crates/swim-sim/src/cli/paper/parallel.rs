//! Many runs on all processors.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Carries out all runs, the last one first, and gives their results in order. Runs take very
/// different times: each thread takes the next one when it is done with another.
pub(super) fn on_all_processors<T: Sync, R: Send>(
    what: &str,
    runs: &[T],
    carry_out: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let (left, done) = (AtomicUsize::new(runs.len()), AtomicUsize::new(0));
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    let work = || {
        let mut results = Vec::new();
        while let Ok(number) = take() {
            let run = number - 1;
            results.push((run, carry_out(&runs[run])));
            report(what, 1 + done.fetch_add(1, Ordering::Relaxed), runs.len());
        }
        results
    };
    let mut results = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().map(|thread| thread.join().expect("runs do not panic"));
        results.flatten().collect::<Vec<_>>()
    });
    results.sort_unstable_by_key(|(run, _)| *run);
    results.into_iter().map(|(_, result)| result).collect()
}

/// One line that changes where somebody looks on, and ten lines otherwise.
fn report(what: &str, done: usize, all: usize) {
    if stderr().is_terminal() {
        let end = if done == all { '\n' } else { '\r' };
        eprint!("{what}: {done} of {all} runs{end}");
    } else if done * 10 / all > (done - 1) * 10 / all {
        eprintln!("{what}: {done} of {all} runs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_runs() {
        let runs: Vec<u32> = (0..100).collect();
        assert_eq!(on_all_processors("squares", &runs, |n| n * n)[9], 81);
        assert!(on_all_processors("nothing", &runs[..0], |n| *n).is_empty());
    }
}
