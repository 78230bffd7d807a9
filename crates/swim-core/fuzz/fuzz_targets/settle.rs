//! Any sequence of operations on two or three members, and then a fair network:
//! they come to agree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use swim_core_fuzz::ops::Sequence;

fuzz_target!(|sequence: Sequence| swim_core_fuzz::settle::run(&sequence));
