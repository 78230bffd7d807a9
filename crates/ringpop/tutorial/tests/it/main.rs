//! The tutorial does what it says, and every code block of the pages is checked.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

mod bridge;
mod cluster;
mod docs;
mod page;
mod pages;
mod reflection;
