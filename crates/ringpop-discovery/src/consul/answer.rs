//! What an answer of `/v1/health/service` says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConsulId;
use crate::Record;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Option<Vec<Check>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    node: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    address: String,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
    port: u32,
    #[serde(default)]
    weights: Option<Weights>,
    #[serde(default)]
    locality: Option<Locality>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Locality {
    #[serde(default)]
    zone: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    status: String,
}

pub(super) fn records(body: &[u8], id: ConsulId) -> Result<Vec<Record>, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    Ok(entries.into_iter().filter_map(|entry| entry.into_record(id)).collect())
}

impl Entry {
    fn into_record(self, id: ConsulId) -> Option<Record> {
        let Self { node, service, checks } = self;
        let id = match id {
            ConsulId::NodeAndService => format!("{}/{}", node.node, service.id),
            ConsulId::Service => service.id,
        };
        let host = if service.address.is_empty() { &node.address } else { &service.address };
        let address = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{}", service.port)
        } else {
            format!("{host}:{}", service.port)
        };
        let mut record = match address.parse() {
            Ok(address) => Record::new(address),
            Err(error) => {
                tracing::warn!("the instance {id:?} of Consul is left out: {error}");
                return None;
            }
        };
        let checks = checks.unwrap_or_default();
        let is_warning = checks.iter().any(|check| check.status == "warning");
        record.id = id;
        record.healthy =
            checks.iter().all(|check| matches!(check.status.as_str(), "passing" | "warning"));
        if let Some(Weights { passing, warning }) = service.weights {
            record.weight = if is_warning { warning } else { passing };
        }
        record.labels = service.meta.unwrap_or_default();
        let zone = service.locality.map(|locality| locality.zone).filter(|zone| !zone.is_empty());
        record.zone = zone
            .or_else(|| record.labels.get("zone").cloned())
            .or_else(|| node.meta.unwrap_or_default().remove("zone"));
        if let Some(tags) = service.tags.filter(|tags| !tags.is_empty()) {
            record.labels.entry("tags".to_owned()).or_insert_with(|| tags.join(","));
        }
        Some(record)
    }
}
