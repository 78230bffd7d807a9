//! A Consul agent, with storage of its own, as the store.

use ringpop::ConsulLeases;
use ringpop::discovery::consul::Agent;
use serde_json::Value;
use tempfile::TempDir;

use crate::runs_all::runs_all;
use crate::scenarios::{self, Server};
use crate::support::{ConsulAgent, is_installed};

struct Consul {
    agent: ConsulAgent,
    _storage: TempDir,
}

pub(crate) fn store(url: &str) -> ConsulLeases {
    ConsulLeases::new(&Agent::new(url).unwrap(), "leases/rides")
}

impl Server for Consul {
    type Store = ConsulLeases;

    async fn start() -> Option<Self> {
        if !is_installed("consul") {
            return None;
        }
        let storage = tempfile::tempdir().unwrap();
        let mut agent = ConsulAgent::new();
        agent.storage = Some(storage.path().to_owned());
        agent.start().await;
        Some(Self { agent, _storage: storage })
    }

    fn store(&self) -> ConsulLeases {
        store(&self.agent.url())
    }

    fn name(&self) -> String {
        format!("consul {}", self.agent.url())
    }

    fn stop(&mut self) {
        self.agent.stop();
    }

    async fn start_again(&mut self) {
        self.agent.start().await;
    }

    fn signal(&self, signal: &str) {
        self.agent.process.as_ref().unwrap().signal(signal);
    }

    async fn end_sessions(&self) {
        let answer = self.agent.ask("GET", "/v1/session/list", "").await;
        let (_, list) = answer.split_once("\r\n\r\n").unwrap();
        let sessions: Vec<Value> = serde_json::from_str(list).unwrap();
        assert!(!sessions.is_empty());
        for session in sessions {
            let path = format!("/v1/session/destroy/{}", session["ID"].as_str().unwrap());
            assert!(self.agent.ask("PUT", &path, "").await.starts_with("HTTP/1.0 200"));
        }
    }
}

#[tokio::test]
async fn leases_are_granted_renewed_and_given_back() {
    scenarios::granted_renewed_and_given_back::<Consul>().await;
}

#[tokio::test]
async fn a_session_that_an_operator_destroys_is_lost_loudly() {
    scenarios::sessions_that_an_operator_ends::<Consul>().await;
}

#[tokio::test]
async fn two_members_that_do_not_see_each_other_never_hold_a_slot_at_a_time() {
    scenarios::two_members_contend::<Consul>().await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_grants_again_at_once() {
    scenarios::killed_and_back::<Consul>().await;
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_leases_in_time() {
    scenarios::hangs_and_goes_on::<Consul>().await;
}

/// Consul ends a session after up to twice its time, which is 10 s at least.
#[tokio::test]
async fn a_paused_process_finds_out_and_its_late_writes_are_refused() {
    if !runs_all("a process that is paused until Consul ends its session") {
        return;
    }
    scenarios::a_paused_process::<Consul>().await;
}

#[tokio::test]
async fn a_restart_within_the_time_of_a_lease_costs_nothing() {
    if !runs_all("a restart of Consul within the time of a lease") {
        return;
    }
    scenarios::a_short_restart::<Consul>().await;
}
