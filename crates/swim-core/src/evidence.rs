//! Which message is evidence of whose life: the one place that says so.
//!
//! | message | sender | evidence |
//! |---|---|---|
//! | answer to a request of this member, in time or late | who was asked | contact: each reached the other |
//! | member list from another address than was asked | a member | none: it runs; whether its own address leads to it, nobody knows |
//! | refusal: not ready, busy, invalid, clock | who was asked | contact: it took a request and answered it |
//! | refusal: another application, own address | who was asked | none: a process that is not the member has its address |
//! | nack or answer of a helper | the helper | contact with the helper; what it says about the target is the helper's word |
//! | request: ping, ping-req, join, sync | anybody | it sends; whether others reach it, nobody knows |
//! | request: ping, ping-req, sync | anybody | of the receiver: it is reached at the address that it advertises |
//! | statement that a member is alive | anybody | none: it says what somebody believed once |
//!
//! An answer counts only when its number and its sender are those of a request
//! of this member (`requests.rs`), so that no process answers for another by
//! chance.

use crate::message::{Body, Refusal};

/// Whether a request shows that its sender reached this member at the address
/// that it advertises. A join is sent to what discovery lists, which may be
/// another address of the same process.
pub(crate) const fn reaches_receiver(body: &Body) -> bool {
    matches!(body, Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(_))
}

/// What a message proves about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The member that was asked runs and answered: each reached the other.
    Contact,
    /// Somebody sends under this address. It may be one that nobody can reach.
    Sends,
    /// Nothing about the member at this address.
    Nothing,
}

/// What a message proves about its sender, when it is a reply to a request of
/// this member.
pub(crate) const fn evidence(body: &Body) -> Evidence {
    match body {
        Body::Ack { .. }
        | Body::PingReqAck { .. }
        | Body::JoinAck { .. }
        | Body::SyncAck { .. } => Evidence::Contact,
        Body::Refused { reason } => match reason {
            Refusal::NotReady | Refusal::Busy | Refusal::Invalid | Refusal::ClockAhead => {
                Evidence::Contact
            }
            Refusal::AppMismatch | Refusal::SelfAddress => Evidence::Nothing,
        },
        Body::Ping { .. } | Body::PingReq { .. } | Body::Join { .. } | Body::Sync(_) => {
            Evidence::Sends
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_member_itself_proves_its_life() {
        let refused = |reason| evidence(&Body::Refused { reason });
        assert_eq!(refused(Refusal::NotReady), Evidence::Contact);
        assert_eq!(refused(Refusal::Busy), Evidence::Contact);
        assert_eq!(refused(Refusal::Invalid), Evidence::Contact);
        assert_eq!(refused(Refusal::AppMismatch), Evidence::Nothing);
        assert_eq!(refused(Refusal::SelfAddress), Evidence::Nothing);
        assert_eq!(evidence(&Body::Join { cursor: None, nonce: 0 }), Evidence::Sends);
        assert_eq!(evidence(&Body::Ping { checksum: 0, changes: vec![] }), Evidence::Sends);
        assert_eq!(evidence(&Body::Ack { checksum: 0, changes: vec![] }), Evidence::Contact);
    }
}
