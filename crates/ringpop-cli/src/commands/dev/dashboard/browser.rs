//! Opening a page in the browser of a person, as the desktop of this machine does.

use std::process::Stdio;

use tokio::process::Command;

/// The program of the desktop, and what stands before the URL.
const PROGRAM: (&str, &[&str]) = if cfg!(target_os = "macos") {
    ("open", &[])
} else if cfg!(windows) {
    ("rundll32", &["url.dll,FileProtocolHandler"])
} else {
    ("xdg-open", &[])
};

/// Opens a page. Completes with why that was not possible as soon as it is known; a browser may run
/// on until a person closes it.
pub(in super::super) async fn open(url: &str) -> Result<(), String> {
    let (program, arguments) = PROGRAM;
    let mut command = Command::new(program);
    command.args(arguments).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C ends the cluster, and not the browser.
    #[cfg(unix)]
    command.process_group(0);
    let mut child =
        command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program} is lost: {error}")),
    }
}
