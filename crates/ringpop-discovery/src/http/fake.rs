//! A server for tests, whose answers are written down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

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
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    accepting: Arc<JoinHandle<()>>,
}

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    waiting: VecDeque<Box<dyn Stream>>,
    open: Vec<Box<dyn Stream>>,
    requests: Vec<String>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0", None).await
    }

    /// Listens at `address`. With `tls`, connections whose handshake fails are closed.
    pub(crate) async fn start_at(address: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream: Box<dyn Stream> = match &tls {
                    None => Box::new(stream),
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => continue,
                    },
                };
                let request = read_request(&mut stream).await;
                {
                    let mut state = served.lock().unwrap();
                    state.requests.push(request);
                    state.waiting.push_back(stream);
                }
                serve(&served).await;
            }
        });
        Self { url, state, accepting: Arc::new(accepting) }
    }

    /// Closes the port and all connections.
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "Kubernetes tests stop it"))]
    pub(crate) async fn stop(&self) {
        self.accepting.abort();
        while !self.accepting.is_finished() {
            tokio::task::yield_now().await;
        }
        let mut state = self.state.lock().unwrap();
        state.waiting.clear();
        state.open.clear();
    }

    /// Answers the next request, or the one that waits.
    pub(crate) async fn reply(&self, reply: Reply) {
        self.state.lock().unwrap().replies.push_back(reply);
        serve(&self.state).await;
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
}

/// Gives the requests that wait the answers that are written down.
async fn serve(served: &Mutex<State>) {
    loop {
        let (mut stream, reply) = {
            let mut state = served.lock().unwrap();
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
                let _ = stream.flush().await;
            }
            #[cfg(feature = "kubernetes")]
            Reply::Open(body) => {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                served.lock().unwrap().open.push(stream);
            }
            Reply::Close => {}
            Reply::Silence => served.lock().unwrap().open.insert(0, stream),
            Reply::Garbage => {
                let _ = stream.write_all(b"\x16\x03\x01 no HTTP at all\r\n\r\n").await;
            }
        }
    }
}

async fn read_request(stream: &mut Box<dyn Stream>) -> String {
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
