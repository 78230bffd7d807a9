//! The published experiments, run again.

mod count;
pub mod lifeguard;
pub mod swim;
