//! The file of settings: TOML, with the options of the command line as its keys.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Arg;
use toml::{Table, Value};

use super::{LINE_ONLY, Origin, Values, is_flag, is_list, long};
use crate::failure::Failure;
use crate::limits::SETTINGS_BYTES_MAX;
use crate::nearest::nearest;
use crate::source::Source;

pub(super) fn read(path: &Path, options: &[&Arg]) -> Result<BTreeMap<String, Values>, Failure> {
    let source = Source::File(path.to_owned());
    let text = source.read("settings", SETTINGS_BYTES_MAX)?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        Failure::Usage(format!("{source} is no TOML file: {message} in line {line}"))
    })?;
    let mut found = BTreeMap::new();
    for (key, value) in table {
        let known = options.iter().find(|arg| long(arg) == key && !LINE_ONLY.contains(&long(arg)));
        let Some(arg) = known else {
            return Err(Failure::Usage(format!("{source} has {}", unknown(&key, options))));
        };
        let values = values(arg, value).map_err(|expected| {
            Failure::Usage(format!("{source} has a value for `{key}` that is not {expected}"))
        })?;
        found.insert(key, Values { values, origin: Origin::File(path.to_owned()) });
    }
    Ok(found)
}

/// A key that there is not, and the one that was meant perhaps.
fn unknown(key: &str, options: &[&Arg]) -> String {
    if LINE_ONLY.contains(&key) {
        return format!("the key `{key}`, which only the command line may have");
    }
    let names = options.iter().map(|arg| long(arg)).filter(|name| !LINE_ONLY.contains(name));
    match nearest(key, names) {
        Some(nearest) => format!("an unknown key `{key}`: did you mean `{nearest}`?"),
        None => format!("an unknown key `{key}`: `ringpop node --check` lists those there are"),
    }
}

/// The values as they stand in a command line. `Err` says what is expected.
fn values(arg: &Arg, value: Value) -> Result<Vec<String>, &'static str> {
    match value {
        Value::Boolean(on) if is_flag(arg) => Ok(vec![on.to_string()]),
        _ if is_flag(arg) => Err("true or false"),
        Value::Array(values) if is_list(arg) => values.into_iter().map(text).collect(),
        // `--peers` has its list in one value.
        Value::Array(values) => {
            let values = values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
            Ok(vec![values.join(",")])
        }
        // Labels may stand in a table.
        Value::Table(table) if is_list(arg) => {
            let pair = |(key, value)| Ok(format!("{key}={}", text(value)?));
            table.into_iter().map(pair).collect()
        }
        value => Ok(vec![text(value)?]),
    }
}

fn text(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        _ => Err("a text, a whole number, or a list of such"),
    }
}
