//! Any request, any owners, any answers: the layer answers every call, and sends none again that
//! must not run twice.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ringpop_forward_fuzz::call::check(bytes);
});
