//! Two processes, one trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// The span of the caller, which is this test.
const CALLER: &str = "00f067aa0ba902b7";

/// A member in a process of its own, and the spans that it has exported.
struct Process {
    child: Child,
    address: String,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Process {
    fn start(address: &str, peers: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringpop-opentelemetry-example"))
            .args([address, peers])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let spans = Arc::<Mutex<Vec<Value>>>::default();
        let exported = Arc::clone(&spans);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                exported.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, address: address.to_owned(), spans }
    }

    /// The body of the answer to a request of this trace; `None` when there is none yet.
    fn get(&self, path: &str, trace: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: rides\r\nconnection: close\r\n\
             traceparent: 00-{trace}-{CALLER}-01\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// The span of a request of this trace below this one.
    fn span(&self, trace: &str, parent: &str, name: &str) -> Option<String> {
        let spans = self.spans.lock().unwrap();
        let is_it = |span: &&Value| {
            span["trace"] == trace && span["parent"] == parent && span["name"] == name
        };
        Some(spans.iter().find(is_it)?["span"].as_str()?.to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until there is something.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_request_that_is_forwarded_is_one_trace_in_two_processes() {
    let free = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = free.map(|listener| listener.local_addr().unwrap().to_string());
    let peers = addresses.join(",");
    let [asked, owner] = [0, 1].map(|i| Process::start(&addresses[i], &peers));

    let mut number = 0;
    let (trace, path) = until("a driver at the other member", || {
        number += 1;
        let (trace, path) = (format!("{number:032x}"), format!("/drivers/{number}"));
        let body = asked.get(&path, &trace)?;
        body.contains(&owner.address).then_some((trace, path))
    });

    let first = until("the span where it arrived, below the one of the caller", || {
        asked.span(&trace, CALLER, &path)
    });
    let second =
        until("the span at the owner, below the first", || owner.span(&trace, &first, &path));
    assert_ne!(first, second);
    assert_eq!(owner.span(&trace, CALLER, &path), None, "the caller has asked the first only");
}
