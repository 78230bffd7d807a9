//! Loading schemas: with the options of this crate at hand, and without them in what code is
//! generated from.

use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

use crate::error::Error;
use crate::glue::{self, Glue};

/// The name by which schemas import the options.
const OPTIONS_FILE: &str = "ringpop/options.proto";
const OPTIONS: &str = include_str!("../proto/ringpop/options.proto");

/// Files that say something about a schema and hold nothing that code is generated from.
const WITHOUT_CODE: [&str; 2] = [OPTIONS_FILE, "google/protobuf/descriptor.proto"];

/// Compiled schemas.
///
/// ```no_run
/// let schemas = ringpop_build::Schemas::load(&["kv.proto"], &["proto"])?;
/// for glue in schemas.glue("::ringpop_forward")? {
///     println!("to be added to the module of package {}:\n{}", glue.package, glue.code);
/// }
/// # Ok::<(), ringpop_build::Error>(())
/// ```
#[derive(Debug)]
pub struct Schemas {
    pool: DescriptorPool,
    descriptors: FileDescriptorSet,
    encoded: Vec<u8>,
    /// Names of the files that were asked for, without their imports.
    names: Vec<String>,
    paths: Vec<PathBuf>,
}

impl Schemas {
    /// Compiles `schemas` and what they import, looked for in `includes` in order.
    ///
    /// # Errors
    ///
    /// [`Error::Compile`] with the place in the file.
    pub fn load(
        schemas: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<Self, Error> {
        let mut resolver = ChainFileResolver::new();
        for include in includes {
            resolver.add(IncludeFileResolver::new(include.as_ref().to_owned()));
        }
        resolver.add(Bundled);
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(schemas).map_err(Box::new)?;

        let names = compiler.files().filter(|file| !file.is_import());
        let names = names.map(|file| file.name().to_owned()).collect();
        let paths = compiler.files().filter_map(|file| file.path().map(Path::to_owned)).collect();
        let mut descriptors = compiler.file_descriptor_set();
        descriptors.file.retain(|file| !WITHOUT_CODE.contains(&file.name()));
        let encoded = compiler.encode_file_descriptor_set();
        Ok(Self { pool: compiler.descriptor_pool(), descriptors, encoded, names, paths })
    }

    /// The schemas and their imports, without the options: what prost and tonic generate code from.
    #[must_use]
    pub fn descriptors(&self) -> &FileDescriptorSet {
        &self.descriptors
    }

    /// The schemas and all that they import, encoded as a `FileDescriptorSet`, with every option.
    #[must_use]
    pub fn encoded_descriptors(&self) -> &[u8] {
        &self.encoded
    }

    /// The files on disk that were read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// The glue of each package that has some, in order of the packages' names. `forward_path` is
    /// the Rust path of the crate `ringpop-forward`, such as `::ringpop_forward`.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for the first key that cannot be one.
    pub fn glue(&self, forward_path: &str) -> Result<Vec<Glue>, Error> {
        let files = self.names.iter().filter_map(|name| self.pool.get_file_by_name(name));
        glue::of_files(&files.collect::<Vec<_>>(), forward_path)
    }
}

/// Finds the options wherever this crate was built.
struct Bundled;

impl FileResolver for Bundled {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == OPTIONS_FILE {
            File::from_source(name, OPTIONS)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}
