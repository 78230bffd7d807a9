//! `cargo xtask codegen`: protobuf schemas to committed Rust code, without `protoc`.
//!
//! The code is committed so that a build needs no code generator at all. The output depends only
//! on the schemas and on Cargo.lock (it is never passed through the installed rustfmt), which is
//! what lets `--check` compare byte for byte on any machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use prost_build::{Config, Module};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use ringpop_build::Schemas;

use crate::workspace;

const FIX: &str = "cargo xtask codegen";

/// One committed file and the schemas that it is made from.
struct Target {
    /// Path of the generated file in the workspace.
    output: &'static str,
    /// Directory of the schemas in the workspace.
    directory: &'static str,
    /// Schemas below that directory whose types and services are generated.
    schemas: &'static [&'static str],
    /// Rust module that already holds the types of the schemas imported by `schemas`.
    imports_from: Option<&'static str>,
    /// Rust path of `ringpop-forward` for the tables of services whose schemas name routing keys.
    forward_path: Option<&'static str>,
}

/// Where other versions of the membership protocol are kept, for the tests that
/// they work together.
const VERSIONS: &str = "crates/swim-core/tests/it/versions/schemas";

const TARGETS: &[Target] = &[
    Target {
        output: "crates/swim-core/src/wire/generated.rs",
        directory: "proto",
        schemas: &["ringpop/v1/swim.proto"],
        imports_from: None,
        forward_path: None,
    },
    Target {
        output: "crates/ringpop/src/generated/ringpop.v1.rs",
        directory: "proto",
        schemas: &[
            "ringpop/v1/membership.proto",
            "ringpop/v1/admin.proto",
            "ringpop/v1/ring.proto",
            "ringpop/v1/moves.proto",
        ],
        imports_from: Some("::swim_core::wire::pb"),
        forward_path: None,
    },
    Target {
        output: "crates/ringpop-forward/src/direct/generated.rs",
        directory: "proto",
        schemas: &["ringpop/forward/v1/forward.proto"],
        imports_from: None,
        forward_path: Some("crate"),
    },
    Target {
        output: "crates/ringpop-cli/src/generated/ringpop.demo.v1.rs",
        directory: "proto",
        schemas: &["ringpop/demo/v1/kv.proto"],
        imports_from: None,
        forward_path: Some("::ringpop::forward"),
    },
    Target {
        output: "crates/swim-core/tests/it/versions/generated/previous.rs",
        directory: VERSIONS,
        schemas: &["previous.proto"],
        imports_from: None,
        forward_path: None,
    },
    Target {
        output: "crates/swim-core/tests/it/versions/generated/later.rs",
        directory: VERSIONS,
        schemas: &["later.proto"],
        imports_from: None,
        forward_path: None,
    },
];

/// Writes all generated files, or with `check` fails when a committed one differs.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = workspace::root();
    // Generate everything before touching anything: an error in one schema changes no file.
    let files = TARGETS
        .iter()
        .map(|target| Ok((target.output, generate(&root, target)?)))
        .collect::<Result<Vec<_>>>()?;
    if check {
        check_files(&root, &files)
    } else {
        files.iter().try_for_each(|(output, code)| replace(&root.join(output), code))
    }
}

fn generate(root: &Path, target: &Target) -> Result<String> {
    let schemas =
        Schemas::load(target.schemas, &[root.join(target.directory)]).with_context(|| {
            format!("cannot compile {} in {}/", target.schemas.join(", "), target.directory)
        })?;
    let descriptors = schemas.descriptors().clone();
    let package = package_of(&descriptors, target)?;

    let mut config = Config::new();
    // Values pass through without a copy.
    config.bytes(["."]);
    config.service_generator(
        tonic_prost_build::configure()
            // The crates choose their transport; the generated code must not ask for tonic's.
            .build_transport(false)
            .service_generator(),
    );
    for file in imported(&descriptors, target) {
        let module = target.imports_from.with_context(|| {
            format!(
                "{} imports {}: set `imports_from` of that target in xtask/src/codegen.rs",
                target.schemas.join(", "),
                file.name()
            )
        })?;
        declare_extern(&mut config, file, module);
    }

    let module = Module::from_protobuf_package_name(&package);
    let requests = descriptors
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut modules = config.generate(requests)?;
    let code =
        modules.remove(&module).with_context(|| format!("package {package} declares nothing"))?;
    ensure!(modules.is_empty(), "more than one package for {}", target.output);
    Ok(format!("{}{code}{}", header(target), glue(&schemas, target)?))
}

/// The route tables and key accessors of a target, if its schemas name keys.
fn glue(schemas: &Schemas, target: &Target) -> Result<String> {
    let glue = schemas.glue(target.forward_path.unwrap_or_default())?;
    ensure!(
        glue.is_empty() || target.forward_path.is_some(),
        "{} names routing keys: set `forward_path` of that target in xtask/src/codegen.rs",
        target.schemas.join(", ")
    );
    Ok(glue.into_iter().map(|glue| glue.code).collect())
}

