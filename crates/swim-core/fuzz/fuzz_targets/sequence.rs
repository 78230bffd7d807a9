//! Any sequence of operations on one to three members: none panics, and every
//! invariant holds after each step.

#![no_main]

use libfuzzer_sys::fuzz_target;
use swim_core_fuzz::ops::Sequence;

fuzz_target!(|sequence: Sequence| swim_core_fuzz::world::run(&sequence));
