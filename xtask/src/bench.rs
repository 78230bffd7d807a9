//! `cargo xtask bench NAME`: runs the bench package `xtask/peers-NAME`.
//!
//! Each bench is a package outside the workspace, so that an ordinary build never compiles the
//! peers that it measures against. The names are those of the directories.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

const PREFIX: &str = "peers-";

/// Builds and runs one bench; its table or JSON lines go to standard output.
pub(crate) fn run(name: &str, json: bool, args: &[String]) -> Result<()> {
    let xtask = workspace::root().join("xtask");
    let names = names(&xtask)?;
    if !names.iter().any(|known| known == name) {
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("no bench is called `{name}`; valid names: {known}");
    }
    let mut command = workspace::cargo();
    command
        .args(["run", "--release", "--quiet", "--manifest-path"])
        .arg(xtask.join(format!("{PREFIX}{name}/Cargo.toml")))
        .arg("--");
    if json {
        command.arg("--json");
    }
    let status = command.args(args).status().context("cannot start cargo")?;
    ensure!(status.success(), "bench `{name}` did not build or a bar does not hold ({status})");
    Ok(())
}

fn names(xtask: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(xtask).with_context(|| format!("cannot read {}", xtask.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", xtask.display()))?;
        let directory = entry.file_name();
        let Some(name) = directory.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if entry.path().join("Cargo.toml").is_file() {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
