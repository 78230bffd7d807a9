//! Any bytes: reading them as frames never panics, and what they say survives
//! the way out and in again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ringpop_tchannel_fuzz::frames::check(bytes);
});
