//! The settings of `ringpop node`: its command line, below that the environment, below that a file.
//!
//! What the weaker sources say is put into the command line, as far as a stronger one says nothing,
//! and the whole is parsed: one grammar and one set of messages for all three. The option
//! `--lame-duck` is the variable `RINGPOP_LAME_DUCK` and the key `lame-duck` of the file.

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use serde::Serialize;

use super::Cli;
use crate::failure::Failure;
use crate::limits::SETTING_PREFIX;
use crate::output::{columns, printable};

/// The word whose settings come from more than its command line.
const WORD: &str = "node";

/// What a file cannot set: where the settings are, and what to do with them.
const LINE_ONLY: [&str; 5] = ["config", "check", "exit-with-stdin", "faults", "help"];

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "name")]
pub(crate) enum Origin {
    CommandLine,
    /// This variable.
    Environment(String),
    /// This file.
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting with the value that counts; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
}

/// All settings, as `--check` shows them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Settings(pub(crate) Vec<Setting>);

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned)];
        rows.extend(self.0.iter().map(|setting| {
            let value = setting.value.as_deref().map_or_else(|| "-".to_owned(), printable);
            [setting.name.clone(), value, setting.origin.to_string()]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}

/// Values of one option from a source below the command line.
struct Values {
    values: Vec<String>,
    origin: Origin,
}

/// The command line with what the environment and the file add, and where all settings come from.
pub(super) struct Complete {
    pub(super) cli: Cli,
    pub(super) settings: Settings,
}

/// Reads the command line of `node`, and what stands below it. `Ok(None)` for another word.
pub(super) fn complete(
    line: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Complete>, SettingsError> {
    let Some(given) = given(line) else { return Ok(None) };
    let command = node_command();
    let options: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.get_long().is_some()).collect();
    let environment = environment(&options, &variable)?;
    let path = given.get_one::<PathBuf>("config").cloned();
    let path = path.or_else(|| variable(&variable_of("config")).map(PathBuf::from));
    let file = path.map(|path| file::read(&path, &options)).transpose()?.unwrap_or_default();

    let from_line =
        |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let on_line = options.iter().filter(|arg| from_line(arg)).map(|arg| long(arg).to_owned());
    let mut taken: Vec<String> = on_line.collect();
    let mut added = BTreeMap::new();
    for source in [environment, file] {
        let mut found = Vec::new();
        for (name, values) in source {
            let is_taken = |other: &String| *other == name || excludes(&command, other, &name);
            if !taken.iter().any(is_taken) {
                found.push(name.clone());
                added.insert(name, values);
            }
        }
        taken.extend(found);
    }
    let matches = parse(line, &options, &added)?;
    let settings =
        Settings(options.iter().filter_map(|arg| setting(arg, &matches, &added)).collect());
    let cli = Cli::from_arg_matches(&matches).map_err(|error| explain(error, &added))?;
    Ok(Some(Complete { cli, settings }))
}

/// Why the settings cannot be used.
pub(super) enum SettingsError {
    /// As the parser of the command line says it, and a sentence on where the value comes from.
    Line(clap::Error, Option<String>),
    Source(Failure),
}

impl From<Failure> for SettingsError {
    fn from(failure: Failure) -> Self {
        Self::Source(failure)
    }
}

fn node_command() -> Command {
    let command = Cli::command();
    command.find_subcommand(WORD).expect("the word exists").clone()
}

/// What the command line by itself says, when it is one of `node` that asks for no help.
fn given(line: &[OsString]) -> Option<ArgMatches> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line).ok()?;
    matches.subcommand_matches(WORD).cloned()
}

