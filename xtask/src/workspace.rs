//! Where the workspace is and how its cargo is called. Commands work from any directory.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory that holds the workspace manifest.
///
/// Cargo sets the manifest directory again for each `cargo run`, so a checkout that was moved
/// after the build is still found.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map_or_else(|| manifest_dir.clone(), Path::to_path_buf)
}

/// The cargo that runs this command, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
