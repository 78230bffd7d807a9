//! The endpoints for operators, as `ringpop-admin` and the cross-language suite
//! use them.

mod report;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swim_core::{Node, State};
use swim_driver::{Handle, Hosts, Stopped};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::body::{error, json};
use crate::channel::Answer;
use crate::commands::{self, Healed};
use crate::counters::Counters;
use crate::frame::ErrorCode;
use crate::limits::HEAL_TIME_MAX;
use crate::transport::Findings;
use crate::view::View;

#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) handle: Handle,
    pub(crate) hosts: Hosts,
    pub(crate) views: watch::Receiver<Arc<View>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) findings: Arc<Findings>,
    pub(crate) start: Instant,
}

#[derive(Deserialize)]
struct LookupRequest {
    key: String,
}

#[derive(Serialize)]
struct LookupAnswer<'a> {
    dest: &'a str,
}

#[derive(Serialize)]
struct StatusAnswer {
    status: &'static str,
}

#[derive(Serialize)]
struct ReapAnswer {
    status: &'static str,
    reaped: usize,
}

#[derive(Serialize)]
struct TickAnswer {
    checksum: u64,
}

#[derive(Serialize)]
struct HealAnswer<'a> {
    targets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Admin {
    /// Serves an endpoint; `None` when there is none of this name.
    pub(crate) async fn serve(&self, endpoint: &[u8], body: &[u8]) -> Option<Answer> {
        Some(match endpoint {
            b"/health" => self.health().await,
            b"/admin/stats" => self.stats().await,
            b"/admin/lookup" => self.lookup(body),
            b"/admin/gossip/start" => self.act(Node::resume).await,
            b"/admin/gossip/stop" => self.act(Node::pause).await,
            b"/admin/gossip/tick" | b"/admin/tick" => self.tick().await,
            b"/admin/member/leave" | b"/admin/leave" => self.leave().await,
            b"/admin/member/join" | b"/admin/join" => self.rejoin().await,
            b"/admin/reap" => self.reap().await,
            b"/admin/healpartition/disco" => self.heal().await,
            _ => return None,
        })
    }

    /// Well once it has joined: before that its ring is not the cluster's.
    async fn health(&self) -> Answer {
        match self.handle.with(|node, _| node.state()).await {
            Ok(State::Idle | State::Joining) => {
                failure("ringpop.health", "this member has not joined yet")
            }
            Ok(State::Ready | State::Leaving | State::Left) => ok("ok"),
            Err(Stopped) => ended(),
        }
    }

    fn lookup(&self, body: &[u8]) -> Answer {
        let request: LookupRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return Answer::Refused(ErrorCode::BadRequest, error.to_string()),
        };
        let view = self.views.borrow().clone();
        match view.lookup(request.key.as_bytes()) {
            Some(dest) => ok(&LookupAnswer { dest }),
            None => failure("ringpop.lookup", "could not find destination for key"),
        }
    }

    async fn act(&self, act: fn(&mut Node, swim_core::Instant)) -> Answer {
        match self.handle.with(act).await {
            Ok(()) => ok(&StatusAnswer { status: "ok" }),
            Err(Stopped) => ended(),
        }
    }

    async fn tick(&self) -> Answer {
        let ticked = self.handle.with(|node, now| {
            node.tick(now);
            node.checksum()
        });
        ticked.await.map_or_else(|Stopped| ended(), |checksum| ok(&TickAnswer { checksum }))
    }

    async fn leave(&self) -> Answer {
        match self.handle.with(Node::leave).await {
            Ok(Ok(())) => ok(&StatusAnswer { status: "ok" }),
            Ok(Err(error)) => failure("ringpop.invalid-leave", &error.to_string()),
            Err(Stopped) => ended(),
        }
    }

    async fn rejoin(&self) -> Answer {
        match commands::rejoin(&self.handle).await {
            Ok(()) => ok(&StatusAnswer { status: "rejoined" }),
            Err(error) => failure("ringpop.invalid-rejoin", &error.to_string()),
        }
    }

    async fn reap(&self) -> Answer {
        match self.handle.with(Node::reap_faulty).await {
            Ok(reaped) => ok(&ReapAnswer { status: "ok", reaped }),
            Err(Stopped) => ended(),
        }
    }

    async fn heal(&self) -> Answer {
        match timeout(HEAL_TIME_MAX, commands::heal(&self.handle, &self.hosts)).await {
            Ok(Some(Healed::Contacted(targets))) => {
                let targets = targets.iter().map(swim_core::Address::as_str).collect();
                ok(&HealAnswer { targets, error: None })
            }
            Ok(Some(Healed::Failed(error))) => {
                ok(&HealAnswer { targets: Vec::new(), error: Some(&error) })
            }
            Ok(None) => ended(),
            Err(_elapsed) => failure("ringpop.heal", "the healing is still under way"),
        }
    }

    async fn stats(&self) -> Answer {
        let period = self.handle.with(|node, _| node.protocol_period()).await;
        let Ok(period) = period else { return ended() };
        let timings = self.findings.timings();
        let view = self.views.borrow().clone();
        let counters = self.counters.snapshot();
        ok(&report::report(&view, &counters, period, &timings, self.start.elapsed()))
    }
}

fn ok(value: &(impl Serialize + ?Sized)) -> Answer {
    Answer::Ok(json(value).into())
}

/// An error of the application.
fn failure(kind: &str, message: &str) -> Answer {
    Answer::Error(error(kind, message).into())
}

/// The task that owns the machine has ended: the process is about to.
fn ended() -> Answer {
    Answer::Refused(ErrorCode::Declined, "this member is shutting down".to_owned())
}
