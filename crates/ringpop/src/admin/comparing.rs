//! The latest comparison of checksums, and the connections that it takes.

use swim_core::Address;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::transport::Channel;

use crate::generated as proto;
use crate::generated::admin_client::AdminClient;
use crate::gossip::Channels;
use crate::limits::{CHECKSUM_ANSWER_LIMIT, CHECKSUM_CHANNELS_MAX};
use crate::security::Security;

/// The latest comparison, and the connections that it takes.
#[derive(Debug)]
pub(crate) struct Comparing {
    /// Held while members are asked: all that want to know wait for the same answers.
    pub(super) latest: tokio::sync::Mutex<Option<Compared>>,
    /// Those of gossip. Only its own runtime may open them.
    gossip: Channels,
    /// To members that gossip has no connection to.
    own: Channels,
}

#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) at: Instant,
    pub(super) groups: Vec<proto::ChecksumGroup>,
    pub(super) unreached: Vec<proto::Unreached>,
}

/// The checksums of a member, or why there are none.
pub(super) type Answer = Result<proto::GetChecksumsResponse, String>;

impl Comparing {
    pub(crate) fn new(security: Security, gossip: Channels) -> Self {
        let own = Channels::new(security, CHECKSUM_CHANNELS_MAX);
        Self { latest: tokio::sync::Mutex::new(None), gossip, own }
    }

    /// Whether gossip has a connection to a member: a question then opens none.
    pub(crate) fn is_connected(&self, address: &Address) -> bool {
        self.gossip.has(address)
    }

    /// Asks one member until `deadline`.
    pub(crate) async fn ask(&self, address: &Address, deadline: Instant) -> Answer {
        let channel = self.gossip.kept(address).or_else(|| self.own.get(address, None, true));
        let channel = channel.ok_or_else(|| "no URL can name it".to_owned())?;
        let limit = deadline.min(Instant::now() + CHECKSUM_ANSWER_LIMIT);
        match timeout_at(limit, get(channel)).await {
            Ok(Ok(checksums)) => Ok(checksums),
            Ok(Err(status)) => Err(reason(&status)),
            Err(_) => Err("it did not answer in time".to_owned()),
        }
    }
}

async fn get(channel: Channel) -> Result<proto::GetChecksumsResponse, Status> {
    let question = proto::GetChecksumsRequest {};
    Ok(AdminClient::new(channel).get_checksums(question).await?.into_inner())
}

fn reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => ringpop_forward::explain_failure(cause),
        None if status.code() == tonic::Code::Unimplemented => {
            "it runs an earlier version, which does not tell its checksum".to_owned()
        }
        None => status.message().to_owned(),
    }
}
