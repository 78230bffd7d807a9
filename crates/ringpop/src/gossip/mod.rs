//! The membership machine on gRPC: one task drives it, calls go out on
//! connections of their own, and a service takes what comes in.

mod calls;
mod channels;
mod driver;
mod handle;
mod service;

pub(crate) use driver::{Driver, DriverSetup};
pub(crate) use handle::{Command, Handle, JoinProgress};
pub(crate) use service::MembershipService;
