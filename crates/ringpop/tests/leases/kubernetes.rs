//! The API server of Kubernetes as the store, which serves leases as a custom resource of the
//! schema of the built-in ones.

use ringpop::KubernetesLeases;
use ringpop::discovery::kubernetes::ApiServer as Api;
use serde_json::{Value, json};

use crate::api_server::{ApiServer, Resource};
use crate::runs_all::runs_all;
use crate::scenarios::{self, Server};

struct Kubernetes(ApiServer);

fn leases() -> Resource {
    let time = json!({ "type": "string", "format": "date-time" });
    let number = |least: u32| json!({ "type": "integer", "format": "int32", "minimum": least });
    let spec = json!({
        "type": "object",
        "properties": {
            "holderIdentity": { "type": "string" },
            "leaseDurationSeconds": number(1),
            "leaseTransitions": number(0),
            "acquireTime": time,
            "renewTime": time,
        },
    });
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    Resource { group: "coordination.k8s.io", kind: "Lease", plural: "leases", schema }
}

pub(crate) fn store(url: &str) -> KubernetesLeases {
    KubernetesLeases::new(&Api::new(url).unwrap(), "shop", "rides")
}

impl Server for Kubernetes {
    type Store = KubernetesLeases;

    async fn start() -> Option<Self> {
        ApiServer::start_with(&leases()).await.map(Self)
    }

    fn store(&self) -> KubernetesLeases {
        store(&self.0.url())
    }

    fn name(&self) -> String {
        format!("kubernetes {}", self.0.url())
    }

    fn stop(&mut self) {
        self.0.stop();
    }

    async fn start_again(&mut self) {
        self.0.start_server().await;
    }

    fn signal(&self, signal: &str) {
        self.0.process.as_ref().unwrap().signal(signal);
    }

    async fn end_sessions(&self) {
        let path = leases().path();
        let (status, list) = self.0.ask("GET", &path, "").await;
        assert_eq!(status, 200, "{list}");
        let list: Value = serde_json::from_str(&list).unwrap();
        let names = list["items"].as_array().unwrap().iter();
        let names = names.map(|lease| lease["metadata"]["name"].as_str().unwrap());
        let sessions: Vec<&str> = names.filter(|name| name.contains("-session-")).collect();
        assert!(!sessions.is_empty());
        for session in sessions {
            let (status, answer) = self.0.ask("DELETE", &format!("{path}/{session}"), "").await;
            assert_eq!(status, 200, "{answer}");
        }
    }
}

#[tokio::test]
async fn leases_are_granted_renewed_and_given_back() {
    scenarios::granted_renewed_and_given_back::<Kubernetes>().await;
}

#[tokio::test]
async fn a_session_that_an_operator_deletes_is_lost_loudly() {
    scenarios::sessions_that_an_operator_ends::<Kubernetes>().await;
}

#[tokio::test]
async fn two_members_that_do_not_see_each_other_never_hold_a_slot_at_a_time() {
    scenarios::two_members_contend::<Kubernetes>().await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_grants_again_at_once() {
    scenarios::killed_and_back::<Kubernetes>().await;
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_leases_in_time() {
    scenarios::hangs_and_goes_on::<Kubernetes>().await;
}

#[tokio::test]
async fn a_paused_process_finds_out_and_its_late_writes_are_refused() {
    scenarios::a_paused_process::<Kubernetes>().await;
}

#[tokio::test]
async fn a_restart_within_the_time_of_a_lease_costs_nothing() {
    if !runs_all("a restart of the API server within the time of a lease") {
        return;
    }
    scenarios::a_short_restart::<Kubernetes>().await;
}
