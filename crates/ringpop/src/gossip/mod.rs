//! The membership machine on gRPC: one task drives it, calls go out on
//! connections of their own, and a service takes what comes in.

mod calls;
mod driver;
mod service;

pub(crate) use driver::{Command, Driver, DriverSetup, Handle, JoinProgress};
pub(crate) use service::MembershipService;
