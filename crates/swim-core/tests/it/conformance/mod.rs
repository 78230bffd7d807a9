//! The cases of Ringpop's cross-language suite (`ringpop-common`), under
//! `Config::ringpop()`. `docs/conformance.md` maps each title to its test.

mod admin;
mod clusters;
mod fakes;
mod full_sync;
mod healing;
mod identity;
mod join;
mod labels;
mod lookup;
mod piggyback;
mod ping;
mod ping_req;
mod reaping;
mod reincarnation;
mod self_eviction;
mod status_changes;
mod suite;
mod units;