fn long(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Whether of two options only one may be given.
fn excludes(command: &Command, one: &str, other: &str) -> bool {
    let id = |name: &str| {
        command.get_arguments().find(|arg| arg.get_long() == Some(name)).map(Arg::get_id)
    };
    let (Some(one), Some(other)) = (id(one), id(other)) else { return false };
    command.get_groups().any(|group| {
        let has = |id| group.get_args().any(|arg| arg == id);
        !group.clone().is_multiple() && has(one) && has(other)
    })
}

/// The variable of an option.
fn variable_of(option: &str) -> String {
    format!("{SETTING_PREFIX}{}", option.to_uppercase().replace('-', "_"))
}

/// What the environment says. An empty variable says nothing.
fn environment(
    options: &[&Arg],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<BTreeMap<String, Values>, Failure> {
    let mut found = BTreeMap::new();
    for arg in options.iter().filter(|arg| !LINE_ONLY.contains(&long(arg))) {
        let name = variable_of(long(arg));
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let text =
            text.into_string().map_err(|_| Failure::Usage(format!("{name} is not UTF-8 text")))?;
        let values = match (is_flag(arg), is_list(arg)) {
            (true, _) => vec![flag(&text).ok_or_else(|| {
                Failure::Usage(format!("{name} is {text:?}, it must be true or false"))
            })?],
            (false, true) => text.split_whitespace().map(str::to_owned).collect(),
            (false, false) => vec![text],
        };
        found.insert(long(arg).to_owned(), Values { values, origin: Origin::Environment(name) });
    }
    Ok(found)
}

fn flag(text: &str) -> Option<String> {
    match text {
        "1" | "true" => Some("true".to_owned()),
        "0" | "false" => Some("false".to_owned()),
        _ => None,
    }
}

/// Parses the command line with what was found elsewhere behind its word.
fn parse(
    line: &[OsString],
    options: &[&Arg],
    added: &BTreeMap<String, Values>,
) -> Result<ArgMatches, SettingsError> {
    let place = line.iter().position(|word| word == WORD).map_or(line.len(), |place| place + 1);
    let mut whole = line[..place].to_vec();
    for arg in options {
        let Some(Values { values, .. }) = added.get(long(arg)) else { continue };
        for value in values {
            let name = long(arg);
            match (is_flag(arg), value.as_str()) {
                (true, "true") => whole.push(format!("--{name}").into()),
                (true, _) => {}
                (false, value) => whole.push(format!("--{name}={value}").into()),
            }
        }
    }
    whole.extend_from_slice(&line[place..]);
    Cli::command().try_get_matches_from(whole).map_err(|error| explain(error, added))
}

/// Says where the value comes from that the parser complains about.
fn explain(error: clap::Error, added: &BTreeMap<String, Values>) -> SettingsError {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => arg.clone(),
        _ => return SettingsError::Line(error, None),
    };
    let name = about.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let origin = added.get(name).map(|values| match &values.origin {
        Origin::Environment(variable) => format!("{variable} says so"),
        origin => format!("`{name}` in {origin} says so"),
    });
    SettingsError::Line(error, origin)
}

/// The value of an option that counts.
fn setting(arg: &Arg, matches: &ArgMatches, added: &BTreeMap<String, Values>) -> Option<Setting> {
    let (name, id) = (long(arg), arg.get_id().as_str());
    if LINE_ONLY.contains(&name) {
        return None;
    }
    let matches = matches.subcommand_matches(WORD)?;
    let values = matches.get_raw(id).into_iter().flatten();
    let values: Vec<_> = values.map(|value| value.to_string_lossy().into_owned()).collect();
    let origin = match (added.get(name), matches.value_source(id)) {
        (Some(values), _) => values.origin.clone(),
        (None, Some(ValueSource::CommandLine)) => Origin::CommandLine,
        (None, _) => Origin::Default,
    };
    let value = match is_flag(arg) {
        true => Some(matches.get_flag(id).to_string()),
        false => (!values.is_empty()).then(|| values.join(" ")),
    };
    Some(Setting { name: name.to_owned(), value, origin })
}

#[cfg(test)]
mod tests;
