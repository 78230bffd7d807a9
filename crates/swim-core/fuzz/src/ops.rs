//! What can happen to members, as data: small, typed, printable.
//!
//! Numbers stand for whatever there is at the moment: `pick: 7` is the seventh
//! message in flight, counted around. So every value means something, and a
//! sequence that fails can be shortened step by step and still runs.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Members of a world and what happens to them.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// One to three.
    pub members: u8,
    /// Whether they have joined each other before.
    pub joined: bool,
    /// Which of a few configurations they have.
    pub config: u8,
    pub ops: Vec<Op>,
}

/// Takes operations until the bytes are used up: the derived form would decide
/// after each by a coin whether another follows.
impl Arbitrary<'_> for Sequence {
    fn arbitrary(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let members = bytes.int_in_range(1..=3)?;
        let (joined, config) = (bytes.arbitrary()?, bytes.arbitrary()?);
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(bytes.arbitrary()?);
        }
        Ok(Self { members, joined, config, ops })
    }
}

/// One step. `member` is one of those that run, `from`, `about` and the like any
/// address: that of a member, or one where nobody listens.
#[derive(Clone, Debug, Arbitrary)]
pub enum Op {
    /// Time passes and nobody looks at the clock.
    Wait(Span),
    /// The clock of all members jumps back.
    Back(Span),
    /// A member does what is due.
    Timeout { member: u8 },
    /// Time passes until something is due at a member, and it does it.
    NextTimeout { member: u8 },

    /// A message in flight arrives.
    Deliver { pick: u8 },
    /// A message in flight arrives and will arrive again.
    Duplicate { pick: u8 },
    /// A message in flight is lost.
    Lose { pick: u8 },
    /// A message in flight is lost, and its sender learns of it.
    Undelivered { pick: u8 },
    /// A driver reports a number that was never used.
    UndeliveredNumber { member: u8, seq: u64 },
    /// A driver reports changes that could not be decoded.
    Malformed { member: u8, dropped: u8 },
    /// Anybody says anything to a member.
    Say { member: u8, from: u8, seq: u8, words: Words },
    /// The one whom a member asked answers, whatever it answers; or another does
    /// in its place, one time in four.
    Answer { pick: u8, impostor: u8, words: Words },

    /// The application wants something of a member; it may be refused.
    Command { member: u8, command: Command },
    /// The process ends without a word, and another begins at its address,
    /// with a wall clock that is off.
    Restart { member: u8, off: Span, behind: bool },
}

/// What an application may want. The bits of `peers` and `hosts` stand for
/// addresses.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Command {
    Join { peers: u8 },
    CancelJoin,
    Leave,
    EvictSelf,
    SetLabels { labels: u8 },
    Heal { hosts: u8 },
    Discovered { hosts: u8 },
    Reap { about: u8 },
    ReapFaulty,
    Pause,
    Resume,
    Tick,
    Reconfigure { config: u8 },
}

/// A length of time.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Span {
    Milliseconds(u8),
    /// Of 50 ms: what a probe takes.
    Twentieths(u8),
    Seconds(u8),
    /// Up to ten days: what it takes to be forgotten.
    Hours(u8),
}

/// An incarnation.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Version {
    /// What the receiver knows of the member, and so much more or less.
    Known(i8),
    /// The largest that all accept, however their clocks are off, and so much
    /// more or less.
    Bound(i8),
    Any(u64),
}

/// What a message says, besides who says it under which number.
#[derive(Clone, Debug, Arbitrary)]
pub struct Words {
    /// Another application, one time in sixteen.
    pub foreign: u8,
    pub incarnation: Version,
    pub body: Speech,
}

impl Words {
    pub fn is_reply(&self) -> bool {
        match self.body {
            Speech::Ping { .. }
            | Speech::PingReq { .. }
            | Speech::Join { .. }
            | Speech::Compare { .. }
            | Speech::Exchange { .. } => false,
            Speech::Ack { .. }
            | Speech::PingReqAck { .. }
            | Speech::JoinAck { .. }
            | Speech::SyncAck { .. }
            | Speech::Refused { .. } => true,
        }
    }
}

/// The body of a message.
#[derive(Clone, Debug, Arbitrary)]
pub enum Speech {
    Ping { off: u8, changes: ForgedChanges },
    Ack { changes: ForgedChanges },
    PingReq { target: u8, changes: ForgedChanges },
    PingReqAck { target: u8, reached: bool, pending: bool, changes: ForgedChanges },
    Join { cursor: Option<Position> },
    JoinAck { changes: ForgedChanges, next: Option<Position> },
    Compare { buckets: u8 },
    Exchange { buckets: u8, differing: Buckets, cursor: Option<Position>, changes: ForgedChanges },
    SyncAck { differing: Buckets, changes: ForgedChanges, next: Option<Position> },
    Refused { reason: u8 },
}

/// Up to three buckets, in any order.
pub type Buckets = [Option<u8>; 3];

/// Up to three changes.
pub type ForgedChanges = [Option<ForgedChange>; 3];

/// Something that is said about a member.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct ForgedChange {
    pub about: u8,
    pub status: u8,
    pub incarnation: Version,
    pub labels: u8,
    pub source: Option<u8>,
}

/// A position in a member list.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct Position {
    pub buckets: u8,
    pub bucket: u8,
    pub after: Option<u8>,
}
