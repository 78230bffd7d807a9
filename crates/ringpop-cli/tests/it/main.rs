//! The command as its users meet it: real processes on loopback.
#![cfg(unix)]

mod bad_input;
mod cluster;
mod command_lines;
mod dashboard;
mod dev;
mod discovery;
mod every_command;
mod faults;
mod hand_off;
mod large;
mod node;
mod operate;
mod propagation;
mod questions;
mod ring;
#[path = "../../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;
mod scripts;
mod settings;
mod standing;
mod support;
mod tls;
mod tools;
mod trouble;
