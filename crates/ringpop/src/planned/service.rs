//! What other members tell this one of their moves.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt as _};
use swim_core::wire::{self, Decoded};
use swim_core::{Address, Body, Message};
use swim_driver::WeakHandle;
use tokio::time::Instant as Clock;
use tonic::{Request, Response, Status};

use super::part::last_answer;
use super::{Planner, count};
use crate::generated as proto;
use crate::generated::planned_moves_server::PlannedMoves;
use crate::limits::{HAND_OFF_CHUNK_BYTES_MAX, MOVER_SEEN_LIMIT};
use crate::security::Security;
use crate::weight::NextWeight;

/// The gRPC service of planned moves.
#[derive(Debug)]
pub(crate) struct PlannedMovesService {
    planner: Arc<Planner>,
    /// It does not keep the member running.
    member: WeakHandle,
    security: Security,
}

impl PlannedMovesService {
    pub(crate) const fn new(planner: Arc<Planner>, member: WeakHandle, security: Security) -> Self {
        Self { planner, member, security }
    }

    /// Has the machine take in what the mover says of itself, and waits until the view has it.
    async fn take_in(&self, message: Message, plan: NextWeight) -> Result<(), Status> {
        let mover = message.from.clone();
        let reply = self.member.request(message, 0).await;
        match reply.map(|reply| reply.body) {
            None => return Err(Status::unavailable("this member is stopping or overloaded")),
            Some(Body::Refused { reason }) => {
                return Err(Status::failed_precondition(reason.as_str()));
            }
            Some(_) => {}
        }
        // A newcomer is on the ring when this member has reached it.
        let deadline = Clock::now() + MOVER_SEEN_LIMIT;
        let is_seen = |view: &crate::view::View| {
            let member = view.member(mover.as_str()).filter(|member| member.is_reachable());
            member.is_some_and(|member| NextWeight::of(&member.labels) == Some(plan))
        };
        if self.planner.until(deadline, is_seen).await {
            return Ok(());
        }
        Err(Status::failed_precondition("this member does not see the mover, or sees another plan"))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<proto::AnnounceResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PlannedMoves for PlannedMovesService {
    async fn compare(
        &self,
        request: Request<proto::CompareRequest>,
    ) -> Result<Response<proto::CompareResponse>, Status> {
        let received_us = self.planner.clocks.now_us();
        self.security.admit(&request)?;
        let answered_us = self.planner.clocks.now_us();
        Ok(Response::new(proto::CompareResponse { received_us, answered_us }))
    }

    type AnnounceStream = Answers;

    async fn announce(
        &self,
        request: Request<proto::AnnounceRequest>,
    ) -> Result<Response<Answers>, Status> {
        self.security.admit(&request)?;
        let proto::AnnounceRequest { ping, limit_ms, mover_ahead_us } = request.into_inner();
        let (message, plan) = read(ping)?;
        let mover = message.from.clone();
        let planner = &self.planner;
        if mover == planner.local {
            return Err(Status::invalid_argument(
                "a member does not announce its own move to itself",
            ));
        }
        planner.clocks.compare(&mover, mover_ahead_us);
        self.take_in(message, plan).await?;
        let (first, ready) = planner.take_part(&mover, plan, Duration::from_millis(limit_ms));
        let rest = stream::iter(ready).then(async |ready| Ok(last_answer(ready).await));
        Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(rest))))
    }

    async fn take_place(
        &self,
        request: Request<proto::TakePlaceRequest>,
    ) -> Result<Response<proto::TakePlaceResponse>, Status> {
        self.security.admit(&request)?;
        let proto::TakePlaceRequest { leaver, place } = request.into_inner();
        let ping = self.planner.offered(&leaver, place).await?;
        Ok(Response::new(proto::TakePlaceResponse { ping: Some(ping) }))
    }

    async fn give(
        &self,
        request: Request<proto::GiveRequest>,
    ) -> Result<Response<proto::GiveResponse>, Status> {
        self.security.admit(&request)?;
        let proto::GiveRequest { mover, giver: _, chunk } = request.into_inner();
        let counts = &self.planner.counts;
        let taken = async {
            if chunk.len() > HAND_OFF_CHUNK_BYTES_MAX {
                return Err(Status::out_of_range(format!(
                    "a chunk has {} bytes, at most {HAND_OFF_CHUNK_BYTES_MAX} are allowed",
                    chunk.len()
                )));
            }
            let mover = Address::new(&mover);
            let mover = mover.map_err(|error| Status::invalid_argument(error.to_string()))?;
            let hook = self.planner.hook.as_ref();
            let hook = hook.ok_or_else(|| Status::aborted("this member has no hook for state"))?;
            let planned = self.planner.part_of(&mover);
            let planned =
                planned.ok_or_else(|| Status::unavailable("this member knows of no such move"))?;
            let bytes = chunk.len() as u64;
            let received = hook.receive(&planned, chunk).await;
            received.map_err(|error| Status::aborted(error.to_string()))?;
            Ok(bytes)
        };
        match taken.await {
            Ok(bytes) => {
                count(&counts.chunks_taken, 1);
                count(&counts.bytes_taken, bytes);
                Ok(Response::new(proto::GiveResponse {}))
            }
            Err(status) => {
                count(&counts.chunks_refused, 1);
                Err(status)
            }
        }
    }
}

/// What the mover says of itself.
pub(super) fn read(ping: Option<wire::pb::Message>) -> Result<(Message, NextWeight), Status> {
    let ping = ping.ok_or_else(|| Status::invalid_argument("the announcement has no ping"))?;
    let Decoded { message, .. } =
        wire::from_proto(ping).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if !matches!(message.body, Body::Ping { .. }) {
        return Err(Status::invalid_argument("the announcement is no ping"));
    }
    let own = message.body.changes().iter().find(|change| change.member.address == message.from);
    let plan = own.and_then(|change| NextWeight::of(&change.member.labels));
    let plan = plan.ok_or_else(|| Status::invalid_argument("the ping announces no plan"))?;
    Ok((message, plan))
}
