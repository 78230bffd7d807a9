//! A terminal whose screen a test reads and whose keys it presses.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::Child;

use super::process::ringpop;
use super::{PATIENCE, eventually};

/// A command that runs in a terminal.
pub(crate) struct Terminal {
    child: Child,
    controller: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
impl Terminal {
    /// Runs the command in a terminal of this size.
    pub(crate) fn run(arguments: &[&str], columns: u16, lines: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap());
        let (stdin, stdout) = (open().unwrap(), open().unwrap());
        let mut command = ringpop(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        let child = command.stdin(stdin).stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
        let controller = File::from(controller);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (reader, seen) = (controller.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || read(reader, &seen));
        Self { child, controller, shown }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was written so far, without blanks and without what moves the cursor.
    fn text(&self) -> String {
        let bytes = self.shown.lock().unwrap().clone();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c == '\u{1b}' {
                // A control sequence ends with a letter.
                let _ = rest.find(|c| c.is_ascii_alphabetic());
            } else if !c.is_whitespace() && !c.is_control() {
                plain.push(c);
            }
        }
        plain
    }

    /// Waits until it has written this, blanks aside.
    pub(crate) async fn shows(&self, text: &str) {
        let wanted: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let looked = || std::future::ready(self.text().contains(&wanted).then_some(()));
        eventually(&format!("the terminal shows {text:?}"), looked).await;
    }

    /// Waits for the end of the command, and gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.expect("it ends").unwrap().code()
    }
}

/// Takes what is written, and answers where the cursor is when that is asked.
fn read(mut terminal: File, shown: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = terminal.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let bytes = &buffer[..count];
        if bytes.windows(4).any(|window| window == b"\x1b[6n") {
            let _ = terminal.write_all(b"\x1b[1;1R");
        }
        shown.lock().expect("no holder panics").extend_from_slice(bytes);
    }
}