/// The package that all schemas of a target share.
fn package_of(descriptors: &FileDescriptorSet, target: &Target) -> Result<String> {
    let mut packages = descriptors
        .file
        .iter()
        .filter(|file| target.schemas.contains(&file.name()))
        .map(|file| file.package().to_owned())
        .collect::<Vec<_>>();
    packages.dedup();
    match packages.as_slice() {
        [package] => Ok(package.clone()),
        _ => {
            bail!("the schemas of {} have several packages: {}", target.output, packages.join(", "))
        }
    }
}

fn imported<'a>(
    descriptors: &'a FileDescriptorSet,
    target: &Target,
) -> impl Iterator<Item = &'a FileDescriptorProto> {
    descriptors.file.iter().filter(|file| !target.schemas.contains(&file.name()))
}

/// Says that `module` holds the types of `file`, so that they are named and not generated again.
///
/// One entry for each type: an entry for the package would also claim the types of the
/// importing schemas, which are in the same package.
fn declare_extern(config: &mut Config, file: &FileDescriptorProto, module: &str) {
    let messages = file.message_type.iter().map(|message| message.name());
    let enums = file.enum_type.iter().map(|item| item.name());
    for name in messages.chain(enums) {
        config.extern_path(format!(".{}.{name}", file.package()), format!("{module}::{name}"));
    }
}

fn header(target: &Target) -> String {
    let schemas = target
        .schemas
        .iter()
        .map(|schema| format!("{}/{schema}", target.directory))
        .collect::<Vec<_>>()
        .join(", ");
    format!("// Generated by `{FIX}` from {schemas}; do not edit.\n")
}

fn check_files(root: &Path, files: &[(&str, String)]) -> Result<()> {
    let mut stale = Vec::new();
    for (output, code) in files {
        match fs::read_to_string(root.join(output)) {
            Ok(committed) if committed == *code => {}
            Ok(_) => stale.push(format!("{output} differs from its schema")),
            Err(error) => stale.push(format!("{output} cannot be read ({error})")),
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!("{}; run `{FIX}` and commit the result", stale.join("; "))
}

/// Replaces a file in one step, so that an interrupted run leaves the old content.
fn replace(path: &Path, code: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == code.as_bytes()) {
        return Ok(());
    }
    let directory = path.parent().context("a generated file lies in a directory")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let temporary = path.with_extension("rs.new");
    fs::write(&temporary, code).with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("cannot replace {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate_all() -> Vec<(&'static str, String)> {
        let root = workspace::root();
        TARGETS.iter().map(|target| (target.output, generate(&root, target).unwrap())).collect()
    }

    #[test]
    fn the_same_schemas_give_the_same_code() {
        assert_eq!(generate_all(), generate_all());
    }

    #[test]
    fn a_type_is_generated_once_and_named_elsewhere() {
        // Tests keep schemas of other versions, with the same names.
        let mut files = generate_all();
        files.retain(|(output, _)| !output.contains("/tests/"));
        let with = |text: &str| -> Vec<&str> {
            let mut found = files.clone();
            found.retain(|(_, code)| code.contains(text));
            found.iter().map(|(output, _)| *output).collect()
        };
        let swim = "crates/swim-core/src/wire/generated.rs";
        let facade = "crates/ringpop/src/generated/ringpop.v1.rs";
        assert_eq!(with("pub struct Message {"), [swim]);
        assert_eq!(with("pub enum Status {"), [swim]);
        assert_eq!(with("::swim_core::wire::pb::Message"), [facade]);
        // The crates choose their transport.
        assert!(with("tonic::transport").is_empty());
        let demo = "crates/ringpop-cli/src/generated/ringpop.demo.v1.rs";
        assert_eq!(with("pub const KV_ROUTES: &[::ringpop::forward::MethodRoute]"), [demo]);
    }

    #[test]
    fn check_names_each_stale_file_and_the_command() {
        let root = tempfile::tempdir().unwrap();
        let files = ["a.rs", "b.rs", "c.rs"].map(|output| (output, "new".to_owned()));
        fs::write(root.path().join("a.rs"), "new").unwrap();
        fs::write(root.path().join("b.rs"), "old").unwrap();

        let error = check_files(root.path(), &files).unwrap_err().to_string();
        assert!(!error.contains("a.rs"), "{error}");
        assert!(error.contains("b.rs differs from its schema"), "{error}");
        assert!(error.contains("c.rs cannot be read"), "{error}");
        assert!(error.ends_with("run `cargo xtask codegen` and commit the result"), "{error}");

        for (output, code) in &files {
            replace(&root.path().join(output), code).unwrap();
        }
        check_files(root.path(), &files).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), files.len());
    }
}
