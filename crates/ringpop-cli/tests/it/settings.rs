//! Where the settings of a member come from, and what can be typed.

use std::process::Output;

use serde_json::Value;

use crate::bad_input::{FAILED, USAGE, complains};
use crate::support::process::ringpop;

async fn check(line: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = ringpop(&[&["node", "--check"], line].concat());
    command.envs(environment.iter().copied());
    command.output().await.expect("the command starts")
}

#[tokio::test]
async fn the_settings_that_count_are_shown_with_their_origin() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringpop.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:7100\"\nweight = 2\npeers = [\"127.0.0.1:7101\"]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let environment = [("RINGPOP_WEIGHT", "3"), ("RINGPOP_CONFIG", file)];
    let shown = check(&["--json", "--app", "rides"], &environment).await;
    assert!(shown.status.success(), "{shown:?}");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let of = |name: &str| {
        let settings = shown.as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap()
    };
    for (name, value, from) in [
        ("app", "rides", "command_line"),
        ("weight", "3", "environment"),
        ("listen", "127.0.0.1:7100", "file"),
        ("lame-duck", "1s", "default"),
    ] {
        assert_eq!(
            (&of(name)["value"], &of(name)["origin"]["from"]),
            (&value.into(), &from.into())
        );
    }
    let shown = check(&[], &environment).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("weight") && shown.contains("environment, RINGPOP_WEIGHT"), "{shown}");
    assert!(!shown.contains("exit-with-stdin"), "{shown}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringpop.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:7100\"\nwieght = 2\n").unwrap();
    let path = file.to_str().unwrap();
    let line = ["node", "--check", "--config", path];
    complains(&line, USAGE, &["ringpop.toml", "unknown key `wieght`", "`weight`"]).await;
    std::fs::write(&file, "listen = \"127.0.0.1:7100\"\nweight = 200\n").unwrap();
    complains(&line, USAGE, &["200", "0..=100", "`weight` in", "ringpop.toml"]).await;
    // Not only what the parser sees is checked.
    std::fs::write(&file, "listen = \"0.0.0.0:7100\"\npeers = \"a:1\"\n").unwrap();
    let shown = check(&["--config", path], &[]).await;
    let complaint = String::from_utf8(shown.stderr).unwrap();
    assert!(shown.status.code() == Some(USAGE) && complaint.contains("--advertise"), "{complaint}");
    complains(&["node", "--config", "/nowhere"], FAILED, &["settings", "/nowhere"]).await;
    let faults = ["node", "--listen", "a:1", "--peers", "a:1", "--faults"];
    complains(&faults, USAGE, &["--exit-with-stdin"]).await;
}

#[tokio::test]
async fn shells_and_readers_are_told_what_can_be_typed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ringpop(&["completions", shell]).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("partitions"), "{shell}: {text}");
    }
    complains(&["completions", "cmd"], USAGE, &["cmd", "bash"]).await;
    let output = ringpop(&["man"]).output().await.unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(".ie"), "it is a manual page");
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man");
    let output = ringpop(&["man", "--dir", pages.to_str().unwrap()]).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(pages.join("ringpop-lookup.1")).unwrap();
    assert!(page.contains("--walk") || page.contains("\\-\\-walk"), "{page}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    complains(&["man", "--dir", file.to_str().unwrap()], FAILED, &["manual pages"]).await;
}
