//! Compiles the schema. There is no `protoc` to install.

fn main() -> Result<(), ringpop_build::Error> {
    ringpop_build::Builder::new().compile(&["proto/sessions.proto"], &["proto"])
}
