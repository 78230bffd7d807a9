//! `ringpop dump` and `diff`: what all members say at one moment, and what changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::status::Report;
use crate::admin::Admin;
use crate::args::{DiffArgs, DumpArgs};
use crate::cluster::{Cluster, Unreached};
use crate::failure::Failure;
use crate::limits::{CRAWL_ANSWER_TIMEOUT, CRAWL_CONCURRENCY, DUMP_BYTES_MAX};
use crate::output::{Output, columns, printable};
use crate::progress::Progress;
use crate::source::Source;

pub(super) async fn dump(args: DumpArgs) -> Result<(), Failure> {
    let cluster = Cluster::crawl(&args.target).await?;
    let admin = Admin::of(&args.target)?;
    let addresses: Vec<_> = cluster.members.keys().cloned().collect();
    let mut unreached = cluster.unreached;
    let ask = |address: String| {
        let admin = admin.beside(&address);
        async move {
            let status = admin?.status_within(CRAWL_ANSWER_TIMEOUT).await;
            status.map_err(|failure| Failure::Failed(format!("{address}: {failure}")))
        }
    };
    let mut answers = stream::iter(addresses.iter().cloned().map(ask)).buffered(CRAWL_CONCURRENCY);
    let is_stdout = args.file == Path::new("-");
    let wrong = |error: io::Error| {
        Failure::Failed(format!("cannot write the dump to {}: {error}", args.file.display()))
    };
    let mut file: Box<dyn Write> = if is_stdout {
        Box::new(io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(&args.file).map_err(wrong)?))
    };
    let mut progress = Progress::new();
    // One member after the other: all views of a large cluster would not fit the memory.
    write!(file, "{{\"members\":{{").map_err(wrong)?;
    let mut written = 0;
    for address in &addresses {
        let Some(answer) = answers.next().await else { break };
        progress.tell(|| format!("wrote {written} of {} members", addresses.len()));
        match answer {
            Ok(status) => {
                let report =
                    serde_json::to_string(&Report::from(status)).map_err(Failure::failed)?;
                let address = serde_json::to_string(address).map_err(Failure::failed)?;
                let comma = if written > 0 { "," } else { "" };
                write!(file, "{comma}\n{address}:{report}").map_err(wrong)?;
                written += 1;
            }
            Err(failure) => {
                let reason = failure.to_string();
                unreached.push(Unreached { address: address.clone(), reason });
            }
        }
    }
    let missing = serde_json::to_string(&unreached).map_err(Failure::failed)?;
    writeln!(file, "\n}},\"unreached\":{missing}}}").and_then(|()| file.flush()).map_err(wrong)?;
    drop(progress);
    if !is_stdout {
        let file = args.file.display().to_string();
        Output::new(args.target.json).emit(&Dumped { file, members: written, unreached });
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Dumped {
    file: String,
    members: usize,
    unreached: Vec<Unreached>,
}

impl fmt::Display for Dumped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has the words of {} members", self.file, self.members)?;
        f.write_str(&crate::cluster::unreached_lines(&self.unreached))
    }
}

/// The parts of a dump that are compared; there is more in it for people.
#[derive(Debug, Deserialize)]
struct Dump {
    members: BTreeMap<String, Told>,
}

#[derive(Debug, Deserialize)]
struct Told {
    state: String,
    membership_checksum: String,
    ring_checksum: String,
    members: Vec<Seen>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    address: String,
    status: String,
    incarnation: u64,
    share: f64,
    labels: BTreeMap<String, String>,
}

pub(super) fn diff(args: &DiffArgs) -> Result<(), Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    Output::new(args.json).emit(&Differences { differences: compare(&before, &after) });
    Ok(())
}

fn read(path: &Path) -> Result<Dump, Failure> {
    let source = Source::File(path.to_owned());
    let text = source.read("dump", DUMP_BYTES_MAX)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Failed(format!("{source} is no file of `ringpop dump`: {error}")))
}

/// A difference between two dumps: of what a member says of itself, or of how another sees it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    /// The member that says it.
    by: String,
    /// The member that it says it of.
    of: String,
    what: String,
    before: Option<String>,
    after: Option<String>,
}

fn compare(before: &Dump, after: &Dump) -> Vec<Difference> {
    let mut found = Vec::new();
    let addresses: BTreeSet<_> = before.members.keys().chain(after.members.keys()).collect();
    for address in addresses {
        let told = (before.members.get(address), after.members.get(address));
        let mut differ = |of: &str, what: &str, before: Option<String>, after: Option<String>| {
            if before != after {
                let (by, of, what) = (address.clone(), of.to_owned(), what.to_owned());
                found.push(Difference { by, of, what, before, after });
            }
        };
        type Field = (&'static str, fn(&Told) -> &String);
        let fields: [Field; 3] = [
            ("state", |told| &told.state),
            ("membership_checksum", |told| &told.membership_checksum),
            ("ring_checksum", |told| &told.ring_checksum),
        ];
        for (what, field) in fields {
            differ(address, what, told.0.map(field).cloned(), told.1.map(field).cloned());
        }
        let (Some(before), Some(after)) = told else { continue };
        let index = |told: &'_ Told| -> BTreeMap<String, [String; 4]> {
            told.members.iter().map(|seen| (seen.address.clone(), seen.fields())).collect()
        };
        let (before, after) = (index(before), index(after));
        let members: BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
        for member in members {
            for (place, what) in ["status", "incarnation", "share", "labels"].iter().enumerate() {
                let field = |fields: &BTreeMap<String, [String; 4]>| {
                    fields.get(&member).map(|fields| fields[place].clone())
                };
                differ(&member, what, field(&before), field(&after));
            }
        }
    }
    found
}

impl Seen {
    fn fields(&self) -> [String; 4] {
        let labels: Vec<_> =
            self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let share = format!("{:.2} %", self.share * 100.0);
        [self.status.clone(), self.incarnation.to_string(), share, labels.join(" ")]
    }
}

#[derive(Debug, Serialize)]
struct Differences {
    differences: Vec<Difference>,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differences.is_empty() {
            return f.write_str("nothing differs");
        }
        let text = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), printable);
        let mut rows = vec![["SAID BY", "OF", "WHAT", "BEFORE", "AFTER"].map(str::to_owned)];
        rows.extend(self.differences.iter().map(|it| {
            let [by, of] = [&it.by, &it.of].map(|address| printable(address));
            [by, of, it.what.clone(), text(&it.before), text(&it.after)]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(status: &str, share: f64) -> Dump {
        let text = serde_json::json!({"members": {"a:1": {
            "state": "ready", "membership_checksum": "01", "ring_checksum": "02", "more": 1,
            "members": [{"address": "b:1", "status": status, "incarnation": 7, "share": share,
                         "labels": {"zone": "a"}}],
        }}});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_differs_is_told_with_both_values() {
        assert_eq!(compare(&dump("alive", 0.5), &dump("alive", 0.5)), []);
        let differences = compare(&dump("alive", 0.5), &dump("faulty", 0.5));
        let [only] = &differences[..] else { panic!("{differences:?}") };
        assert_eq!((&*only.by, &*only.of, &*only.what), ("a:1", "b:1", "status"));
        let gone = compare(&dump("alive", 0.5), &Dump { members: BTreeMap::new() });
        assert_eq!(gone.len(), 3, "{gone:?}");
        let text = Differences { differences }.to_string();
        assert!(text.ends_with("a:1      b:1  status  alive   faulty"), "{text}");
    }
}
