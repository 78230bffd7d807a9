//! `ringpop events`: events of a member as they happen.

use std::fmt;

use ringpop::admin_client::{self, Event, WatchEventsRequest, WatchEventsResponse};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use crate::admin::{Admin, Client};
use crate::args::EventsArgs;
use crate::cluster::status_name;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, checksum, printable};

pub(super) async fn run(args: EventsArgs) -> Result<(), Failure> {
    match args.duration {
        None => follow(&args).await,
        // The time that was wanted is over: that is how it should end.
        Some(duration) => timeout(duration, follow(&args)).await.unwrap_or(Ok(())),
    }
}

async fn follow(args: &EventsArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let call = |mut client: Client, request| async move { client.watch_events(request).await };
    let mut events = admin.ask(ANSWER_TIMEOUT, WatchEventsRequest {}, call).await?;
    let output = Output::new(args.target.json);
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        match events.message().await {
            Ok(Some(event)) => {
                if let Some(line) = Line::new(event) {
                    if !output.emit(&line) {
                        return Ok(());
                    }
                    shown += 1;
                }
            }
            Ok(None) => return ended(args).await,
            Err(status) => return Err(Failure::Failed(admin.explain(&status))),
        }
    }
    Ok(())
}

/// The member stops. A caller that wants events for a time waits until that time is over.
async fn ended(args: &EventsArgs) -> Result<(), Failure> {
    if let Some(duration) = args.duration {
        sleep(duration).await;
    }
    match args.count {
        Some(count) => Err(Failure::Failed(format!(
            "{} stops and tells no more events, {count} were wanted",
            args.target.address
        ))),
        None => Ok(()),
    }
}

/// An event in one line.
#[derive(Debug, Serialize)]
struct Line {
    unix_ms: u64,
    event: String,
    #[serde(flatten)]
    told: Told,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Member {
        address: String,
        identity: String,
        before: &'static str,
        after: &'static str,
        incarnation: u64,
        source: String,
        cause: String,
        from: String,
    },
    Ring {
        added: Vec<String>,
        removed: Vec<String>,
        updated: Vec<String>,
        checksum: String,
    },
    State {
        state: String,
    },
    Text {
        text: String,
    },
    Missed {
        events: u64,
    },
}

impl Line {
    /// `None` for an event of a later version.
    fn new(event: WatchEventsResponse) -> Option<Self> {
        let WatchEventsResponse { unix_ms, event } = event;
        let (event, told) = match event? {
            Event::MemberChanged(change) => ("member".to_owned(), member(change)),
            Event::RingChanged(change) => ("ring".to_owned(), ring(change)),
            Event::State(state) => ("state".to_owned(), Told::State { state }),
            Event::Problem(problem) => {
                let event = if problem.began { "problem" } else { "over" };
                (event.to_owned(), Told::Text { text: problem.text })
            }
            Event::Missed(events) => ("missed".to_owned(), Told::Missed { events }),
            Event::Membership(event) => (event.name, Told::Text { text: event.text }),
            Event::IdentityShared(shared) => {
                let (identity, owner) = (shared.identity, shared.owner);
                let others = shared.others.join(" ");
                let text = format!("{identity} belongs to {owner} and is claimed by {others}");
                ("identity".to_owned(), Told::Text { text })
            }
            Event::OffRing(change) => {
                ("off-ring".to_owned(), Told::Text { text: off_ring(change) })
            }
        };
        Some(Self { unix_ms, event, told })
    }
}

fn off_ring(change: admin_client::OffRingChanged) -> String {
    let address = change.address;
    match change.off_ring {
        Some(off) if off.by.is_empty() => format!("{address} is off the ring: {}", off.reason),
        Some(off) => format!("{address} is off the ring: {} by {}", off.reason, off.by),
        None => format!("nothing keeps {address} off the ring"),
    }
}

fn member(change: admin_client::MemberChanged) -> Told {
    Told::Member {
        address: change.address,
        identity: change.identity,
        before: status_name(change.before),
        after: status_name(change.after),
        incarnation: change.incarnation,
        source: change.source,
        cause: change.cause,
        from: change.from,
    }
}

fn ring(change: admin_client::RingChanged) -> Told {
    Told::Ring {
        added: change.added,
        removed: change.removed,
        updated: change.updated,
        checksum: checksum(change.checksum_after),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<12} {}", clock(self.unix_ms), printable(&self.event), self.told)
    }
}

/// The time of day, UTC.
fn clock(unix_ms: u64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_or_else(
        |_| unix_ms.to_string(),
        |at| {
            let (hour, minute, second) = at.to_hms();
            format!("{hour:02}:{minute:02}:{second:02}.{:03}", at.millisecond())
        },
    )
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { address, before, after, incarnation, source, cause, from, .. } => {
                let address = printable(address);
                write!(f, "{address} {before} -> {after}, incarnation {incarnation}, {cause}")?;
                if !source.is_empty() {
                    write!(f, " by {}", printable(source))?;
                }
                if !from.is_empty() && from != source {
                    write!(f, " via {}", printable(from))?;
                }
                Ok(())
            }
            Self::Ring { added, removed, updated, checksum } => {
                for (sign, addresses) in [('+', added), ('-', removed), ('~', updated)] {
                    for address in addresses {
                        write!(f, "{sign}{} ", printable(address))?;
                    }
                }
                write!(f, "checksum {checksum}")
            }
            Self::State { state } => f.write_str(&printable(state)),
            Self::Text { text } => f.write_str(&printable(text)),
            Self::Missed { events } => write!(f, "{events} events: they came too fast"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_time() {
        let change = admin_client::MemberChanged {
            address: "b:1\u{1b}".to_owned(),
            before: admin_client::Status::Alive.into(),
            after: admin_client::Status::Suspect.into(),
            incarnation: 7,
            source: "c:1".to_owned(),
            cause: "gossip".to_owned(),
            from: "d:1".to_owned(),
            ..admin_client::MemberChanged::default()
        };
        let event = Some(Event::MemberChanged(change));
        let line = Line::new(WatchEventsResponse { unix_ms: 1_700_000_000_123, event }).unwrap();
        assert_eq!(
            line.to_string(),
            "22:13:20.123  member       b:1\\u{1b} alive -> suspect, incarnation 7, gossip by c:1 via d:1"
        );
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!((&json["event"], &json["after"]), (&"member".into(), &"suspect".into()));
    }
}
