//! `ringpop lookup`: which members own keys.

use std::fmt;
use std::path::Path;

use ringpop::MemberRing;
use serde::Serialize;

use crate::admin::Admin;
use crate::args::LookupArgs;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::limits::{KEY_BYTES_MAX, KEYS_BYTES_MAX};
use crate::live_ring::LiveRing;
use crate::output::{Output, checksum, columns, printable};
use crate::source::Source;
use crate::watch;

pub(super) async fn run(args: LookupArgs) -> Result<(), Failure> {
    let output = Output::new(args.target.json);
    let keys = args.keys.as_deref().map(read_keys).transpose()?;
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, output, || async {
        let placement = check(&admin, &args).await?;
        match (&args.key, &keys) {
            (Some(key), None) if !args.walk => one(&admin, key, args.owners).await,
            (key, keys) => {
                let ring = LiveRing::ask(&admin, &placement).await?;
                let ring_checksum = checksum(ring.checksum);
                let ring = ring.lay_out()?;
                if let Some(key) = key {
                    return Ok(Answer::Walk(Owners {
                        owners: walk(&ring, key, usize::MAX),
                        key: key.clone(),
                        ring_checksum,
                    }));
                }
                let entry = |key: &String| {
                    let owners = walk(&ring, key, args.owners as usize);
                    KeyOwners { key: key.clone(), owners }
                };
                let keys = keys.iter().flatten().map(entry).collect();
                Ok(Answer::Keys { keys, ring_checksum })
            }
        }
    })
    .await
    .map(drop)
}

/// Fails when members have different rings, unless any will do. Gives the placement.
async fn check(admin: &Admin, args: &LookupArgs) -> Result<String, Failure> {
    let first = admin.status().await?;
    let placement = first.placement.clone();
    if !args.any_view.any_view {
        Cluster::crawl_from(admin.clone(), first).await?.check_one_ring()?;
    }
    Ok(placement)
}

/// The owners of a key, as the member says.
async fn one(admin: &Admin, key: &str, owners: u32) -> Result<Answer, Failure> {
    let response = admin.lookup(key, owners).await?;
    if response.owners.is_empty() {
        let address = admin.address();
        return Err(Failure::Failed(format!(
            "{address} knows no owner of the key: its ring is empty, see `ringpop status {address}`"
        )));
    }
    Ok(Answer::One(Owners {
        key: key.to_owned(),
        owners: response.owners,
        ring_checksum: checksum(response.ring_checksum),
    }))
}

fn walk(ring: &MemberRing, key: &str, owners: usize) -> Vec<String> {
    ring.walk(key.as_bytes()).take(owners).map(|member| member.id().to_owned()).collect()
}

/// A key on each line; blank lines are skipped.
fn read_keys(path: &Path) -> Result<Vec<String>, Failure> {
    let source: Source = match path.to_str() {
        Some("-") => Source::Stdin,
        _ => Source::File(path.to_owned()),
    };
    let text = source.read("keys", KEYS_BYTES_MAX)?;
    let keys: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if keys.is_empty() {
        let advice = "there are none; write one per line";
        return Err(Failure::Failed(format!("cannot use the keys from {source}: {advice}")));
    }
    if let Some(long) = keys.iter().find(|key| key.len() > KEY_BYTES_MAX) {
        let bytes = long.len();
        return Err(Failure::Failed(format!(
            "cannot use the keys from {source}: one has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"
        )));
    }
    Ok(keys.into_iter().map(str::to_owned).collect())
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    One(Owners),
    Walk(Owners),
    Keys { keys: Vec<KeyOwners>, ring_checksum: String },
}

#[derive(Debug, Serialize)]
struct Owners {
    key: String,
    /// Best first.
    owners: Vec<String>,
    ring_checksum: String,
}

#[derive(Debug, Serialize)]
struct KeyOwners {
    key: String,
    /// Best first.
    owners: Vec<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::One(owners) => {
                let lines: Vec<_> = owners.owners.iter().map(|owner| printable(owner)).collect();
                lines.join("\n")
            }
            Self::Walk(owners) => {
                let row = |(n, owner): (usize, &String)| [(n + 1).to_string(), printable(owner)];
                columns(&owners.owners.iter().enumerate().map(row).collect::<Vec<_>>())
            }
            Self::Keys { keys, .. } => {
                let row = |it: &KeyOwners| [printable(&it.key), printable(&it.owners.join("  "))];
                columns(&keys.iter().map(row).collect::<Vec<_>>())
            }
        };
        f.write_str(text.trim_end())
    }
}
