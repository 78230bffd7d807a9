//! How members reach each other.

use swim_core::wire::{self, pb};
use swim_core::{Body, Change, Message};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::mover::{Aim, plan};
use super::super::part::last_answer;
use super::super::reach::{Answers, Reach};
use super::super::service::read;
use super::super::*;
use super::world::World;
use super::{Bug, LIMIT};
use crate::generated::{AnnounceRequest, AnnounceResponse, CompareResponse};
use crate::limits::{ANNOUNCE_TIMEOUT, SWITCH_LEAD_MAX};
use crate::place::{OwnPlace, TakenPlace};

/// One member's way to the others.
pub(super) struct Way {
    world: Arc<World>,
    i: usize,
}

impl World {
    pub(super) fn way(self: &Arc<Self>, i: usize) -> Arc<Way> {
        Arc::new(Way { world: Arc::clone(self), i })
    }

    /// A planned move of a member, which must end in time.
    pub(super) async fn plan(self: &Arc<Self>, i: usize, aim: &Aim) {
        if self.places[i].planner.others().len() + 1 < self.alive().len() {
            self.all_known.store(false, Ordering::Relaxed);
        }
        let began = Clock::now();
        plan(&self.way(i), &self.places[i].planner, aim, 600 * LIMIT).await;
        let took = began.elapsed();
        let most = self.setup.limit() + 2 * ANNOUNCE_TIMEOUT + SWITCH_LEAD_MAX;
        self.must(took <= most, || format!("a move took {took:?} of {most:?}"));
    }

    /// What `change_weight` does.
    pub(super) async fn change_weight(self: &Arc<Self>, i: usize, weight: u32) {
        let _one_at_a_time = self.places[i].planner.own.lock().await;
        self.plan(i, &Aim { weight, successor: None }).await;
        if !self.is_dead(i) {
            self.change(i, |says| {
                says.next = None;
                says.waits = false;
                says.weight = weight;
            });
        }
    }
}

pub(super) struct Coming(mpsc::Receiver<AnnounceResponse>);

impl Answers for Coming {
    async fn next(&mut self) -> Option<AnnounceResponse> {
        self.0.recv().await
    }
}

fn ping(member: Member, other: Option<Member>) -> pb::Message {
    let (from, from_incarnation) = (member.address.clone(), member.incarnation);
    let changes = std::iter::once(member).chain(other);
    let changes = changes.map(|member| Change { member, source: None }).collect();
    let body = Body::Ping { checksum: 0, changes };
    wire::to_proto(Message { app: "sim".into(), from, from_incarnation, seq: 1, body })
}

impl Reach for Way {
    type Answers = Coming;

    async fn say(
        &self,
        plan: Option<NextWeight>,
        successor: Option<&Address>,
    ) -> Option<pb::Message> {
        if self.world.is_dead(self.i) {
            return None;
        }
        // The machine takes it in between other things.
        sleep(Duration::from_micros(self.world.draw(2_000))).await;
        let member = self.world.change(self.i, |says| says.next = plan);
        let successor = successor.filter(|_| self.world.setup.bug != Bug::TellsNoSuccessor);
        let views = &self.world.places[self.i].views;
        let successor = successor.and_then(|other| views.load().member(other.as_str()).cloned());
        Some(ping(member, successor))
    }

    async fn compare(&self, other: &Address) -> Option<CompareResponse> {
        let to = self.world.index(other.as_str());
        if !self.world.travel(self.i, to).await {
            std::future::pending::<()>().await;
        }
        let now_us = self.world.places[to].clocks.now_us();
        if !self.world.travel(to, self.i).await {
            return None;
        }
        Some(CompareResponse { received_us: now_us, answered_us: now_us })
    }

    async fn announce(&self, other: &Address, request: AnnounceRequest) -> Option<Coming> {
        let to = self.world.index(other.as_str());
        if !self.world.travel(self.i, to).await {
            std::future::pending::<()>().await;
        }
        let (message, plan) = read(request.ping).unwrap();
        let (world, place) = (Arc::clone(&self.world), &self.world.places[to]);
        if world.setup.bug != Bug::ComparesNoClocks {
            place.clocks.compare(&message.from, request.mover_ahead_us);
        }
        let mover = message.from.clone();
        for change in message.body.changes().iter() {
            world.hear(to, change.member.clone());
        }
        let limit = Duration::from_millis(request.limit_ms);
        let (mut first, ready) = place.planner.take_part(&mover, plan, limit);
        if world.setup.bug == Bug::LetsNobodyGoFirst {
            first.comes_first.clear();
        }
        let (tell, answers) = mpsc::channel(2);
        let from = self.i;
        tokio::spawn(async move {
            if !world.travel(to, from).await || tell.send(first).await.is_err() {
                return;
            }
            let Some(ready) = ready else { return };
            let last = tokio::select! {
                last = last_answer(ready) => last,
                () = tell.closed() => return,
            };
            if world.travel(to, from).await {
                let _ = tell.send(last).await;
            }
        });
        Some(Coming(answers))
    }

    async fn offer(&self, successor: &Address, place: &TakenPlace) -> Option<()> {
        let (world, to) = (&self.world, self.world.index(successor.as_str()));
        if !world.travel(self.i, to).await {
            std::future::pending::<()>().await;
        }
        let offered = world.places[to].planner.offered(place.from.as_str(), place.name.clone());
        let answer = offered.await.ok()?;
        if !world.travel(to, self.i).await {
            return None;
        }
        let message = wire::from_proto(answer).unwrap().message;
        for change in message.body.changes().iter() {
            world.hear(self.i, change.member.clone());
        }
        Some(())
    }

    async fn take(&self, mut place: TakenPlace) -> Option<pb::Message> {
        let stands_by = {
            let says = self.world.places[self.i].says.lock().unwrap();
            says.place == OwnPlace::StandsBy
        };
        if !stands_by || self.world.is_dead(self.i) {
            return None;
        }
        if self.world.setup.bug == Bug::DoesNotWaitForItsPlace {
            place.stamp = 0;
        }
        let member = self.world.change(self.i, |says| {
            says.place = OwnPlace::Taken(place);
            says.waits = false;
        });
        Some(ping(member, None))
    }
}
