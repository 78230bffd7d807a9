//! `ringpop gossip`: whether a member probes others.

use std::fmt;

use ringpop::admin_client::{ControlGossipRequest, GossipAction};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::{GossipArgs, GossipWord};
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, checksum};

pub(super) async fn run(args: GossipArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let action = match args.word {
        GossipWord::Status => None,
        GossipWord::Stop => Some(GossipAction::Stop),
        GossipWord::Start => Some(GossipAction::Start),
        GossipWord::Tick => Some(GossipAction::Tick),
    };
    let mut probed = None;
    if let Some(action) = action {
        let call =
            |mut client: Client, request| async move { client.control_gossip(request).await };
        let request = ControlGossipRequest { action: action.into() };
        let answer = admin.ask(ANSWER_TIMEOUT, request, call).await?;
        probed = (action == GossipAction::Tick).then_some(answer.probed);
    }
    let status = admin.status().await?;
    Output::new(args.target.json).emit(&Gossip {
        gossip: if status.gossip_stopped { "stopped" } else { "started" },
        membership_checksum: checksum(status.membership_checksum),
        probed,
    });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Gossip {
    gossip: &'static str,
    membership_checksum: String,
    /// Of a tick: whether there was a member to probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    probed: Option<bool>,
}

impl fmt::Display for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.probed {
            Some(true) => f.write_str("one member was probed; ")?,
            Some(false) => f.write_str("there is no member to probe; ")?,
            None => {}
        }
        write!(f, "gossip is {}, membership checksum {}", self.gossip, self.membership_checksum)
    }
}
