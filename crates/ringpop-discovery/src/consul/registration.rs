//! Registering a service of this process with the agent of its host.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Agent, refused};
use crate::http::{Client, escape};
use crate::limits::{ANSWER_TIMEOUT, CONSUL_DEREGISTER_AFTER, CONSUL_TTL, RETRY_MAX, RETRY_MIN};
use crate::{Address, DiscoveryError, Record};

/// What Consul is told of a service of this process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Service {
    /// Name of the service.
    pub name: String,
    /// Its id, unique on the node. It should stay the same over a restart.
    pub id: String,
    /// Where it is reached: an IP address, or a name that others can resolve.
    pub address: Address,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whatever else others should know, such as `zone`.
    pub meta: BTreeMap<String, String>,
    /// Its weight while it is ready.
    pub weight: u32,
}

impl Service {
    /// A service of weight 1 without tags.
    #[must_use]
    pub fn new(name: impl Into<String>, id: impl Into<String>, address: Address) -> Self {
        Self {
            name: name.into(),
            id: id.into(),
            address,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        }
    }

    /// The service of this name that a record describes: its labels and its zone become what others
    /// should know.
    #[must_use]
    pub fn of_record(name: impl Into<String>, record: Record) -> Self {
        let mut meta = record.labels;
        meta.extend(record.zone.map(|zone| ("zone".to_owned(), zone)));
        let service = Self::new(name, record.id, record.address);
        Self { meta, weight: record.weight, ..service }
    }
}

/// Keeps a service registered with an agent, with a check that follows its readiness.
///
/// The check has a time to live ([`CONSUL_TTL`]) that is renewed three times as often, and turns
/// critical when this process dies or hangs. A change of readiness is told at once. An agent that
/// was restarted and forgot the service is told again.
#[derive(Debug)]
pub struct Registration {
    client: Client,
    service: Service,
}

impl Registration {
    /// Registers `service` with `agent` when it is [run](Self::run).
    ///
    /// # Errors
    ///
    /// The name or the id is empty, or the weight is 0.
    pub fn new(agent: &Agent, service: Service) -> Result<Self, RegistrationError> {
        for (field, value) in [("name", &service.name), ("id", &service.id)] {
            if value.trim().is_empty() {
                return Err(RegistrationError::Empty { field });
            }
        }
        if service.weight == 0 {
            return Err(RegistrationError::Weight);
        }
        let client = agent.client(format!("Consul at {}", agent.0.endpoint));
        Ok(Self { client, service })
    }

    /// Keeps the service registered until `ready` is closed, then deregisters it. What fails is
    /// logged once, and tried again with pauses that double up to [`RETRY_MAX`].
    ///
    /// Dropping the future leaves the service registered: its check turns critical after
    /// [`CONSUL_TTL`], and Consul forgets it [`CONSUL_DEREGISTER_AFTER`] later.
    pub async fn run(self, mut ready: watch::Receiver<bool>) {
        let (mut is_registered, mut pause, mut failed) = (false, RETRY_MIN, false);
        loop {
            let is_ready = *ready.borrow_and_update();
            let told = async {
                if !is_registered {
                    self.register(is_ready).await?;
                }
                self.update(is_ready).await
            };
            let wait = match told.await {
                Ok(()) => {
                    if !is_registered {
                        self.tell_registered();
                    }
                    (is_registered, pause, failed) = (true, RETRY_MIN, false);
                    CONSUL_TTL / 3
                }
                Err(error) => {
                    if !failed {
                        tracing::warn!("{} is not registered: {error}", self.describe());
                    }
                    (is_registered, failed) = (false, true);
                    let wait = pause;
                    pause = (pause * 2).min(RETRY_MAX);
                    wait
                }
            };
            tokio::select! {
                changed = ready.changed() => if changed.is_err() {
                    return self.deregister().await;
                },
                () = sleep(wait) => {}
            }
        }
    }

    fn check_id(&self) -> String {
        format!("{}:ready", self.service.id)
    }

    async fn register(&self, is_ready: bool) -> Result<(), DiscoveryError> {
        let Service { name, id, address, tags, meta, weight } = &self.service;
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let body = json!({
            "Name": name,
            "ID": id,
            "Address": address.host(),
            "Port": address.port(),
            "Tags": tags,
            "Meta": meta,
            "Weights": { "Passing": weight, "Warning": weight },
            "Check": {
                "CheckID": self.check_id(),
                "Name": "readiness",
                "TTL": seconds(CONSUL_TTL),
                "Status": status(is_ready),
                "DeregisterCriticalServiceAfter": seconds(CONSUL_DEREGISTER_AFTER),
            },
        });
        let path = "/v1/agent/service/register?replace-existing-checks=true";
        self.put(path, body.to_string()).await
    }

    async fn update(&self, is_ready: bool) -> Result<(), DiscoveryError> {
        let path = format!("/v1/agent/check/update/{}", escape(&self.check_id()));
        self.put(&path, json!({ "Status": status(is_ready) }).to_string()).await
    }

    async fn deregister(&self) {
        let path = format!("/v1/agent/service/deregister/{}", escape(&self.service.id));
        if let Err(error) = self.put(&path, String::new()).await {
            let seconds = CONSUL_TTL.as_secs();
            tracing::warn!(
                "{} stays registered, and is critical within {seconds} s: {error}",
                self.describe()
            );
        }
    }

    fn tell_registered(&self) {
        tracing::info!("{} is registered with {}", self.describe(), self.client.origin);
    }

    /// The service, for people.
    fn describe(&self) -> String {
        format!("{:?} of the service {:?}", self.service.id, self.service.name)
    }

    async fn put(&self, path: &str, body: String) -> Result<(), DiscoveryError> {
        let answer = self.client.send(Method::PUT, path, body.into_bytes(), ANSWER_TIMEOUT).await?;
        match answer.status {
            200 => Ok(()),
            status => Err(refused(&self.client.origin, status)),
        }
    }
}

const fn status(is_ready: bool) -> &'static str {
    if is_ready { "passing" } else { "critical" }
}

/// Why a service cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The weight is 0, which Consul does not have.
    #[error(
        "the weight of the service is 0, and weights of Consul begin at 1: give it one, or do not register what owns no keys"
    )]
    Weight,
    /// The name or the id is empty.
    #[error("the {field} of the service is empty: give it one")]
    Empty {
        /// Which.
        field: &'static str,
    },
}
