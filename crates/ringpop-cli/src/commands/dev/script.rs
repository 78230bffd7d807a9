//! A script: things to do to the cluster and expectations, one step after the other.

mod run;

use std::time::Duration;

use ringpop::swim::Status;
use serde::{Deserialize, Deserializer, de};

pub(super) use self::run::Script;
use crate::duration::parse_wait;
use crate::failure::Failure;
use crate::limits::{DEV_LOAD_RATE_MAX, DEV_NODES_MAX, SCRIPT_BYTES_MAX, SCRIPT_WITHIN};
use crate::source::Source;

/// Scripts that are part of the command, by the names under which `--script` takes them.
const SHIPPED: [(&str, &str); 5] = [
    ("kill-one", include_str!("../../../scripts/kill-one.yaml")),
    ("partition-and-heal", include_str!("../../../scripts/partition-and-heal.yaml")),
    ("rolling-restart", include_str!("../../../scripts/rolling-restart.yaml")),
    ("scale-out", include_str!("../../../scripts/scale-out.yaml")),
    ("suspend-revive", include_str!("../../../scripts/suspend-revive.yaml")),
];

/// The file. Each step is an object of one key, or the key by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// How many members to start.
    nodes: Option<u16>,
    steps: Vec<serde_json::Value>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Kill(Members),
    Stop(Members),
    Suspend(Members),
    Revive(Members),
    Restart(Members),
    /// Done when all have been restarted and agree.
    RollingRestart(Within),
    Partition(Vec<Vec<usize>>),
    Restore,
    /// So many members more.
    Add(u16),
    Leave(Members),
    Join(Members),
    Evict(Members),
    UndoEvict(Members),
    /// Requests a second; 0 ends them.
    Load(u32),
    /// All that run and have not left are ready, agree and see each other.
    Converge(Converge),
    /// So many groups, each of which agrees and sees nobody else.
    Views(Views),
    /// All others that run see a member so.
    Status(Seen),
    /// So many requests more are answered.
    Requests(Requests),
    /// All requests since the load began.
    Success(Success),
    #[serde(deserialize_with = "duration")]
    Wait(Duration),
}

/// One member or several, by their places from 0 on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Members {
    One(usize),
    Several(Vec<usize>),
}

