//! What follows from the health check of the application.

use std::sync::Weak;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Ringpop;
use crate::clock::unix_ms;
use crate::health_check::{HealthCheck, Outcome, Standing};
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::problem::{Problem, ProblemKind};
use crate::state::State;

/// Checks until the member begins to stop.
pub(super) async fn attend(check: HealthCheck, member: Weak<Inner>) {
    let mut standing = Standing::default();
    let mut unanswered: Option<JoinHandle<Outcome>> = None;
    loop {
        let outcome = check.ask(&mut unanswered).await;
        let Some(inner) = member.upgrade() else { return };
        let member_now = Ringpop(inner);
        if member_now.state() >= State::Draining {
            return;
        }
        member_now.0.own_stats.health_checks.count(&outcome);
        let is_healthy = standing.after(outcome.is_ok(), &check);
        member_now.follow(is_healthy, outcome).await;
        drop(member_now);
        sleep(check.pause()).await;
    }
}

impl Ringpop {
    /// Says how the health of this member is, when it says something else so far, and tells people
    /// why.
    async fn follow(&self, is_healthy: bool, outcome: Outcome) {
        let is_told_healthy = self.0.labels.lock().await.standing.unhealthy_since.is_none();
        if is_healthy != is_told_healthy {
            let change = |own: &mut OwnLabels| {
                own.standing.unhealthy_since = (!is_healthy).then(unix_ms);
                Ok(())
            };
            if let Err(error) = self.update_labels(change).await {
                // It is tried again after the next check.
                tracing::warn!(member = self.whoami(), %error, "the health is not told");
                return;
            }
        }
        match outcome {
            _ if is_healthy => self.0.problems.end(ProblemKind::Health),
            Err(reason) => self.0.problems.begin(Problem::Unhealthy { reason }),
            Ok(()) => {}
        }
    }
}
