//! Where the members or backends of a cluster come from.
