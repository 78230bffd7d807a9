//! Any bytes as a direct request: it is refused, or its handler gets keys that are keys.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ringpop_forward_fuzz::direct::check(bytes);
});
