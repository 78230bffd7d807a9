//! A run as text, one line for each thing that happens.

use std::fmt::{self, Display, Write as _};
use std::io;

use swim_core::{Body, Change, Event, Member, Message, SyncStep};

use crate::machine::HostId;
use crate::swim::{Packet, Swim};
use crate::time::{Nanos, seconds};
use crate::watch::{Fate, Input, Watcher};

/// What every trace begins with.
pub const LEGEND: &str = "\
# seconds  host  what
#   h3 < ping 17 from h5 [...]   host 3 takes a message with number 17 and these changes
#   h3 > h5 ack 17 [...]         host 3 sends one; (lost) and the like tell when it does not arrive
#   h3 . ...                     host 3 does what is due, gets a command, or reports an event
#   ! ...                        something is done to a host or to the network
# changes: address=status@incarnation
";

/// Writes a trace.
#[derive(Debug)]
pub struct Trace<O> {
    out: O,
    line: String,
    /// The first failure to write; what follows is dropped.
    error: Option<io::Error>,
}

impl<O: io::Write> Trace<O> {
    /// Begins a trace.
    pub fn new(mut out: O) -> Self {
        let error = out.write_all(LEGEND.as_bytes()).err();
        Self { out, line: String::new(), error }
    }

    /// Ends the trace and gives what it was written to.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    pub fn finish(mut self) -> io::Result<O> {
        self.out.flush()?;
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.out),
        }
    }

    fn write(&mut self, at: Nanos, text: fmt::Arguments<'_>) {
        if self.error.is_some() {
            return;
        }
        self.line.clear();
        // Writing to a text cannot fail.
        let _ = writeln!(self.line, "{:>12.6}  {text}", seconds(at));
        self.error = self.out.write_all(self.line.as_bytes()).err();
    }
}

impl<O: io::Write> Watcher<Swim> for Trace<O> {
    fn started(&mut self, at: Nanos, host: HostId, machine: &Swim) {
        let node = machine.node();
        let (local, members) = (Of(node.local()), node.len());
        self.write(at, format_args!("h{host} . begins as {local}, knows {members} members"));
    }

    fn stopped(&mut self, at: Nanos, host: HostId) {
        self.write(at, format_args!("h{host} . ends"));
    }

    fn input(&mut self, at: Nanos, host: HostId, input: &Input<'_, Packet>, _: &Swim) {
        match input {
            Input::Packet(message) => {
                self.write(at, format_args!("h{host} < {} from {}", Says(message), message.from));
            }
            Input::Bytes(bytes) => {
                self.write(at, format_args!("h{host} < {} damaged bytes", bytes.len()));
            }
            Input::Undelivered(message) => {
                self.write(at, format_args!("h{host} < not delivered: {}", Says(message)));
            }
            Input::Timeout => {}
            Input::Command(command) => self.write(at, format_args!("h{host} . {command:?}")),
        }
    }

    fn event(&mut self, at: Nanos, host: HostId, event: &Event, _: &Swim) {
        match event {
            Event::MemberChanged { before, after, cause, .. } => {
                let (before, after) = (Maybe(before.as_ref()), Maybe(after.as_ref()));
                self.write(at, format_args!("h{host} . {before} -> {after} by {cause:?}"));
            }
            Event::Refuted { member, incarnation, .. } => {
                let member = Of(member);
                self.write(at, format_args!("h{host} . refutes {member} with {incarnation}"));
            }
            event => self.write(at, format_args!("h{host} . {event:?}")),
        }
    }

    fn sent(&mut self, at: Nanos, from: HostId, to: Option<HostId>, message: &Packet, fate: Fate) {
        let says = Says(message);
        let fate = match fate {
            Fate::Sent => "",
            Fate::Lost => " (lost)",
            Fate::TooLarge => " (too large)",
            Fate::Nowhere => " (no such address)",
            Fate::Held => " (waits)",
        };
        match to {
            Some(to) => self.write(at, format_args!("h{from} > h{to} {says}{fate}")),
            None => self.write(at, format_args!("h{from} > nobody {says}{fate}")),
        }
    }

    fn fault(&mut self, at: Nanos, what: &dyn Display) {
        self.write(at, format_args!("! {what}"));
    }
}

struct Of<'a>(&'a Member);

impl Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Member { address, status, incarnation, labels, .. } = self.0;
        write!(f, "{address}={status}@{incarnation}")?;
        if labels.is_empty() { Ok(()) } else { write!(f, "{labels:?}") }
    }
}

struct Maybe<'a>(Option<&'a Member>);

impl Display for Maybe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(member) => Of(member).fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// A message in one line.
struct Says<'a>(&'a Message);

impl Display for Says<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { seq, body, .. } = self.0;
        match body {
            Body::Ping { checksum, changes } => {
                write!(f, "ping {seq} {checksum:016x} {}", List(changes))
            }
            Body::Ack { checksum, changes } => {
                write!(f, "ack {seq} {checksum:016x} {}", List(changes))
            }
            Body::PingReq { target, changes, .. } => {
                write!(f, "ping-req {seq} of {target} {}", List(changes))
            }
            Body::PingReqAck { target, reached, pending, changes } => {
                let pending = if *pending { ", pending" } else { "" };
                let list = List(changes);
                write!(f, "ping-req-ack {seq} of {target} reached={reached}{pending} {list}")
            }
            Body::Join { cursor, .. } => write!(f, "join {seq} {cursor:?}"),
            Body::JoinAck { changes, next, .. } => {
                write!(f, "join-ack {seq} {} next={next:?}", List(changes))
            }
            Body::Sync(SyncStep::Compare { digests }) => {
                write!(f, "sync {seq} of {} digests", digests.len())
            }
            Body::Sync(SyncStep::Exchange { differing, changes, cursor, .. }) => {
                write!(f, "sync {seq} of buckets {differing:?} {} {cursor:?}", List(changes))
            }
            Body::SyncAck { differing, changes, next, .. } => {
                write!(f, "sync-ack {seq} of buckets {differing:?} {} {next:?}", List(changes))
            }
            Body::Refused { reason } => write!(f, "refused {seq}: {}", reason.as_str()),
        }
    }
}

struct List<'a>(&'a [Change]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, change) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            Of(&change.member).fmt(f)?;
        }
        f.write_str("]")
    }
}
