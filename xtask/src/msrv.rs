//! `cargo xtask msrv`: the minimum Rust version is stated once and is true.
//!
//! It is stated as `rust-version` of the workspace. This command fails when a dependency asks
//! for more, or when a document names another version.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::semver::Version;
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};
use regex::Regex;

use crate::workspace;

/// Documents at the top of the tree; those in `docs/` are checked too.
const DOCUMENTS: &[&str] = &["README.md", "CONTRIBUTING.md"];

/// "Rust 1.88", "MSRV is 1.88", "rustc >= 1.88", "rust-version = \"1.88\"" and the like, but not
/// "Rust with tokio 1.54": only words of comparison may stand in between.
const STATED: &str = r"(?i)\b(?:rust|rustc|msrv|rust-version|toolchain)\b(?:[^0-9a-z]|version|least|at|is|v){0,16}1\.([0-9]{2,3})\b";

/// Compares the workspace's `rust-version` with all dependencies and documents.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .exec()
        .context("cannot read the dependency graph")?;
    let msrv = workspace_msrv(&metadata)?;

    let dependencies = shipped(&metadata)?;
    let mut complaints = too_new(&metadata, &dependencies, &msrv);
    for path in documents(&root)? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        complaints.extend(contradictions(&name, &text, &msrv));
    }
    if !complaints.is_empty() {
        bail!("the minimum Rust version is {msrv}, but\n  {}", complaints.join("\n  "));
    }
    println!("Rust {msrv} is enough for {} dependencies", dependencies.len());
    Ok(())
}

/// The one `rust-version` that all members state.
fn workspace_msrv(metadata: &Metadata) -> Result<Version> {
    let mut stated = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let version = package.rust_version.clone().with_context(|| {
            format!("{} must set `rust-version.workspace = true`", package.name)
        })?;
        stated.insert(version);
    }
    match stated.len() {
        1 => stated.pop_first().context("the workspace has no members"),
        _ => bail!("members state different rust-versions: set `rust-version.workspace = true`"),
    }
}

/// Everything that is compiled to build a member, on any platform. Dev-dependencies are left
/// out: they are compiled for tests only, which the toolchain of the developers runs.
fn shipped(metadata: &Metadata) -> Result<BTreeSet<&PackageId>> {
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut reached = BTreeSet::new();
    let mut pending: Vec<_> = metadata.workspace_members.iter().collect();
    while let Some(id) = pending.pop() {
        let node = nodes.get(id).with_context(|| format!("{id} is not resolved"))?;
        for dependency in &node.deps {
            let ships =
                dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if ships && reached.insert(&dependency.pkg) {
                pending.push(&dependency.pkg);
            }
        }
    }
    Ok(reached)
}

fn too_new(metadata: &Metadata, ids: &BTreeSet<&PackageId>, msrv: &Version) -> Vec<String> {
    ids.iter()
        .map(|id| &metadata[*id])
        .filter_map(|package| Some((package, package.rust_version.as_ref()?)))
        .filter(|(_, asked)| *asked > msrv)
        .map(|(package, asked)| {
            format!(
                "{} {} asks for Rust {asked}: choose an older release or raise rust-version",
                package.name, package.version
            )
        })
        .collect()
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = DOCUMENTS.iter().map(|name| root.join(name)).collect();
    let docs = root.join("docs");
    if docs.is_dir() {
        for entry in fs::read_dir(&docs).context("cannot read docs/")? {
            paths.push(entry.context("cannot read docs/")?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// Lines that name a Rust version other than `msrv`.
fn contradictions(name: &str, text: &str, msrv: &Version) -> Vec<String> {
    let stated = Regex::new(STATED).expect("the pattern is a constant");
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for captures in stated.captures_iter(line) {
            if captures[1] != msrv.minor.to_string() {
                complaints.push(format!(
                    "{name}:{} says 1.{}: state {}.{} or leave the version out",
                    index + 1,
                    &captures[1],
                    msrv.major,
                    msrv.minor
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        contradictions("README.md", text, &Version::new(1, 88, 0)).len()
    }

    #[test]
    fn a_document_may_state_the_version_or_none() {
        assert_eq!(found("Needs Rust 1.88 or newer.\nMSRV: 1.88.0\nrust-version = \"1.88\""), 0);
        assert_eq!(found("Needs Rust with tokio 1.54 (edition 2024)."), 0);
        assert_eq!(found("`trust 1.70` and 127.0.0.1:7100"), 0);
    }

    #[test]
    fn a_document_may_not_state_another_version() {
        assert_eq!(found("Needs Rust 1.85 or newer."), 1);
        assert_eq!(found("MSRV is **1.90**\n\nrustc >= 1.70, Rust 1.88"), 2);
        assert_eq!(found("rust-version = \"1.89\""), 1);
    }

    #[test]
    fn a_complaint_names_the_line_and_the_fix() {
        let complaints = contradictions("README.md", "\nRust 1.85\n", &Version::new(1, 88, 0));
        assert_eq!(complaints, ["README.md:2 says 1.85: state 1.88 or leave the version out"]);
    }
}
