//! The ring of a running member, laid out here from its members.

use std::sync::Arc;

use ringpop::admin_client::{GetRingRequest, GetRingResponse, RingShare};
use ringpop::forward::{Owner, Peer};
use ringpop::hashring::Node;
use ringpop::{MemberRing, PlacementChoice};

use crate::admin::{Admin, Client};
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::printable;

/// What a member says of its ring.
#[derive(Debug)]
pub(crate) struct LiveRing {
    pub(crate) placement: PlacementChoice,
    pub(crate) shares: Vec<RingShare>,
    pub(crate) checksum: u64,
}

impl LiveRing {
    /// Asks a member; `placement` is the one of its status.
    pub(crate) async fn ask(admin: &Admin, placement: &str) -> Result<Self, Failure> {
        let call = |mut client: Client, request| async move { client.get_ring(request).await };
        let ring = admin.ask(ANSWER_TIMEOUT, GetRingRequest {}, call).await?;
        let placement = placement.parse().map_err(|_| {
            Failure::failed(format!(
                "the members place keys by {:?}, which this version does not know: use the \
                 `ringpop` of their version",
                printable(placement)
            ))
        })?;
        let GetRingResponse { ring_checksum, members, .. } = ring;
        Ok(Self { placement, shares: members, checksum: ring_checksum })
    }

    /// The ring by itself, which is the one that the member has.
    pub(crate) fn lay_out(&self) -> Result<MemberRing, Failure> {
        let ring = lay_out(self.placement, self.shares.iter().map(entry))?;
        if ring.checksum() == self.checksum {
            return Ok(ring);
        }
        Err(Failure::failed(
            "the ring of the members cannot be laid out here: it changes at this moment, its \
             weights are capped, or its members have another version",
        ))
    }
}

/// Address, identity and weight of a member on the ring.
pub(crate) type Entry = (String, String, u32);

pub(crate) fn entry(share: &RingShare) -> Entry {
    (share.address.clone(), share.identity.clone(), share.weight)
}

/// The ring of these members.
pub(crate) fn lay_out(
    placement: PlacementChoice,
    members: impl IntoIterator<Item = Entry>,
) -> Result<MemberRing, Failure> {
    let node = |(address, identity, weight): Entry| {
        let peer = Peer::new(&address).map_err(Failure::failed)?;
        let node = Node::new(address).with_identity(identity).with_weight(weight);
        Ok(node.with_data(Owner::Remote(Arc::new(peer))))
    };
    let nodes = members.into_iter().map(node).collect::<Result<Vec<_>, Failure>>()?;
    MemberRing::of(placement, nodes).map_err(Failure::failed)
}
