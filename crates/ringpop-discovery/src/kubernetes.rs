//! Feature `kubernetes`: the endpoints of a service of Kubernetes, by its endpoint slices.
//!
//! The API server is asked directly, `list` and then `watch` with the resource version of the list:
//! two requests and five types do not need a client library of 150 packages.

mod leases;
mod slices;

use std::io;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::{Client, Server, Stream, TokenHeader, escape};
use crate::limits::{
    ANSWER_TIMEOUT, EVENT_BYTES_MAX, KUBERNETES_PAGE, KUBERNETES_WATCH, QUESTION_GAP,
};
use crate::{DiscoveryError, PeersFuture, Record, Source};

pub use leases::{Leases, Locked};
use slices::{Slice, Slices};

const DEFAULT_PORT: u16 = 443;
/// Where each pod has what it needs to ask the API server.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How an API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer(Server);

impl ApiServer {
    /// The API server of the cluster in which this process is a pod, with the token and the
    /// authority of its service account.
    ///
    /// # Errors
    ///
    /// The environment has no `KUBERNETES_SERVICE_HOST`: this process is no pod.
    pub fn of_this_pod() -> Result<Self, ApiServerError> {
        let variable = |name| std::env::var(name).ok();
        let host = variable("KUBERNETES_SERVICE_HOST").ok_or(ApiServerError::NoPod)?;
        let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let account = Path::new(ACCOUNT);
        let server = Self::new(&format!("https://{host}:{port}"))?;
        Ok(server.token_file(account.join("token")).ca_file(account.join("ca.crt")))
    }

    /// The API server at a URL such as `http://127.0.0.1:8001`, where `kubectl proxy` listens.
    ///
    /// # Errors
    ///
    /// The text is no `http://host:port` and no `https://host:port`.
    pub fn new(url: &str) -> Result<Self, ApiServerError> {
        let server = Server::parse(url, DEFAULT_PORT);
        Ok(Self(server.ok_or_else(|| ApiServerError::Url { url: url.to_owned() })?))
    }

    /// The file with the bearer token, which is read anew for each request. Default: no token.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.token_file = Some(path.into());
        self
    }

    /// The file with the certificates, in PEM, of the authorities that may vouch for the server;
    /// one that is reached by `https` needs it.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.ca_file = Some(path.into());
        self
    }
}

/// Why an API server cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiServerError {
    /// This process is no pod.
    #[error(
        "KUBERNETES_SERVICE_HOST is not set, so that this process is no pod: give the API server, as in api=http://127.0.0.1:8001 with kubectl proxy"
    )]
    NoPod,
    /// The text is no URL.
    #[error("{url:?} is no URL of an API server: write it as in http://127.0.0.1:8001")]
    Url {
        /// The refused text.
        url: String,
    },
}

/// The namespace of the pod in which this process runs.
///
/// # Errors
///
/// This process is no pod, or its service account is not mounted.
pub fn namespace_of_this_pod() -> io::Result<String> {
    Ok(std::fs::read_to_string(Path::new(ACCOUNT).join("namespace"))?.trim().to_owned())
}

/// The family of addresses that is used of endpoints that have both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// IPv4 where an endpoint has it.
    #[default]
    Ipv4,
    /// IPv6 where an endpoint has it.
    Ipv6,
}

/// Which port of an endpoint is used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Port {
    /// The only one that the endpoint slices have.
    Only,
    /// The one of this name.
    Name(String),
    /// This one, whatever the endpoint slices have.
    Number(u16),
}

/// The endpoints of a service of Kubernetes.
///
/// | of an endpoint | becomes |
/// |---|---|
/// | its first address, and the port that is asked for | the address |
/// | the name of its target, a pod, or its address where it has none | the id |
/// | `ready`, and no answer counts as yes | healthy |
/// | `serving` and `terminating`, while no endpoint at all is ready | healthy, as kube-proxy does |
/// | `terminating` | the label `terminating` |
/// | `zone` | the zone |
/// | `nodeName` | the label `node` |
///
/// An endpoint that several slices list counts once, and so does one that has addresses of both
/// families.
#[derive(Debug)]
pub struct Kubernetes {
    client: Client,
    /// Path and query of both the list and the watch.
    path: String,
    slices: Slices,
    /// The resource version up to which the slices are known; `None`: they must be listed.
    version: Option<String>,
    watch: Option<Watch>,
    /// The feed was told of a failure, and has to be told that it is over.
    has_failed: bool,
    asked: Option<Instant>,
}

/// A watch that is open.
#[derive(Debug)]
struct Watch {
    stream: Stream,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    until: Instant,
}

impl Kubernetes {
    /// The endpoints of `service` in `namespace`.
    #[must_use]
    pub fn new(server: &ApiServer, namespace: &str, service: &str, port: Port) -> Self {
        let selector = escape(&format!("kubernetes.io/service-name={service}"));
        let origin =
            format!("the service {namespace}/{service} of Kubernetes at {}", server.0.endpoint);
        let (server, token_header) = (server.0.clone(), TokenHeader::Bearer);
        let client = Client { server, origin: origin.clone(), token_header };
        Self {
            client,
            path: format!(
                "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={selector}",
                escape(namespace)
            ),
            slices: Slices::new(port, origin),
            version: None,
            watch: None,
            has_failed: false,
            asked: None,
        }
    }