impl Members {
    fn list(&self) -> Vec<usize> {
        match self {
            Self::One(member) => vec![*member],
            Self::Several(members) => members.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Within {
    #[serde(default = "within", deserialize_with = "duration")]
    within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Converge {
    /// How many agree; as many as there are when it is left out.
    members: Option<usize>,
    #[serde(default = "within", deserialize_with = "duration")]
    within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Views {
    count: usize,
    #[serde(default = "within", deserialize_with = "duration")]
    within: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    of: usize,
    #[serde(deserialize_with = "status")]
    is: Status,
    #[serde(default = "within", deserialize_with = "duration")]
    within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requests {
    count: u64,
    #[serde(default = "within", deserialize_with = "duration")]
    within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Success {
    /// At least so many in a hundred are answered.
    percent: f64,
    /// The time that 99 in 100 take at most.
    #[serde(default, deserialize_with = "some_duration")]
    p99: Option<Duration>,
    /// The mean of the hops.
    hops: Option<f64>,
}

const fn within() -> Duration {
    SCRIPT_WITHIN
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_wait(&String::deserialize(from)?).map_err(de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Status, D::Error> {
    let name = String::deserialize(from)?;
    let status = Status::ALL.into_iter().find(|status| status.as_str() == name);
    status.ok_or_else(|| {
        let names = Status::ALL.map(|status| format!("`{status}`")).join(", ");
        de::Error::custom(format!("unknown variant `{name}`, expected one of {names}"))
    })
}

/// A script as it was read: how many members it wants, and its steps with the texts that name them.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) nodes: Option<u16>,
    steps: Vec<(String, Step)>,
}

impl Steps {
    /// Reads a file, or a script that is part of the command.
    pub(super) fn read(path: &str) -> Result<Self, Failure> {
        let shipped = SHIPPED.iter().find(|(name, _)| *name == path);
        let (name, text) = match shipped {
            Some((name, text)) => ((*name).to_owned(), (*text).to_owned()),
            None => {
                let source: Source = path.parse().unwrap_or_else(|never| match never {});
                (source.to_string(), source.read("script", SCRIPT_BYTES_MAX)?)
            }
        };
        Self::parse(&text)
            .map_err(|reason| Failure::Usage(format!("the script {name} cannot be used: {reason}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_norway::from_str(text).map_err(|error| error.to_string())?;
        if file.nodes.is_some_and(|nodes| nodes == 0 || nodes > DEV_NODES_MAX) {
            return Err(format!("nodes must be from 1 to {DEV_NODES_MAX}"));
        }
        let steps = file.steps.into_iter().enumerate().map(|(place, value)| {
            let label = label(&value);
            let step: Step = serde_json::from_value(value)
                .map_err(|error| format!("step {} ({label}): {error}", place + 1))?;
            match step {
                Step::Load(rate) if rate > DEV_LOAD_RATE_MAX => Err(format!(
                    "step {} ({label}): at most {DEV_LOAD_RATE_MAX} requests a second",
                    place + 1
                )),
                step => Ok((label, step)),
            }
        });
        Ok(Self { nodes: file.nodes, steps: steps.collect::<Result<_, _>>()? })
    }
}

/// A step as people recognize it: `kill 4`.
fn label(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Object(step) => {
            let entry = |(key, value): (&String, &serde_json::Value)| match value {
                serde_json::Value::Null => key.clone(),
                value => format!("{key} {value}"),
            };
            step.iter().map(entry).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    };
    text.replace(['"', '{', '}'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_of_the_command_can_be_read() {
        for (name, text) in SHIPPED {
            let steps = Steps::parse(text).unwrap_or_else(|reason| panic!("{name}: {reason}"));
            assert!(steps.nodes.is_some() && steps.steps.len() > 3, "{name}");
            assert!(Steps::read(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn steps_have_their_names() {
        let text = "nodes: 3\nsteps:\n  - converge: {within: 5s}\n  - kill: [1, 2]\n  - restore\n  - wait: 1s\n";
        let steps = Steps::parse(text).unwrap();
        let labels: Vec<_> = steps.steps.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["converge within:5s", "kill [1,2]", "restore", "wait 1s"]);
        let converge = Converge { members: None, within: Duration::from_secs(5) };
        assert_eq!(steps.steps[0].1, Step::Converge(converge));
        assert_eq!(steps.steps[1].1, Step::Kill(Members::Several(vec![1, 2])));
    }

    #[test]
    fn mistakes_name_their_step() {
        for (text, words) in [
            ("steps:\n  - kil: 1", &["step 1 (kil 1)", "unknown variant", "kill"][..]),
            ("steps:\n  - restore\n  - kill: all", &["step 2 (kill all)"]),
            ("steps:\n  - converge: {witin: 5s}", &["step 1", "witin", "within"]),
            ("steps:\n  - converge: {within: 5}", &["step 1", "string"]),
            ("steps:\n  - wait: soon", &["step 1", "30s"]),
            ("steps:\n  - status: {of: 1, is: dead}", &["step 1", "dead", "faulty"]),
            ("steps:\n  - load: 1000000", &["step 1", "requests a second"]),
            ("nodes: 65\nsteps: []", &["from 1 to 64"]),
            ("nodes: 3", &["steps"]),
            ("node: 3\nsteps: []", &["node", "nodes"]),
            ("steps: [", &["line 2"]),
        ] {
            let reason = Steps::parse(text).unwrap_err();
            for word in words {
                assert!(reason.contains(word), "{text}: {reason}");
            }
        }
    }
}
