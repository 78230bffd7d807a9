//! Feature `health`: the standard health service of gRPC, for load balancers and for probes of
//! Kubernetes.
//!
//! It answers for the server as a whole, which the protocol names by the empty string: SERVING
//! while the member is ready. A member that has not joined, or leaves, that the others cannot
//! reach, or that its health check keeps off the ring, forwards what it gets, but new work should
//! go elsewhere.

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as Service, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use crate::state::State;

/// The name of the server as a whole.
const WHOLE: &str = "";

/// Keeps the health service in step with the life of the member.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    state: watch::Receiver<State>,
    unfit: watch::Receiver<bool>,
}

impl Health {
    /// The service, and what keeps it in step.
    pub(crate) fn new(
        state: watch::Receiver<State>,
        unfit: watch::Receiver<bool>,
    ) -> (Self, HealthServer<impl Service>) {
        let (reporter, service) = health_reporter();
        (Self { reporter, state, unfit }, service)
    }

    /// Serves by `serving`, and has the service tell the truth from before it begins.
    pub(crate) async fn beside<T>(mut self, serving: impl Future<Output = T>) -> T {
        self.report(ServingStatus::NotServing).await;
        tokio::select! {
            end = serving => end,
            never = self.follow() => never,
        }
    }

    /// Reports each change, and never ends.
    async fn follow<T>(&mut self) -> T {
        let mut reported = false;
        loop {
            let ready = *self.state.borrow_and_update() == State::Ready;
            let serves = ready && !*self.unfit.borrow_and_update();
            if serves != reported {
                let status =
                    if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.report(status).await;
                reported = serves;
            }
            let changed = tokio::select! {
                changed = self.state.changed() => changed,
                changed = self.unfit.changed() => changed,
            };
            if changed.is_err() {
                // The member is gone, and its server ends.
                return std::future::pending().await;
            }
        }
    }

    async fn report(&mut self, status: ServingStatus) {
        self.reporter.set_service_status(WHOLE, status).await;
    }

    /// Ends the streams of those who watch, which would hold up the end of the server.
    pub(crate) async fn end_watches(mut self) {
        self.reporter.clear_service_status(WHOLE).await;
    }
}
