//! Feature `consul`: the instances of a service in Consul, and registration there.
//!
//! The agent is asked by its HTTP API: `/v1/health/service` with blocking queries: a change arrives
//! within milliseconds. The rules for the index are those of Consul's documentation of blocking
//! queries: an index that goes backwards or is zero is forgotten.

mod answer;
mod registration;
mod sessions;

use std::path::PathBuf;

use hyper::Method;
use tokio::time::{Instant, sleep_until};

use crate::http::{Client, Server, TokenHeader, escape};
use crate::limits::{ANSWER_TIMEOUT, CONSUL_WAIT, QUESTION_GAP};
use crate::{DiscoveryError, PeersFuture, Record, Source};

pub use registration::{Registration, RegistrationError, Service};
pub use sessions::{Locked, Sessions};

/// The address of the agent on each host.
pub const DEFAULT_AGENT: &str = "http://127.0.0.1:8500";

const DEFAULT_PORT: u16 = 8500;

/// How an agent is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent(Server);

impl Agent {
    /// The agent at a URL such as [`DEFAULT_AGENT`].
    ///
    /// # Errors
    ///
    /// The text is no `http://host:port` and no `https://host:port`.
    pub fn new(url: &str) -> Result<Self, AgentError> {
        let server = Server::parse(url, DEFAULT_PORT);
        Ok(Self(server.ok_or_else(|| AgentError { url: url.to_owned() })?))
    }

    /// The file with the ACL token, which is read anew for each request. Default: no token.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.token_file = Some(path.into());
        self
    }

    /// The file with the certificates, in PEM, of the authorities that may vouch for the agent; an
    /// agent that is reached by `https` needs it. It is read anew for each connection.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.ca_file = Some(path.into());
        self
    }

    fn client(&self, origin: String) -> Client {
        Client { server: self.0.clone(), origin, token_header: TokenHeader::Consul }
    }
}

/// Why an agent cannot be reached by a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no URL of a Consul agent: write it as in {DEFAULT_AGENT}")]
#[non_exhaustive]
pub struct AgentError {
    /// The refused text.
    pub url: String,
}

/// The instances of a service in Consul.
///
/// | of an instance | becomes |
/// |---|---|
/// | `Service.Address`, or `Node.Address` where that is empty, and `Service.Port` | the address |
/// | the name of its node and its service id, `node/id`: ids are unique on one node only | the id |
/// | all checks passing or warning | healthy; one critical check, maintenance among them, is not |
/// | `Weights.Passing` or, when a check warns, `Weights.Warning` | the weight |
/// | `Service.Meta` | labels |
/// | `Service.Tags` | the label `tags`, separated by commas |
/// | `Service.Locality.Zone`, `zone` in the meta of the service or else of the node | the zone |
///
/// An instance whose address or port cannot be used is left out and logged.
#[derive(Debug, Clone)]
pub struct Consul {
    client: Client,
    /// Path and query, without the index.
    path: String,
    id: ConsulId,
    index: u64,
    asked: Option<Instant>,
}

/// Which id an instance of Consul gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsulId {
    /// `node/id`, which is unique in a data centre.
    #[default]
    NodeAndService,
    /// The service id alone, for services whose ids are unique by themselves and come back on other
    /// nodes.
    Service,
}

impl Consul {
    /// The instances of `service`.
    #[must_use]
    pub fn new(agent: &Agent, service: &str) -> Self {
        Self {
            client: agent
                .client(format!("the service {service:?} of Consul at {}", agent.0.endpoint)),
            path: format!("/v1/health/service/{}?wait={}s", escape(service), CONSUL_WAIT.as_secs()),
            id: ConsulId::default(),
            index: 0,
            asked: None,
        }
    }

    /// Only instances with this tag. Given again, only those with all of the tags.
    #[must_use]
    pub fn tag(self, tag: &str) -> Self {
        self.parameter("tag", tag)
    }

    /// The instances in another data centre.
    #[must_use]
    pub fn datacenter(self, datacenter: &str) -> Self {
        self.parameter("dc", datacenter)
    }

    /// The instances in a namespace of Consul Enterprise.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        self.parameter("ns", namespace)
    }

    /// Which id an instance gets.
    #[must_use]
    pub const fn id(mut self, id: ConsulId) -> Self {
        self.id = id;
        self
    }

    fn parameter(mut self, name: &str, value: &str) -> Self {
        self.path.push_str(&format!("&{name}={}", escape(value)));
        self
    }

    async fn ask(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        if let Some(asked) = self.asked {
            sleep_until(asked + QUESTION_GAP).await;
        }
        self.asked = Some(Instant::now());
        // A question without an index is answered at once; others wait, up to a sixteenth longer.
        let (path, limit) = match self.index {
            0 => (self.path.clone(), ANSWER_TIMEOUT),
            index => {
                let limit = CONSUL_WAIT + CONSUL_WAIT / 16 + ANSWER_TIMEOUT;
                (format!("{}&index={index}", self.path), limit)
            }
        };
        let before = std::mem::take(&mut self.index);
        let answer = self.client.send(Method::GET, &path, Vec::new(), limit).await?;
        if answer.status != 200 {
            return Err(refused(&self.client.origin, answer.status));
        }
        let records = answer::records(&answer.body, self.id);
        let records = records.map_err(|error| self.client.malformed(&error))?;
        let index = answer.headers.get("x-consul-index");
        let index = index.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        self.index = next_index(before, index);
        Ok(records)
    }
}

/// The index to ask with, after an answer with `index` to a question with `before`.
const fn next_index(before: u64, index: u64) -> u64 {
    if index < before { 0 } else { index }
}

/// What to do about a status.
fn refused(origin: &str, status: u16) -> DiscoveryError {
    let advice = match status {
        400 => {
            "the agent does not take what was sent; see its log, and note that keys of labels have letters, digits, - and _ only"
        }
        401 | 403 => {
            "give a token whose policy has service:read of the service and node:read, service:write to register, or session:write and key:write for leases"
        }
        404 => "check the address of the agent and the names of the service and its data centre",
        429 => "the agent limits how often it is asked; raise the limit or ask another agent",
        500..=599 => "see the log of the agent; it may have no leader",
        _ => "check the address of the agent",
    };
    DiscoveryError::Refused { origin: origin.to_owned(), status, advice }
}

impl Source for Consul {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(self.ask())
    }

    fn origin(&self) -> String {
        self.client.origin.clone()
    }
}

#[cfg(test)]
mod tests;
