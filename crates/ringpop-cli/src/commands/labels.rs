//! `ringpop labels` and `ringpop weight`: what a member says of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};

use ringpop::admin_client::{ChangeLabelsRequest, Label};
use ringpop::limits::WEIGHT_LABEL;
use ringpop::swim::INTERNAL_PREFIX;
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::{LabelsArgs, WeightArgs};
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, printable};

pub(super) async fn labels(args: LabelsArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let labels = if args.set.is_empty() && args.remove.is_empty() {
        own(&admin).await?
    } else if args.remove.is_empty() {
        change(&admin, args.set, Vec::new()).await?
    } else {
        let before = own(&admin).await?;
        let labels = change(&admin, args.set, args.remove.clone()).await?;
        tell_unremoved(&args.remove, &before, &labels);
        labels
    };
    Output::new(args.target.json).emit(&Labels(labels));
    Ok(())
}

/// Says on standard error which labels were not removed. A label that is not there is no failure,
/// as the caller wanted it to be gone, but its key may have been mistyped.
fn tell_unremoved(
    keys: &[String],
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) {
    for key in keys {
        let why = match (before.contains_key(key), after.contains_key(key)) {
            (false, _) => "there was no such label",
            (true, true) => "the member sets it by itself",
            (true, false) => continue,
        };
        // When nobody reads, the labels that are written next still tell.
        let _ = writeln!(io::stderr(), "warning: label {key:?} was not removed: {why}");
    }
}

pub(super) async fn weight(args: WeightArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let labels = match args.weight {
        None => own(&admin).await?,
        Some(weight) => {
            let weight = (WEIGHT_LABEL.to_owned(), weight.to_string());
            change(&admin, vec![weight], Vec::new()).await?
        }
    };
    let weight = labels.get(WEIGHT_LABEL).and_then(|weight| weight.parse().ok());
    Output::new(args.target.json).emit(&Weight { weight: weight.unwrap_or(1) });
    Ok(())
}

async fn change(
    admin: &Admin,
    set: Vec<(String, String)>,
    remove: Vec<String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let set = set.into_iter().map(|(key, value)| Label { key, value }).collect();
    let call = |mut client: Client, request| async move { client.change_labels(request).await };
    let request = ChangeLabelsRequest { set, remove };
    let answer = admin.ask(ANSWER_TIMEOUT, request, call).await?;
    Ok(public(answer.labels))
}

/// The labels of the member that is asked.
async fn own(admin: &Admin) -> Result<BTreeMap<String, String>, Failure> {
    let status = admin.status().await?;
    let is_own = |address: &str| address == status.address;
    let own = status.members.into_iter().find(|member| is_own(&member.address));
    Ok(public(own.map(|member| member.labels).unwrap_or_default()))
}

/// The labels that are not the library's own.
pub(super) fn public(labels: Vec<Label>) -> BTreeMap<String, String> {
    let labels = labels.into_iter().filter(|label| !label.key.starts_with(INTERNAL_PREFIX));
    labels.map(|label| (label.key, label.value)).collect()
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Labels(BTreeMap<String, String>);

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(key, value)| printable(&format!("{key}={value}"));
        let lines: Vec<_> = self.0.iter().map(line).collect();
        if lines.is_empty() {
            return f.write_str("the member has no labels");
        }
        f.write_str(&lines.join("\n"))
    }
}

#[derive(Debug, Serialize)]
struct Weight {
    weight: u32,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.weight.fmt(f)
    }
}
