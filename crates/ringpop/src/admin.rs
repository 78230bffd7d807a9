//! What an operator asks a running member.

use std::sync::{Arc, Weak};

use swim_core::wire::pb;
use swim_core::{Member, Status as MemberStatus};
use tonic::{Request, Response, Status};

use crate::counters::Counters;
use crate::generated as proto;
use crate::generated::admin_server::Admin;
use crate::inner::Inner;
use crate::limits::{LOOKUP_KEY_BYTES_MAX, LOOKUP_OWNERS_MAX};
use crate::view::View;

/// The gRPC service of administration. It reads only.
#[derive(Debug)]
pub(crate) struct AdminService(Weak<Inner>);

impl AdminService {
    pub(crate) const fn new(inner: Weak<Inner>) -> Self {
        Self(inner)
    }

    fn inner(&self) -> Result<Arc<Inner>, Status> {
        self.0.upgrade().ok_or_else(|| Status::unavailable("this member has stopped"))
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn get_status(
        &self,
        _request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        let inner = self.inner()?;
        let swim = inner.handle.with(|node, _| *node.stats()).await;
        let swim = swim.map_err(|_| Status::unavailable("this member is stopping"))?;
        let view = inner.views.load();
        let uptime = inner.start.elapsed().as_millis();
        Ok(Response::new(proto::GetStatusResponse {
            app: inner.app.clone(),
            address: inner.address.to_string(),
            state: inner.lifecycle.state().as_str().to_owned(),
            membership_checksum: view.membership_checksum,
            ring_checksum: view.ring_checksum,
            members: members(&view),
            uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
            counters: counters(&Counters::new(&inner, &swim)),
            problems: inner.problems.list().iter().map(ToString::to_string).collect(),
            instance: inner.instance,
            isolation: inner.isolation.borrow().as_str().to_owned(),
            placement: view.ring.placement().to_string(),
        }))
    }

    async fn lookup(
        &self,
        request: Request<proto::LookupRequest>,
    ) -> Result<Response<proto::LookupResponse>, Status> {
        let proto::LookupRequest { key, n } = request.into_inner();
        if key.len() > LOOKUP_KEY_BYTES_MAX {
            let bytes = key.len();
            return Err(Status::invalid_argument(format!(
                "key has {bytes} bytes, at most {LOOKUP_KEY_BYTES_MAX} are allowed"
            )));
        }
        let n = usize::try_from(n.max(1)).unwrap_or(LOOKUP_OWNERS_MAX).min(LOOKUP_OWNERS_MAX);
        let view = self.inner()?.views.load();
        let owners = view.lookup_n(&key, n).into_iter().map(str::to_owned).collect();
        Ok(Response::new(proto::LookupResponse { owners, ring_checksum: view.ring_checksum }))
    }
}

fn members(view: &View) -> Vec<proto::MemberStatus> {
    let shares = view.ring.shares();
    let mut on_ring = shares.iter().peekable();
    // Both are sorted by address.
    let entry = |member: &Member| {
        let share = on_ring.next_if(|share| share.node.id() == member.address.as_str());
        proto::MemberStatus {
            address: member.address.to_string(),
            identity: member.identity().to_owned(),
            status: status(member.status).into(),
            incarnation: member.incarnation,
            labels: member
                .labels
                .iter()
                .map(|(key, value)| pb::Label { key: key.into(), value: value.into() })
                .collect(),
            points: share.map_or(0, |share| share.points),
            share: share.map_or(0.0, |share| share.fraction),
            damped: view.damped.binary_search(&member.address).is_ok(),
            identity_owner: view
                .shared_identities
                .iter()
                .find(|shared| shared.others.binary_search(&member.address).is_ok())
                .map(|shared| shared.owner.to_string())
                .unwrap_or_default(),
        }
    };
    view.members.iter().map(entry).collect()
}

const fn status(status: MemberStatus) -> pb::Status {
    match status {
        MemberStatus::Alive => pb::Status::Alive,
        MemberStatus::Suspect => pb::Status::Suspect,
        MemberStatus::Faulty => pb::Status::Faulty,
        MemberStatus::Leave => pb::Status::Leave,
        MemberStatus::Tombstone => pb::Status::Tombstone,
    }
}

fn counters(counters: &Counters) -> Vec<proto::Counter> {
    let counter = |(name, value): (&str, u64)| proto::Counter { name: name.to_owned(), value };
    counters.iter().map(counter).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swim_core::{Address, Labels};

    use super::*;
    use crate::view::{OnRing, Publisher, Views};

    #[test]
    fn a_damped_member_is_alive_and_owns_nothing() {
        let address = |i: u32| Address::new(&format!("10.0.0.{i}:7100")).expect("it is one");
        let member = |i| Member::new(address(i), MemberStatus::Alive, 1, Labels::default());
        let views = Views::new(address(1)).expect("nobody is within all bounds");
        let views = Arc::new(views);
        let changes = [1, 2].map(|i| (address(i), Some(member(i)))).to_vec();
        Publisher::new(Arc::clone(&views))
            .publish(changes, [address(2)].into(), 1, OnRing::Reachable)
            .expect("two members fit on a ring");
        let told: Vec<_> = members(&views.load())
            .iter()
            .map(|member| (member.status(), member.share, member.damped))
            .collect();
        assert_eq!(told, [(pb::Status::Alive, 1.0, false), (pb::Status::Alive, 0.0, true)]);
    }
}
