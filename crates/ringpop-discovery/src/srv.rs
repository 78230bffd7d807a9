//! Feature `dns`: peers behind SRV records, with their weights and priorities (RFC 2782).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::{RESOLVE_TIMEOUT, SRV_WEIGHT_MAX, TTL_MAX, TTL_MIN};
use crate::{DiscoveryError, PeersFuture, Record, Source};

/// One peer for each SRV record of a name, asked for again when the records have lived, within
/// [`TTL_MIN`] and [`TTL_MAX`].
///
/// | of a record | becomes |
/// |---|---|
/// | target and port | the address, and the id |
/// | weight | the weight, as said below |
/// | priority | the label `priority`, where records differ in it |
///
/// Only the records with the lowest priority number share the work; the others stand by with weight
/// 0. Weights are divided by what they have in common, since name servers give each of n equals
/// 100 / n, and n changes; then by what brings the largest to [`SRV_WEIGHT_MAX`]. Where all are 0,
/// all are 1.
#[derive(Debug, Clone)]
pub struct Srv {
    name: Name,
    text: String,
    server: Option<SocketAddr>,
    due: Option<Instant>,
}

/// The fields of one SRV record that are used.
#[derive(Debug, Clone)]
struct Target {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

impl Srv {
    /// The peers behind a name such as `_gossip._tcp.workers.internal`. The name servers of the
    /// system are asked; the name is absolute.
    ///
    /// # Errors
    ///
    /// The text is no name.
    pub fn new(name: &str) -> Result<Self, SrvError> {
        let refused = || SrvError { name: name.to_owned() };
        let mut parsed = Name::from_ascii(name).map_err(|_| refused())?;
        if parsed.num_labels() == 0 {
            return Err(refused());
        }
        parsed.set_fqdn(true);
        Ok(Self { name: parsed, text: name.to_owned(), server: None, due: None })
    }

    /// Asks this name server instead of those of the system.
    #[must_use]
    pub const fn server(mut self, server: SocketAddr) -> Self {
        self.server = Some(server);
        self
    }

    async fn ask(&mut self) -> Result<Vec<Record>, DiscoveryError> {
        if let Some(due) = self.due.take() {
            sleep_until(due).await;
        }
        let lookup = timeout(RESOLVE_TIMEOUT, self.lookup()).await.map_err(|_| {
            let timeout_ms = RESOLVE_TIMEOUT.as_millis();
            DiscoveryError::TimedOut { origin: self.origin(), timeout_ms }
        })?;
        let (targets, ttl) = lookup.map_err(|error| {
            let unresolved = error.is_no_records_found();
            let cause = Arc::new(io::Error::other(error));
            if unresolved {
                self.due = Some(Instant::now() + TTL_MIN);
                return DiscoveryError::Unresolved { name: self.text.clone(), cause };
            }
            DiscoveryError::Unreachable { origin: self.origin(), cause }
        })?;
        self.due = Some(Instant::now() + ttl.clamp(TTL_MIN, TTL_MAX));
        records(targets)
    }

    /// Asks once. The resolver is made anew and follows the settings of the system.
    async fn lookup(&self) -> Result<(Vec<Target>, Duration), NetError> {
        let mut builder = match self.server {
            None => TokioResolver::builder_tokio()?,
            Some(server) => {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut config.connections {
                    connection.port = server.port();
                }
                let config = ResolverConfig::from_name_servers(vec![config]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.options_mut().cache_size = 0;
        let lookup = builder.build()?.srv_lookup(self.name.clone()).await?;
        let mut ttl = u32::MAX;
        let mut targets = Vec::new();
        for answer in lookup.answers() {
            if let RData::SRV(srv) = &answer.data {
                ttl = ttl.min(answer.ttl);
                targets.push(Target {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    host: srv.target.to_ascii(),
                });
            }
        }
        Ok((targets, Duration::from_secs(ttl.into())))
    }
}

fn records(mut targets: Vec<Target>) -> Result<Vec<Record>, DiscoveryError> {
    // A root as the target says that the service is not there (RFC 2782, "Target").
    targets.retain(|target| target.host != ".");
    let first = targets.iter().map(|target| target.priority).min().unwrap_or(0);
    let differ = targets.iter().any(|target| target.priority != first);
    let active = || targets.iter().filter(|target| target.priority == first);
    let common = active().fold(0, |common, target| gcd(common, u32::from(target.weight)));
    let largest = active().map(|target| u32::from(target.weight)).max().unwrap_or(0);
    let record = |target: &Target| {
        let host = &target.host;
        let mut record = Record::new(format!("{host}:{}", target.port).parse()?);
        record.weight = match (target.priority == first, common) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, common) => scaled(u32::from(target.weight) / common, largest / common),
        };
        if differ {
            record.labels.insert("priority".to_owned(), target.priority.to_string());
        }
        Ok(record)
    };
    targets.iter().map(record).collect()
}

/// `weight` of weights up to `largest`, brought below the limit; a weight stays one.
fn scaled(weight: u32, largest: u32) -> u32 {
    if largest <= SRV_WEIGHT_MAX || weight == 0 {
        return weight;
    }
    (weight * SRV_WEIGHT_MAX / largest).max(1)
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Source for Srv {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(self.ask())
    }

    fn origin(&self) -> String {
        format!("the SRV records of {:?}", self.text)
    }
}

/// Why a text is no name of SRV records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no DNS name: write it as in _gossip._tcp.workers.internal")]
#[non_exhaustive]
pub struct SrvError {
    /// The refused text.
    pub name: String,
}

#[cfg(test)]
mod tests;
