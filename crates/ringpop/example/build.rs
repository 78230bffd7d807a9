//! Compiles the schema. There is no `protoc` to install, and nothing to say about where the routes come from: the generated
//! code follows the dependency on `ringpop`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("sessions.bin");
    let tonic = tonic_prost_build::configure().file_descriptor_set_path(descriptors);
    ringpop_build::Builder::new().tonic(tonic).compile(&["proto/sessions.proto"], &["proto"])?;
    Ok(())
}
