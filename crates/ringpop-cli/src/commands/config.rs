//! `ringpop config`: settings of the membership protocol of a running member.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ringpop::admin_client::{GetConfigRequest, ReconfigureRequest, Setting, Value};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::ConfigArgs;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, columns, printable};

pub(super) async fn run(args: ConfigArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let known = settings(&admin).await?;
    let mut changed = Vec::new();
    let mut shown = Vec::new();
    for text in &args.settings {
        let (name, value) = text.split_once('=').map_or((&**text, None), |(n, v)| (n, Some(v)));
        let Some(former) = known.get(name) else {
            return Err(Failure::Usage(format!(
                "there is no setting {name:?}: `ringpop config {}` lists those there are",
                args.target.address
            )));
        };
        if let Some(value) = value {
            if changed.iter().any(|setting: &Setting| setting.name == name) {
                return Err(Failure::Usage(format!(
                    "{name} is set more than once: give it one value"
                )));
            }
            let value = Some(parse(name, value, former)?);
            changed.push(Setting { name: name.to_owned(), value });
        }
        shown.push(name.to_owned());
    }
    let mut known = known;
    if !changed.is_empty() {
        let call = |mut client: Client, request| async move { client.reconfigure(request).await };
        let request = ReconfigureRequest { settings: changed };
        admin.ask(ANSWER_TIMEOUT, request, call).await?;
        known = settings(&admin).await?;
    }
    if !shown.is_empty() {
        known.retain(|name, _| shown.contains(name));
    }
    let texts = known.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Output::new(args.target.json).emit(&Settings(texts));
    Ok(())
}

async fn settings(admin: &Admin) -> Result<BTreeMap<String, Value>, Failure> {
    let call = |mut client: Client, request| async move { client.get_config(request).await };
    let answer = admin.ask(ANSWER_TIMEOUT, GetConfigRequest {}, call).await?;
    let known = |setting: Setting| Some((setting.name, setting.value?));
    Ok(answer.settings.into_iter().filter_map(known).collect())
}

/// A value of the kind that the setting has.
fn parse(name: &str, text: &str, former: &Value) -> Result<Value, Failure> {
    let wrong = |what: &str| Failure::Usage(format!("{name} is {text:?}, it must be {what}"));
    match former {
        Value::Flag(_) => text.parse().map(Value::Flag).map_err(|_| wrong("true or false")),
        Value::Number(_) => text.parse().map(Value::Number).map_err(|_| wrong("a number")),
        Value::Micros(_) => {
            let time = humantime::parse_duration(text);
            let time = time.map_err(|_| wrong("a time with its unit, as in 200ms or 5s"))?;
            Ok(Value::Micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Micros(micros) => {
            humantime::format_duration(Duration::from_micros(*micros)).to_string()
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Settings(BTreeMap<String, String>);

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |(name, value): (&String, &String)| [printable(name), printable(value)];
        let rows: Vec<_> = self.0.iter().map(row).collect();
        f.write_str(columns(&rows).trim_end())
    }
}
