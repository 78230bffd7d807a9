//! Endpoint slices, and the endpoints in them (Kubernetes API `discovery.k8s.io/v1`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Family, Port};
use crate::limits::RECORDS_MAX;
use crate::{DiscoveryError, Record};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    pub(super) metadata: Metadata,
    #[serde(default)]
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<SlicePort>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(super) resource_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Option<Conditions>,
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    target_ref: Option<TargetRef>,
    #[serde(default)]
    zone: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Conditions {
    #[serde(default)]
    ready: Option<bool>,
    #[serde(default)]
    serving: Option<bool>,
    #[serde(default)]
    terminating: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TargetRef {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SlicePort {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    port: Option<u16>,
}

/// All slices of one service.
#[derive(Debug)]
pub(super) struct Slices {
    port: Port,
    family: Family,
    origin: String,
    by_name: BTreeMap<String, Slice>,
}

/// One endpoint as one slice has it.
struct Candidate {
    record: Record,
    is_preferred: bool,
    /// It is being stopped, and still serves.
    is_last_resort: bool,
    has_target: bool,
}

impl Slices {
    pub(super) const fn new(port: Port, origin: String) -> Self {
        Self { port, family: Family::Ipv4, origin, by_name: BTreeMap::new() }
    }

    pub(super) const fn set_family(&mut self, family: Family) {
        self.family = family;
    }

    pub(super) fn replace(&mut self, slices: Vec<Slice>) {
        self.by_name =
            slices.into_iter().map(|slice| (slice.metadata.name.clone(), slice)).collect();
    }

    pub(super) fn insert(&mut self, slice: Slice) {
        self.by_name.insert(slice.metadata.name.clone(), slice);
    }

    pub(super) fn remove(&mut self, slice: &Slice) {
        self.by_name.remove(&slice.metadata.name);
    }

    /// Bounds the endpoints that are kept: as many endpoints as a list may have, in both families.
    pub(super) fn check_count<'a>(
        &'a self,
        listed: impl IntoIterator<Item = &'a Slice>,
    ) -> Result<(), DiscoveryError> {
        let endpoints = |slice: &Slice| slice.endpoints.as_ref().map_or(0, Vec::len).max(1);
        let listed: usize = listed.into_iter().map(endpoints).sum();
        let count = listed.max(self.by_name.values().map(endpoints).sum());
        if count > 2 * RECORDS_MAX {
            return Err(DiscoveryError::TooMany { origin: self.origin.clone(), count });
        }
        Ok(())
    }

    /// The endpoints, each once.
    pub(super) fn records(&self) -> Result<Vec<Record>, DiscoveryError> {
        let mut by_id: BTreeMap<String, Candidate> = BTreeMap::new();
        let mut without_port = 0;
        for slice in self.by_name.values() {
            let Some(port) = self.port_of(slice) else {
                without_port += slice.endpoints.as_ref().map_or(0, Vec::len);
                continue;
            };
            for endpoint in slice.endpoints.iter().flatten() {
                let Some(candidate) = self.candidate(slice, endpoint, port) else { continue };
                let rank =
                    |candidate: &Candidate| (candidate.is_preferred, candidate.record.healthy);
                match by_id.get_mut(&candidate.record.id) {
                    Some(known) if rank(known) >= rank(&candidate) => {}
                    Some(known) => *known = candidate,
                    None => {
                        by_id.insert(candidate.record.id.clone(), candidate);
                    }
                }
            }
        }
        if by_id.is_empty() && without_port > 0 {
            let reason = match &self.port {
                Port::Name(name) => format!("its {without_port} endpoints have no port {name:?}"),
                _ => format!("its {without_port} endpoints have not just one port; name the one"),
            };
            return Err(DiscoveryError::Malformed { origin: self.origin.clone(), reason });
        }
        Ok(chosen(by_id))
    }

    fn port_of(&self, slice: &Slice) -> Option<u16> {
        let ports = slice.ports.as_deref().unwrap_or_default();
        match (&self.port, ports) {
            (Port::Number(port), _) => Some(*port),
            (Port::Only, [only]) => only.port,
            (Port::Only, _) => None,
            (Port::Name(name), ports) => {
                ports.iter().find(|port| port.name.as_ref() == Some(name))?.port
            }
        }
    }

    fn candidate(&self, slice: &Slice, endpoint: &Endpoint, port: u16) -> Option<Candidate> {
        let host = endpoint.addresses.first()?;
        let is_ipv6 = slice.address_type == "IPv6";
        let address = if is_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut record = match address.parse() {
            Ok(address) => Record::new(address),
            Err(error) => {
                tracing::warn!("an endpoint of {} is left out: {error}", self.origin);
                return None;
            }
        };
        let target = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
        let has_target = target.is_some();
        if let Some(name) = target {
            record.id = name;
        }
        let none = Conditions::default();
        let conditions = endpoint.conditions.as_ref().unwrap_or(&none);
        let is_ready = conditions.ready.unwrap_or(true);
        let is_terminating = conditions.terminating.unwrap_or(false);
        record.healthy = is_ready;
        record.zone.clone_from(&endpoint.zone);
        if let Some(node) = &endpoint.node_name {
            record.labels.insert("node".to_owned(), node.clone());
        }
        if is_terminating {
            record.labels.insert("terminating".to_owned(), "true".to_owned());
        }
        Some(Candidate {
            record,
            is_preferred: is_ipv6 == (self.family == Family::Ipv6),
            is_last_resort: is_terminating && conditions.serving.unwrap_or(is_ready),
            has_target,
        })
    }
}

/// Without a target, the two addresses of one endpoint cannot be brought together: then those of
/// one family count. While nobody is ready, those that are being stopped and still serve are all
/// there is (KEP-1669).
fn chosen(by_id: BTreeMap<String, Candidate>) -> Vec<Record> {
    let has_preferred = by_id.values().any(|candidate| candidate.is_preferred);
    let is_anybody_ready = by_id.values().any(|candidate| candidate.record.healthy);
    by_id
        .into_values()
        .filter(|candidate| candidate.is_preferred || candidate.has_target || !has_preferred)
        .map(|Candidate { mut record, is_last_resort, .. }| {
            record.healthy |= !is_anybody_ready && is_last_resort;
            record
        })
        .collect()
}