    /// The family of addresses that is used of endpoints that have both. Default: IPv4.
    #[must_use]
    pub const fn family(mut self, family: Family) -> Self {
        self.slices.set_family(family);
        self
    }

    async fn follow(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        loop {
            if self.version.is_none() {
                self.list().await?;
                return self.slices.records();
            }
            let Some(watch) = &mut self.watch else {
                self.open().await?;
                if self.watch.is_some() && std::mem::take(&mut self.has_failed) {
                    return self.slices.records();
                }
                continue;
            };
            let Some(line) = watch.line().await else {
                // The server ends each watch after its time, and any other end is tried again.
                self.watch = None;
                continue;
            };
            let line = line.map_err(|reason| self.client.malformed(&reason))?;
            if self.apply(&line)? {
                return self.slices.records();
            }
        }
    }

    /// Lists the slices in pages. A list that takes so long that its continuation expires begins
    /// anew, at the next call.
    async fn list(&mut self) -> Result<(), DiscoveryError> {
        let mut slices = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = next.map_or_else(String::new, |next| format!("&continue={}", escape(&next)));
            let path = format!("{}&limit={KUBERNETES_PAGE}{page}", self.path);
            let answer = self.client.send(Method::GET, &path, Vec::new(), ANSWER_TIMEOUT).await?;
            if answer.status != 200 {
                return Err(refused(&self.client.origin, answer.status));
            }
            let list: List = serde_json::from_slice(&answer.body)
                .map_err(|error| self.client.malformed(&error))?;
            slices.extend(list.items);
            self.slices.check_count(&slices)?;
            next = list.metadata.next.filter(|next| !next.is_empty());
            if next.is_none() {
                self.slices.replace(slices);
                self.version = Some(list.metadata.resource_version);
                self.has_failed = false;
                return Ok(());
            }
        }
    }

    async fn open(&mut self) -> Result<(), DiscoveryError> {
        if let Some(asked) = self.asked {
            sleep_until(asked + QUESTION_GAP).await;
        }
        self.asked = Some(Instant::now());
        let version = self.version.clone().unwrap_or_default();
        let seconds = KUBERNETES_WATCH.as_secs();
        let path = format!(
            "{}&watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}",
            self.path,
            escape(&version)
        );
        let (status, stream) = self.client.stream(&path, ANSWER_TIMEOUT).await?;
        match status {
            200 => {
                let until = Instant::now() + KUBERNETES_WATCH + ANSWER_TIMEOUT;
                self.watch = Some(Watch { stream, rest: Vec::new(), until });
                Ok(())
            }
            // The version is too old to go on from: the list is read anew.
            410 => {
                self.version = None;
                Ok(())
            }
            status => Err(refused(&self.client.origin, status)),
        }
    }

    /// Takes one event; whether the slices have changed.
    fn apply(&mut self, line: &[u8]) -> Result<bool, DiscoveryError> {
        let event: Event =
            serde_json::from_slice(line).map_err(|error| self.client.malformed(&error))?;
        if event.kind == "ERROR" {
            // Whatever it is, a new list tells how things are.
            self.version = None;
            self.watch = None;
            let status = event.object.get("code").and_then(Value::as_u64).unwrap_or(500);
            if status == 410 {
                return Ok(false);
            }
            return Err(refused(&self.client.origin, u16::try_from(status).unwrap_or(500)));
        }
        let slice: Slice =
            serde_json::from_value(event.object).map_err(|error| self.client.malformed(&error))?;
        self.version = Some(slice.metadata.resource_version.clone());
        match event.kind.as_str() {
            "ADDED" | "MODIFIED" => self.slices.insert(slice),
            "DELETED" => self.slices.remove(&slice),
            // A bookmark has nothing but its version.
            _ => return Ok(false),
        }
        self.slices.check_count([])?;
        Ok(true)
    }
}

/// What to do about a status.
fn refused(origin: &str, status: u16) -> DiscoveryError {
    let advice = match status {
        401 => "the token is not valid: mount that of a service account",
        403 => "grant the service account `list` and `watch` of endpointslices in discovery.k8s.io",
        404 => "check the address of the API server; it must have discovery.k8s.io/v1",
        410 => "the version to go on from is too old; the list is read anew",
        429 => "the API server limits how often it is asked; it is asked again later",
        500..=599 => "see the log of the API server",
        _ => "check the address of the API server",
    };
    DiscoveryError::Refused { origin: origin.to_owned(), status, advice }
}

impl Watch {
    /// The next line; `None` at the end of the watch.
    async fn line(&mut self) -> Option<Result<Vec<u8>, String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.rest, rest);
                line.pop();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Some(Ok(line));
            }
            if self.rest.len() > EVENT_BYTES_MAX {
                return Some(Err(format!("an event has more than {EVENT_BYTES_MAX} bytes")));
            }
            let left = self.until.saturating_duration_since(Instant::now());
            let piece = timeout(left, self.stream.next()).await.ok()??;
            self.rest.extend_from_slice(&piece);
        }
    }
}

impl Source for Kubernetes {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(async {
            let answer = self.follow().await;
            if answer.is_err() {
                self.watch = None;
                self.has_failed = true;
            }
            answer
        })
    }

    fn origin(&self) -> String {
        self.client.origin.clone()
    }
}

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Slice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

#[cfg(test)]
mod tests;
