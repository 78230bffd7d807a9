use std::io::Write as _;

use super::*;
use crate::args::Command;

type Checked = Result<(Box<crate::args::NodeArgs>, Settings), String>;

/// What a command line, an environment and a file come to.
fn settings(line: &str, environment: &[(&str, &str)], file: &str) -> Checked {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(file.as_bytes()).unwrap();
    let mut line: Vec<OsString> =
        format!("ringpop node {line}").split_whitespace().map(OsString::from).collect();
    if !file.is_empty() {
        line.extend(["--config".into(), path.path().into()]);
    }
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    match complete(&line, variable) {
        Ok(Some(Complete { cli: Cli { command: Command::Node(args) }, settings })) => {
            Ok((args, settings))
        }
        Ok(_) => panic!("it is a line of `node`"),
        Err(SettingsError::Source(failure)) => Err(failure.to_string()),
        Err(SettingsError::Line(error, origin)) => Err(format!("{error} {origin:?}")),
    }
}

fn origin<'a>(settings: &'a Settings, name: &str) -> (&'a str, &'a Origin) {
    let found = settings.0.iter().find(|setting| setting.name == name).unwrap();
    (found.value.as_deref().unwrap_or("-"), &found.origin)
}

#[test]
fn the_command_line_is_stronger_than_the_environment_and_that_than_the_file() {
    let file = "listen = \"10.0.0.1:1\"\npeers = [\"10.0.0.2:1\", \"10.0.0.3:1\"]\nweight = 1\n\
                lame-duck = \"1s\"\nadmin-loopback = true\nverbose = true\n[label]\nzone = \"a\"";
    let environment =
        [("RINGPOP_WEIGHT", "2"), ("RINGPOP_LAME_DUCK", "2s"), ("RINGPOP_VERBOSE", "false")];
    let (args, settings) = settings("--lame-duck 3s", &environment, file).unwrap();
    assert_eq!(args.listen.to_string(), "10.0.0.1:1");
    assert_eq!((args.weight, args.lame_duck.as_secs()), (Some(2), 3));
    assert_eq!(args.labels, [("zone".to_owned(), "a".to_owned())]);
    assert!(!args.verbose);
    assert_eq!(origin(&settings, "lame-duck"), ("3s", &Origin::CommandLine));
    let weight = Origin::Environment("RINGPOP_WEIGHT".to_owned());
    assert_eq!(origin(&settings, "weight"), ("2", &weight));
    assert_eq!(origin(&settings, "verbose").0, "false");
    let (peers, Origin::File(_)) = origin(&settings, "peers") else { panic!("{settings}") };
    assert_eq!(peers, "10.0.0.2:1,10.0.0.3:1");
    assert_eq!(origin(&settings, "admin-loopback").0, "true");
    assert_eq!(origin(&settings, "app"), ("ringpop-demo", &Origin::Default));
    assert_eq!(origin(&settings, "http"), ("-", &Origin::Default));
}

/// Of options that exclude each other the strongest source decides.
#[test]
fn peers_of_the_command_line_replace_discovery_of_the_environment() {
    let environment = [("RINGPOP_DISCOVERY", "static:b:1 static:c:1")];
    let (args, _) = settings("--listen a:1", &environment, "hosts = \"f\"").unwrap();
    assert_eq!((args.source.discovery.len(), args.source.hosts.is_some()), (2, false));
    let (args, settings) = settings("--listen a:1 --peers b:1", &environment, "").unwrap();
    assert!(args.source.discovery.is_empty() && args.source.peers.is_some());
    assert_eq!(origin(&settings, "discovery"), ("-", &Origin::Default));
}

#[test]
fn mistakes_name_their_place() {
    let line = "--listen a:1 --peers b:1";
    for (file, words) in [
        ("wieght = 2", &["unknown key `wieght`", "`weight`"][..]),
        ("lame_duck = \"1s\"", &["unknown key `lame_duck`", "`lame-duck`"]),
        ("colour = 1", &["unknown key `colour`", "--check"]),
        ("check = true", &["only the command line"]),
        ("weight = ", &["no TOML file", "line 1"]),
        ("app = \"a\"\nweight = 1 2", &["no TOML file", "line 2"]),
        ("verbose = 1", &["`verbose`", "true or false"]),
        ("weight = 1.5", &["`weight`", "a whole number"]),
        ("weight = 101", &["101", "0..=100", "`weight` in", "says so"]),
        ("weight = 1\nweight = 2", &["no TOML file", "duplicate"]),
    ] {
        let message = settings(line, &[], file).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{file}: {message}");
        }
    }
    let message = settings(line, &[("RINGPOP_WEIGHT", "lots")], "").unwrap_err();
    assert!(message.contains("RINGPOP_WEIGHT says so"), "{message}");
    let message = settings(line, &[("RINGPOP_VERBOSE", "perhaps")], "").unwrap_err();
    assert!(message.contains("RINGPOP_VERBOSE is \"perhaps\""), "{message}");
    // Variables of other programs and empty ones mean nothing.
    assert!(settings(line, &[("RINGPOP_TEST_ALL", "1"), ("RINGPOP_WEIGHT", "")], "").is_ok());
}
