//! The fake members of the suite. They answer joins, pings and ping-reqs, never
//! speak by themselves, and can be told to be silent or to shut down.

use std::time::Duration;

use swim_core::{Address, Body, Change, Config, IDENTITY_LABEL, Labels, Member, Source, Status};

pub const APP: &str = "ringpop";
/// Incarnation of the fakes.
pub const INCARNATION: u64 = 1337;
/// Incarnation of the real member.
pub const REAL_INCARNATION: u64 = 1_414_142_122_274;

/// Numbers of fakes that a case runs with, from `least` on.
pub fn sizes(least: usize) -> impl Iterator<Item = usize> {
    [1, 2, 3, 5, 10, 30].into_iter().filter(move |n| *n >= least)
}

/// The settings with which the suite starts the real member.
pub fn config() -> Config {
    let period = Duration::from_secs(5);
    let builder = Config::ringpop().to_builder();
    builder
        .suspect_timeout(period)
        .faulty_timeout(period)
        .tombstone_timeout(period)
        .build()
        .unwrap()
}

pub fn real() -> Address {
    Address::new("127.0.0.1:3000").unwrap()
}

pub fn fake(i: usize) -> Address {
    Address::new(&format!("127.0.0.1:{}", 4000 + i)).unwrap()
}

/// An address at which nobody is.
pub fn nobody() -> Address {
    Address::new("192.0.2.100:1234").unwrap()
}

pub fn member(address: Address, status: Status, incarnation: u64) -> Member {
    Member::new(address, status, incarnation, Labels::default())
}

/// What fake `by` says about a member.
pub fn said(by: usize, member: Member) -> Change {
    Change { member, source: Some(Source { address: fake(by), incarnation: INCARNATION }) }
}

/// How a fake answers a ping-req.
#[derive(Clone, Copy, Debug)]
pub enum Helper {
    /// Whether the target, when it is a fake, answers pings.
    Honest,
    Reaches,
    Misses,
    Silent,
}

pub struct Fake {
    pub address: Address,
    /// A fake that is shut down refuses connections.
    pub up: bool,
    pub answers_pings: bool,
    /// What it says as a helper.
    pub helper: Helper,
    /// Answers to joins are kept until `release_joins`.
    pub holds_joins: bool,
    /// Its member list.
    pub list: Vec<Member>,
}

impl Fake {
    /// One that is well and knows nobody.
    pub fn new(i: usize) -> Self {
        Self {
            address: fake(i),
            up: true,
            answers_pings: true,
            helper: Helper::Honest,
            holds_joins: false,
            list: Vec::new(),
        }
    }

    /// What it answers to a request; `None` when it is silent.
    pub fn answer(&self, all: &[Self], request: &Body) -> Option<Body> {
        match request {
            Body::Ping { checksum, .. } => {
                self.answers_pings.then(|| Body::Ack { checksum: *checksum, changes: Vec::new() })
            }
            Body::PingReq { target, .. } => {
                let answers = |f: &Self| f.address == *target && f.up && f.answers_pings;
                let reached = match self.helper {
                    Helper::Honest => all.iter().any(answers),
                    Helper::Reaches => true,
                    Helper::Misses => false,
                    Helper::Silent => return None,
                };
                let (target, pending, changes) = (target.clone(), false, Vec::new());
                Some(Body::PingReqAck { target, reached, pending, changes })
            }
            Body::Join { .. } => {
                let source = Source { address: self.address.clone(), incarnation: INCARNATION };
                let source = Some(source);
                let members = self.list.iter().cloned();
                let changes =
                    members.map(|member| Change { member, source: source.clone() }).collect();
                Some(Body::JoinAck { checksum: 0, changes, next: None })
            }
            other => panic!("no implementation of Ringpop knows this request: {other:?}"),
        }
    }
}

/// Labels as pairs.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied()).unwrap()
}

/// Just the identity.
pub fn identified(identity: &str) -> Labels {
    labels(&[(IDENTITY_LABEL, identity)])
}
