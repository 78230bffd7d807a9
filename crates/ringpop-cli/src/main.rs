//! The `ringpop` command.

fn main() {}
