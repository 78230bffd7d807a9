//! The command: what it prints, what it refuses, and its exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn sim(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swim-sim"));
    command.args(args.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(args: &str) -> Output {
    sim(args).output().expect("the command was built with this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let cases = [
        ("run nothing", "scenarios: all, bootstrap"),
        ("run crash --nodes 9000000", "not in 2..=1000000"),
        ("run crash --nodes 1000000", "members fit"),
        ("run mass-crash --nodes 2", "at least"),
        ("run crash --loss 2", "not between 0 and 1"),
        ("run crash --lasts 0", "not between 0.001 and 86400"),
        ("run crash --config nowhere", "lan"),
        ("run crash --set nothing=1", "settings: protocol_period"),
        ("run crash --set ping_timeout=long", "200ms"),
        ("run slow-nodes --pause asleep", "ways: frozen"),
        ("run crash --nodes 4 --report /nowhere/report.html", "/nowhere/report.html"),
        ("--seed 1 --trace /nowhere/trace", "/nowhere/trace"),
        ("--seeds 5..2", "no seed in it"),
        ("--seeds 1..3 --seed 4", "cannot be used with"),
        ("--seed 1 --mask lossy", "faults: loss, duplication"),
        ("paper raft", "lifeguard"),
    ];
    for (args, said) in cases {
        let output = run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {error}");
        assert!(error.contains(said), "{args}: {error}");
        assert!(output.stdout.is_empty(), "{args}: nothing was run");
    }
}

#[test]
fn a_scenario_is_a_table_or_json_and_a_report() {
    let report = std::env::temp_dir().join(format!("swim-sim-{}.html", std::process::id()));
    let args = format!("run crash --nodes 8 --repeat 2 --report {}", report.display());
    let output = run(&args);
    assert!(output.status.success());
    assert!(stdout(&output).contains("last detection"));
    let page = std::fs::read_to_string(&report).expect("the report was written");
    std::fs::remove_file(&report).expect("it is ours");
    assert!(page.contains("<svg") && page.contains("last detection"));

    let output = run("run crash --nodes 8 --repeat 2 --json");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let metrics = json[0]["results"][0]["metrics"].as_array().expect("an array");
    let detection = metrics.iter().find(|metric| metric["name"] == "last detection");
    assert_eq!(detection.expect("it is measured")["summary"]["count"], 2);
    assert_eq!(output.stdout, run("run crash --nodes 8 --repeat 2 --json").stdout);
}

#[test]
fn seeds_are_replayed_to_the_byte() {
    let trace = |name: &str| {
        let path = std::env::temp_dir().join(format!("swim-sim-{}-{name}", std::process::id()));
        let output = run(&format!("--seed 7 --trace {}", path.display()));
        assert!(output.status.success(), "{}", stdout(&output));
        let bytes = std::fs::read(&path).expect("the trace was written");
        std::fs::remove_file(&path).expect("it is ours");
        bytes
    };
    let first = trace("first");
    assert!(first.len() > 1_000);
    assert_eq!(first, trace("second"));
}

#[test]
fn output_that_nobody_reads_on_ends_it() {
    // The reader goes before the command begins, or it might be done by then.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = sim("run").stdout(writer).stderr(Stdio::piped()).spawn().expect("built");
    let error = BufReader::new(child.stderr.take().expect("piped")).lines().next();
    assert!(error.is_none(), "{error:?}");
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
}
