//! `cargo xtask tree`: the crates that must run anywhere depend on no runtime and no transport.
//!
//! The proof has two halves: the dependency tree names no forbidden crate, and the crate builds
//! for a target that has neither sockets nor threads nor a clock.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

const WASM: &str = "wasm32-unknown-unknown";

/// What one crate, with one choice of features, must not depend on.
struct Rule {
    package: &'static str,
    features: &'static [&'static str],
    /// Crates that are forbidden, along with those whose name starts with one and a dash.
    forbidden: &'static [&'static str],
    /// Whether it must also build for [`WASM`].
    is_portable: bool,
}

const RULES: &[Rule] = &[
    Rule {
        package: "hashring",
        features: &["--all-features"],
        forbidden: &["tokio", "tonic", "hyper", "h2", "prost"],
        is_portable: true,
    },
    Rule {
        package: "swim-core",
        features: &[],
        forbidden: &["tokio", "tonic", "hyper", "h2", "prost", "getrandom"],
        is_portable: true,
    },
    Rule {
        package: "swim-core",
        features: &["--all-features"],
        forbidden: &["tokio", "tonic", "hyper", "h2", "getrandom"],
        is_portable: true,
    },
    // Transports over gRPC and HTTP are elsewhere.
    Rule {
        package: "swim-driver",
        features: &["--all-features"],
        forbidden: &["tonic", "hyper", "h2", "http"],
        is_portable: false,
    },
    // The clients of registries are optional, for applications and for the command alike.
    Rule {
        package: "ringpop-discovery",
        features: &[],
        forbidden: &["hickory", "hyper", "kube", "rustls", "tokio-rustls"],
        is_portable: false,
    },
    Rule {
        package: "ringpop-cli",
        features: &[],
        forbidden: &["hickory", "kube"],
        is_portable: false,
    },
];

/// Checks the trees and builds for wasm, or says loudly that the target is not installed.
pub(crate) fn run() -> Result<()> {
    let complaints = RULES
        .iter()
        .map(check_tree)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n  "));
    }
    if !wasm_is_installed()? {
        println!("SKIPPED: the build for {WASM}; to run it: rustup target add {WASM}");
        return Ok(());
    }
    RULES.iter().filter(|rule| rule.is_portable).try_for_each(build_for_wasm)
}

/// One complaint for each forbidden crate in the tree of normal dependencies.
fn check_tree(rule: &Rule) -> Result<Vec<String>> {
    let output = workspace::cargo()
        .args(["tree", "--package", rule.package])
        .args(rule.features)
        .args(["--edges", "normal", "--target", "all"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo tree of {} failed: {}",
        rule.package,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let tree = String::from_utf8(output.stdout).context("cargo tree printed no UTF-8")?;
    let found = forbidden_in(&tree, rule.forbidden);
    println!("{}: {} crates, {} forbidden", describe(rule), tree.lines().count(), found.len());
    Ok(found
        .into_iter()
        .map(|name| {
            format!(
                "{} must not depend on {name}; to see why it does: \
                 cargo tree -p {} {} -e normal -i {name}",
                describe(rule),
                rule.package,
                rule.features.join(" ")
            )
        })
        .collect())
}

fn describe(rule: &Rule) -> String {
    match rule.features {
        [] => format!("{} (default features)", rule.package),
        features => format!("{} ({})", rule.package, features.join(" ")),
    }
}

/// The forbidden crates among lines of the form `name vX.Y.Z`, each once.
fn forbidden_in<'a>(tree: &'a str, forbidden: &[&str]) -> Vec<&'a str> {
    let is_forbidden = |name: &str| {
        forbidden.iter().any(|family| {
            name.strip_prefix(family)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
        })
    };
    let mut found: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| is_forbidden(name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn wasm_is_installed() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", WASM])
        .output()
        .context("cannot start rustc")?;
    let directory = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && std::path::Path::new(directory.trim()).is_dir())
}

fn build_for_wasm(rule: &Rule) -> Result<()> {
    let status = workspace::cargo()
        .args(["build", "--quiet", "--lib", "--target", WASM, "--package", rule.package])
        .args(rule.features)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "{} does not build for {WASM}", describe(rule));
    println!("{}: builds for {WASM}", describe(rule));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "swim-core v0.1.0 (/src/crates/swim-core)\n\
                        bytes v1.12.0\n\
                        tokio-util v0.7.20\n\
                        prost v0.14.4\n\
                        tokio-util v0.7.20 (*)\n";

    #[test]
    fn finds_a_forbidden_crate_and_its_family_once() {
        assert_eq!(forbidden_in(TREE, &["tokio", "prost"]), ["prost", "tokio-util"]);
    }

    #[test]
    fn passes_crates_that_only_share_letters() {
        assert!(
            forbidden_in("tokiolike v1.0.0\nhyperloglog v1.0.0\n", &["tokio", "hyper"]).is_empty()
        );
    }
}
