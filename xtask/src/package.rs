//! `cargo xtask package`: every crate packs cleanly and is whole without the rest of the
//! repository.
//!
//! Some crates carry `publish = false` until their publishing names are chosen, and cargo packs
//! no crate that depends on one of them. The check therefore packs a copy of the sources without
//! that line: all else is as it would be published. It does not compile the packages, which would
//! build every dependency once more; it checks what a build outside the workspace could miss, the
//! files that sources include.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Package;
use regex::Regex;

use crate::workspace;

/// Members of the workspace that are never published.
const NEVER: &[&str] = &["xtask", "swim-sim"];

/// Every package carries these.
const FILES: &[&str] = &["README.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// The project has no public address yet; the warning goes when `[workspace.package]` names it.
const KNOWN_WARNINGS: &[&str] = &["manifest has no documentation, homepage or repository"];

/// Packs all crates; fails on any warning, and when a package lacks a file or a field.
pub(crate) fn run() -> Result<()> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(workspace::root())
        .no_deps()
        .exec()
        .context("cannot read the metadata of the workspace")?;
    let target = metadata.target_directory.as_std_path();
    let copy = target.join("package-sources");
    copy_sources(&copy)?;

    let packed: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| {
            let directory = package.manifest_path.parent().and_then(|path| path.parent());
            directory.is_some_and(|path| path.ends_with("crates"))
                && !NEVER.contains(&package.name.as_str())
        })
        .collect();
    let names: Vec<&str> = packed.iter().map(|package| package.name.as_str()).collect();
    pack(&copy, target, &names)?;
    for package in &packed {
        check_fields(package)?;
        check_files(&copy, package)?;
    }
    println!("{} packages are whole: {}", names.len(), names.join(", "));
    Ok(())
}

/// Copies the files that git knows of or would add, and lifts the bans on publishing.
fn copy_sources(copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy).with_context(|| format!("cannot empty {}", copy.display()))?;
    }
    let output = Command::new("git")
        .current_dir(workspace::root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot start git")?;
    ensure!(output.status.success(), "git cannot list the files of the workspace");
    let list = String::from_utf8(output.stdout).context("a file name is no UTF-8")?;
    for file in list.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (workspace::root().join(file), copy.join(file));
        // A file that was deleted and not yet committed is still listed.
        if !from.exists() {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        if file.ends_with("Cargo.toml") && file.starts_with("crates/") {
            let manifest = fs::read_to_string(&to)?;
            let open = manifest.lines().filter(|line| line.trim() != "publish = false");
            fs::write(&to, open.map(|line| format!("{line}\n")).collect::<String>())?;
        }
    }
    Ok(())
}

/// Runs `cargo package` over all crates at once, since they depend on each other.
fn pack(copy: &Path, target: &Path, names: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command
        .current_dir(copy)
        .args(["package", "--allow-dirty", "--no-verify", "--quiet"])
        .args(names.iter().flat_map(|name| ["--package", name]))
        .arg("--target-dir")
        .arg(target);
    let output = command.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo package failed:\n{said}");
    let warnings = unknown_warnings(&said);
    if !warnings.is_empty() {
        bail!("cargo package warns:\n  {}", warnings.join("\n  "));
    }
    Ok(())
}

/// The warnings in what cargo printed that nobody has explained.
fn unknown_warnings(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .filter(|warning| !KNOWN_WARNINGS.contains(warning))
        .collect()
}

/// Checks the fields that a registry shows and searches.
fn check_fields(package: &Package) -> Result<()> {
    let empty = [
        ("description", package.description.is_none()),
        ("keywords", package.keywords.is_empty()),
        ("categories", package.categories.is_empty()),
        ("license", package.license.is_none()),
        ("readme", package.readme.is_none()),
    ];
    for (field, empty) in empty {
        ensure!(!empty, "{} names no {field}", package.manifest_path);
    }
    Ok(())
}

/// Checks that the package has its readme, its licences, and every file that a source includes.
fn check_files(copy: &Path, package: &Package) -> Result<()> {
    let output = workspace::cargo()
        .current_dir(copy)
        .args(["package", "--allow-dirty", "--list", "--package", package.name.as_str()])
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo cannot list the package of {}", package.name);
    let list = String::from_utf8(output.stdout).context("a file name is no UTF-8")?;
    let packed: Vec<&str> = list.lines().collect();
    let has = |file: &str| packed.contains(&file);
    for file in FILES {
        ensure!(has(file), "the package of {} has no {file}", package.name);
    }
    let directory = copy.join("crates").join(package.name.as_str());
    // Tests are run in the repository, where they may share vectors.
    let sources = packed.iter().filter(|file| file.ends_with(".rs") && !file.starts_with("tests/"));
    for source in sources {
        let text = fs::read_to_string(directory.join(source))
            .with_context(|| format!("cannot read {source} of {}", package.name))?;
        for file in included(source, &text) {
            ensure!(
                has(&file),
                "{source} of {} includes {file}, which is not packed",
                package.name
            );
        }
    }
    Ok(())
}

/// The files that a source includes by a literal path, relative to the root of its package.
fn included(source: &str, text: &str) -> Vec<String> {
    let include = Regex::new(r#"include(?:_str|_bytes)?!\("([^"]+)"\)"#)
        .expect("the expression is a constant");
    include
        .captures_iter(text)
        .map(|found| {
            let mut path: Vec<&str> = source.split('/').collect();
            path.pop();
            for part in found[1].split('/') {
                match part {
                    // A path that leaves the package keeps its dots, which no packed file has.
                    ".." if path.last().is_some_and(|last| *last != "..") => {
                        path.pop();
                    }
                    part => path.push(part),
                }
            }
            path.join("/")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_without_a_reason_is_found() {
        let said = "warning: manifest has no documentation, homepage or repository\n  |\n\
                    warning: ignoring test `it` as `tests/it/main.rs` is not included\n";
        let left = unknown_warnings(said);
        assert_eq!(left, ["ignoring test `it` as `tests/it/main.rs` is not included"]);
    }

    #[test]
    fn included_files_are_named_from_the_root_of_the_package() {
        let text = r#"include!("generated/a.rs"); include_str!("../../README.md")"#;
        assert_eq!(included("src/lib.rs", text), ["src/generated/a.rs", "../README.md"]);
    }
}
