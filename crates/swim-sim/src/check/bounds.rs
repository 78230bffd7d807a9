//! Everything that a process holds or sends is bounded.
//!
//! Source: `swim_core::limits` and `docs/protocol.md`, *Bounds*; SWIM's claim
//! that its load does not grow with the cluster.

use swim_core::limits::{BUCKETS_MAX, CHANGES_PER_MESSAGE_MAX, HELPERS_MAX, RELAYS_MAX};
use swim_core::{Body, Change, Config, Node, SyncStep};

use super::{Check, Verdict, require};
use crate::machine::HostId;
use crate::swim::Packet;
use crate::watch::Input;

/// Bytes of a message that are not changes: header, cursor, digests and the
/// list of buckets that differ.
const HEADER_BYTES_MAX: usize = 1024 + 512;

/// Changes that need not fit the budget: tombstones for one who has not heard.
const REPLY_TOMBSTONES_MAX: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Bounds;

/// Timers that a process may have armed.
fn timers_max(config: &Config, members: usize) -> usize {
    // A member that nobody answers asks as many helpers as may be.
    let of_probe = 2 + HELPERS_MAX;
    let of_join = config.join_size() * config.join_parallelism() + 2;
    let others = 16;
    members
        + of_probe * config.probes_max()
        + 2 * RELAYS_MAX
        + 2 * config.sync_jobs_max()
        + config.leave_pings_max()
        + of_join
        + others
}

impl Check for Bounds {
    fn name(&self) -> &'static str {
        "everything is bounded"
    }

    fn settled(&mut self, _: HostId, node: &Node) -> Verdict {
        let (config, address) = (node.config(), &node.local().address);
        require(node.len() <= config.members_max(), address, || {
            format!("it holds {} members", node.len())
        })?;
        require(node.pending_changes() <= node.len(), address, || {
            format!("it spreads {} changes about {} members", node.pending_changes(), node.len())
        })?;
        require(node.pending_timers() <= timers_max(config, node.len()), address, || {
            format!("{} timers are armed", node.pending_timers())
        })
    }

    fn input(&mut self, _: HostId, input: &Input<'_, Packet>, node: &Node) -> Verdict {
        // All processes have the settings of the one that receives.
        let Input::Packet(message) = input else { return Ok(()) };
        let changes = message.body.changes();
        require(changes.len() <= CHANGES_PER_MESSAGE_MAX, &message.from, || {
            format!("it sent {} changes in one message", changes.len())
        })?;
        let bytes: usize = changes.iter().map(Change::encoded_len).sum();
        let budget = node.config().message_bytes_max();
        let few = changes.len() <= REPLY_TOMBSTONES_MAX;
        require(bytes <= budget || few, &message.from, || {
            format!("it sent {bytes} bytes of changes in one message")
        })?;
        let rest = swim_core::wire::encoded_len(message) - bytes;
        require(rest <= HEADER_BYTES_MAX, &message.from, || {
            format!("it sent {rest} bytes besides changes in one message")
        })?;
        match &message.body {
            Body::Sync(SyncStep::Compare { digests }) => {
                require(digests.len() <= BUCKETS_MAX, &message.from, || "too many digests".into())
            }
            _ => Ok(()),
        }
    }
}
