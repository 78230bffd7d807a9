//! Compiles the schema. There is no `protoc` to install.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // For server reflection.
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("sessions.bin");
    ringpop_build::Builder::new()
        .file_descriptor_set_path(descriptors)
        .compile(&["proto/sessions.proto"], &["proto"])?;
    Ok(())
}
