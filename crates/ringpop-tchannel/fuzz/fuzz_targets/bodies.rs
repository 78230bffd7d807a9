//! Any bytes: reading them as JSON bodies never panics, what they say survives
//! the way out and in again, and no member chokes on it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ringpop_tchannel_fuzz::bodies::check(bytes);
});
