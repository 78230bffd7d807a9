//! Membership over gRPC: calls go out on connections of their own, a service takes
//! what comes in, and what happens is published. `swim-driver` runs the machine.

mod calls;
mod channels;
mod publishing;
mod service;
mod thread;

pub(crate) use calls::Calls;
pub(crate) use channels::Channels;
pub(crate) use publishing::{Audience, Publishing, reachable};
pub(crate) use service::MembershipService;
pub(crate) use thread::GossipThread;
