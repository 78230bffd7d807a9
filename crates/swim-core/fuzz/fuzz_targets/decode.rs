//! Any bytes: decoding them never panics, and what they decode to is a message
//! that survives the way out and in again and that no member chokes on.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| swim_core_fuzz::decode::check(bytes));
