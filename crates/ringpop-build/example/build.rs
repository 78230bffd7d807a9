//! Compiles the schemas. There is no `protoc` to install.

fn main() -> Result<(), ringpop_build::Error> {
    // The test service answers UNIMPLEMENTED: only its keys are looked at.
    let tonic = tonic_prost_build::configure().generate_default_stubs(true);
    ringpop_build::Builder::new()
        .tonic(tonic)
        .compile(&["proto/notes.proto", "proto/kinds.proto"], &["proto"])
}
