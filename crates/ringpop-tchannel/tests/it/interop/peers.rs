//! ringpop-node as it is published, installed once for all tests.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long an installation may take: it downloads a few packages and compiles
/// two of them.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);

const FILES: [&str; 5] = [
    "package.json",
    "package-lock.json",
    "member.js",
    "metrics-stub/package.json",
    "metrics-stub/index.js",
];

/// Where `member.js` and its packages are; `None` where they cannot be, which
/// is said loudly.
pub fn ringpop_node() -> Option<&'static Path> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    INSTALLED.get_or_init(install).as_deref()
}

/// Nothing is downloaded unasked: this variable of the environment asks.
const SWITCH: &str = "RINGPOP_TEST_ALL";

fn install() -> Option<PathBuf> {
    if std::env::var_os(SWITCH).is_none_or(|value| value != "1") {
        skip(&format!("{SWITCH}=1 lets them install it with npm"));
        return None;
    }
    for program in ["node", "npm"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skip(&format!("{program} is not installed"));
            return None;
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/interop/node");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ringpop-node");
    fs::create_dir_all(target.join("metrics-stub")).unwrap();
    let mut changed = false;
    for file in FILES {
        let wanted = fs::read(source.join(file)).unwrap();
        if fs::read(target.join(file)).ok().as_ref() != Some(&wanted) {
            fs::write(target.join(file), wanted).unwrap();
            changed = true;
        }
    }
    let done = target.join("installed");
    if changed || !done.exists() {
        let _ = fs::remove_file(&done);
        if let Err(reason) = npm_ci(&target) {
            skip(&reason);
            return None;
        }
        fs::write(done, "").unwrap();
    }
    Some(target)
}

fn npm_ci(target: &Path) -> Result<(), String> {
    let log = target.join("npm.log");
    let output = fs::File::create(&log).unwrap();
    let mut npm = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(target)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("npm does not start: {error}"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = npm.try_wait().unwrap() {
            let failed = format!("npm ci failed; see {}", log.display());
            return if status.success() { Ok(()) } else { Err(failed) };
        }
        if start.elapsed() > INSTALL_TIMEOUT {
            let _ = npm.kill();
            let _ = npm.wait();
            return Err(format!("npm ci took longer than {INSTALL_TIMEOUT:?}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Past the capture of test output, at the beginning of a line.
fn skip(reason: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nSKIPPED: tests with ringpop-node: {reason}").unwrap();
}
