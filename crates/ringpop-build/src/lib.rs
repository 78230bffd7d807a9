//! Build-time glue for `ringpop-forward`: a schema says which field is the routing key, and the
//! generated code says it to the forwarder.
//!
//! ```
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let schema = r#"
//!     syntax = "proto3";
//!     package kv.v1;
//!     import "ringpop/options.proto";
//!     message GetRequest { string key = 1 [(ringpop.key) = true]; }
//!     message GetResponse { string value = 1; }
//!     service Kv { rpc Get(GetRequest) returns (GetResponse); }
//! "#;
//! std::fs::write(directory.join("kv.proto"), schema)?;
//! let schemas = ringpop_build::Schemas::load(&["kv.proto"], &[directory])?;
//! let glue = schemas.glue("::ringpop_forward")?;
//! assert_eq!(glue[0].package, "kv.v1");
//! assert!(glue[0].code.contains("KV_ROUTES"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The options in a schema:
//!
//! ```proto
//! import "ringpop/options.proto"; // comes with this crate
//!
//! service Kv {
//!   rpc Get(GetRequest) returns (GetResponse) {
//!     option idempotency_level = NO_SIDE_EFFECTS;      // may be sent again
//!   }
//!   rpc Rename(RenameRequest) returns (RenameResponse) {
//!     option (ringpop.route) = { key: "from.name" };   // this method's key
//!   }
//! }
//!
//! message GetRequest {
//!   string key = 1 [(ringpop.key) = true];             // the key of every method that takes it
//! }
//! ```
//!
//! A build script compiles it, without `protoc`:
//!
//! ```no_run
//! // build.rs
//! ringpop_build::Builder::new().compile(&["proto/kv.proto"], &["proto"])?;
//! # Ok::<(), ringpop_build::Error>(())
//! ```
//!
//! Next to the messages, the client and the server that tonic generates, the module then has
//!
//! * a table for each service with keys, `KV_ROUTES`, for `Routes::new().table(KV_ROUTES)`;
//! * `RoutingKey` for each message with a key: `request.routing_key()` is the key that a server
//!   would read.
//!
//! A key may be a string, bytes or an integer. What cannot be one is an error that names the file,
//! the method or message, and the field: a field that is not there, one that is repeated, a map, a
//! float or in a oneof, and two keys in one message.
//!
//! [`Schemas`] is the same in two steps, for those who generate code in a way of their own.

mod descriptors;
mod error;
mod field;
mod forward_path;
mod glue;
mod method;
mod render;
mod schemas;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use prost_build::Module;

pub use error::{Error, KeyProblem};
pub use glue::Glue;
pub use schemas::Schemas;

/// Compiles schemas to Rust from a build script: messages, clients, servers and the glue for
/// routing.
#[derive(Debug)]
#[must_use = "nothing is compiled until `compile` is called"]
pub struct Builder {
    tonic: tonic_prost_build::Builder,
    out_dir: Option<PathBuf>,
    descriptor_set: Option<PathBuf>,
    forward_path: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Clients and servers, in the directory that cargo gives to build scripts, for code that
    /// depends on `ringpop` or on `ringpop-forward`.
    pub fn new() -> Self {
        let tonic = tonic_prost_build::configure();
        Self { tonic, out_dir: None, descriptor_set: None, forward_path: None }
    }

    /// Settings of tonic's and prost's generators. An output directory set there is not looked at;
    /// set it [here](Self::out_dir). A path for the descriptor set is.
    pub fn tonic(mut self, tonic: tonic_prost_build::Builder) -> Self {
        self.tonic = tonic;
        self
    }

    /// Where the generated files go. By default `OUT_DIR`, where `tonic::include_proto!` looks for
    /// them.
    pub fn out_dir(mut self, out_dir: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(out_dir.into());
        self
    }

    /// Writes the schemas and all that they import to this file, encoded as a `FileDescriptorSet`,
    /// as server reflection needs them. It has the options of this crate as well.
    pub fn file_descriptor_set_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.descriptor_set = Some(path.into());
        self
    }

    /// The Rust path of the crate `ringpop-forward`, as the generated code names it.
    ///
    /// By default it follows the dependencies in the manifest of the package that is built
    /// (`CARGO_MANIFEST_DIR`), also renamed ones: the crate itself if the package depends on it,
    /// such as `::ringpop_forward`, and otherwise what the facade exports, `::ringpop::forward`.
    pub fn forward_path(mut self, path: impl Into<String>) -> Self {
        self.forward_path = Some(path.into());
        self
    }

    /// Compiles `schemas`, which are found in `includes`, and tells cargo to do so again when one
    /// of them changes.
    ///
    /// # Errors
    ///
    /// [`Error`] when a schema does not compile, names a key that cannot be one, or when a file
    /// cannot be written.
    pub fn compile(
        self,
        schemas: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<(), Error> {
        let loaded = Schemas::load(schemas, includes)?;
        let forward_path = self.forward_path.unwrap_or_else(forward_path::of_this_package);
        let glue = loaded.glue(&forward_path)?;
        let out_dir = match self.out_dir {
            Some(out_dir) => out_dir,
            None => env::var_os("OUT_DIR").map(PathBuf::from).ok_or(Error::NoOutDir)?,
        };
        for path in loaded.paths() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
        if let Some(path) = self.descriptor_set.or_else(|| descriptors::path_in(&self.tonic)) {
            let failed = |source| Error::Write { path: path.clone(), source };
            fs::write(&path, loaded.encoded_descriptors()).map_err(failed)?;
        }
        let failed = |source| Error::Write { path: out_dir.clone(), source };
        self.tonic.out_dir(&out_dir).compile_fds(loaded.descriptors().clone()).map_err(failed)?;
        for glue in glue {
            append(&out_dir, &glue)?;
        }
        Ok(())
    }
}

/// Adds the glue to the module that prost has written.
fn append(out_dir: &Path, glue: &Glue) -> Result<(), Error> {
    let path = out_dir.join(Module::from_protobuf_package_name(&glue.package).to_file_name_or("_"));
    let failed = |source| Error::Write { path: path.clone(), source };
    let mut code = fs::read_to_string(&path).map_err(failed)?;
    code.push_str(&glue.code);
    fs::write(&path, code).map_err(failed)
}

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
