//! A server for tests, whose answers are written down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One answer to one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A whole answer: status, further header lines, body.
    Whole(u16, String, String),
    /// The beginning of a body without an end; the rest comes later, by [`Fake::send`].
    #[cfg(feature = "kubernetes")]
    Open(String),
    /// The connection is closed without an answer.
    Close,
    /// The connection stays open without an answer.
    Silence,
    /// Bytes that are no HTTP.
    Garbage,
}

/// The server. A request that has no answer written down waits for one.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    waiting: VecDeque<TcpStream>,
    open: Vec<TcpStream>,
    requests: Vec<String>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { url, state: Arc::default() };
        let served = fake.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                served.state.lock().unwrap().requests.push(request);
                served.state.lock().unwrap().waiting.push_back(stream);
                served.serve().await;
            }
        });
        fake
    }

    /// Answers the next request, or the one that waits.
    pub(crate) async fn reply(&self, reply: Reply) {
        self.state.lock().unwrap().replies.push_back(reply);
        self.serve().await;
    }

    /// The requests so far: their first line, header lines in lower case, an empty line, the body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Waits until there were so many requests.
    pub(crate) async fn requested(&self, count: usize) {
        while self.state.lock().unwrap().requests.len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Goes on with the last body that is open.
    #[cfg(feature = "kubernetes")]
    pub(crate) async fn send(&self, text: &str) {
        let stream = self.state.lock().unwrap().open.pop();
        let mut stream = stream.expect("a body is open");
        stream.write_all(text.as_bytes()).await.unwrap();
        self.state.lock().unwrap().open.push(stream);
    }

    /// Ends the last body that is open.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn end(&self) {
        self.state.lock().unwrap().open.pop();
    }

    async fn serve(&self) {
        loop {
            let (mut stream, reply) = {
                let mut state = self.state.lock().unwrap();
                if state.waiting.is_empty() || state.replies.is_empty() {
                    return;
                }
                let stream = state.waiting.pop_front().unwrap();
                (stream, state.replies.pop_front().unwrap())
            };
            match reply {
                Reply::Whole(status, headers, body) => {
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
                    // The client may have gone.
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                }
                #[cfg(feature = "kubernetes")]
                Reply::Open(body) => {
                    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                    self.state.lock().unwrap().open.push(stream);
                }
                Reply::Close => {}
                Reply::Silence => self.state.lock().unwrap().open.insert(0, stream),
                Reply::Garbage => {
                    let _ = stream.write_all(b"\x16\x03\x01 no HTTP at all\r\n\r\n").await;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap() == 1 {
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.to_ascii_lowercase();
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    format!("{line}\r\n{headers}{}", String::from_utf8(body).unwrap())
}
