//! Where the workspace is. Commands work from any directory inside it.

use std::path::{Path, PathBuf};

/// The directory that holds the workspace manifest.
///
/// Cargo sets the manifest directory again for each `cargo run`, so a checkout that was moved
/// after the build is still found.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir
        .parent()
        .map_or_else(|| manifest_dir.clone(), Path::to_path_buf)
}
