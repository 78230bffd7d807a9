//! Evidence of life: what each message proves about its sender and its receiver.
//!
//! Of the sender:
//!
//! | message | proof |
//! |---|---|
//! | answer to a request of this member, in time or late | contact: each reached the other |
//! | member list from another address than was asked | it runs; its own address may be wrong |
//! | refusal: not ready, busy, invalid, clock | contact: it took a request and answered it |
//! | refusal: another application, own address | none: another process has the address |
//! | nack or answer of a helper | contact with the helper; its word about the target |
//! | request | it sends; others may not reach it |
//! | change that calls a member alive | none: a former belief of one member |
//!
//! Of the receiver: a ping, a ping-req or a sync proves that it is reached at the address
//! that it advertises.
//!
//! An answer counts only when its number and its sender are those of a request
//! of this member (`requests.rs`), which keeps a process from answering for another
//! by chance.

use crate::message::{Body, Refusal};

/// Whether a request shows that its sender reached this member at the address
/// that it advertises. A join goes to an address that discovery lists, which may be
/// an alias of the same process.
pub(crate) const fn reaches_receiver(body: &Body) -> bool {
    matches!(body, Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(_))
}

/// The proof that a message gives about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The member that was asked runs and answered: each reached the other.
    Contact,
    /// A process sends under this address, which may be unreachable.
    Sends,
    /// Nothing about the member at this address.
    Nothing,
}

/// The proof that a message gives about its sender, when it is a reply to a request
/// of this member.
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
