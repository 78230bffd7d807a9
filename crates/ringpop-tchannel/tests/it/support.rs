//! What the tests share: a client that speaks TChannel, processes that end with
//! the test, and waiting on conditions.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what is shared")]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ringpop_tchannel::frame::{
    Args, Assembler, CallRequest, CallResponse, ChecksumKind, ErrorFrame, Fragment, Frame, Init,
    Kind, ResponseCode,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long one exchange of a client may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that speaks TChannel and is no member.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    next_id: u32,
    pub checksum: ChecksumKind,
}

/// What a call brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok(Bytes),
    Error(Bytes),
    Frame(ErrorFrame),
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        let Self::Ok(body) = self else { panic!("not served: {self:?}") };
        serde_json::from_slice(body).unwrap()
    }

    /// The words of a refusal by the application.
    #[track_caller]
    pub fn refusal(&self) -> String {
        let Self::Error(body) = self else { panic!("not refused: {self:?}") };
        String::from_utf8_lossy(body).into_owned()
    }

    /// The code and the words of an error frame.
    #[track_caller]
    pub fn frame(&self) -> &ErrorFrame {
        let Self::Frame(error) = self else { panic!("no error frame: {self:?}") };
        error
    }
}

impl Client {
    /// Opens a connection and introduces itself.
    pub async fn connect(address: &str) -> std::io::Result<Self> {
        let mut client = Self::open(address).await?;
        let init = Init {
            version: 2,
            host_port: "0.0.0.0:0".to_owned(),
            process_name: "client".to_owned(),
        };
        client.send(&init.encode(Kind::InitRequest, 1).encode()).await?;
        match client.next_frame().await? {
            Some(frame) if frame.kind == Kind::InitResponse => Ok(client),
            other => Err(std::io::Error::other(format!("{other:?}"))),
        }
    }

    /// Opens a connection and says nothing.
    pub async fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let checksum = ChecksumKind::None;
        Ok(Self { stream, buffer: BytesMut::new(), next_id: 2, checksum })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn next_frame(&mut self) -> std::io::Result<Option<Frame>> {
        let next = async {
            loop {
                let frame = Frame::decode(&mut self.buffer).map_err(std::io::Error::other)?;
                if frame.is_some() {
                    return Ok(frame);
                }
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Ok(None);
                }
            }
        };
        timeout(EXCHANGE_TIMEOUT, next).await.map_err(std::io::Error::other)?
    }

    pub async fn call(&mut self, endpoint: &str, body: &str) -> std::io::Result<Answer> {
        self.call_service("ringpop", endpoint, body.as_bytes().to_vec()).await
    }

    pub async fn call_service(
        &mut self,
        service: &str,
        endpoint: &str,
        body: Vec<u8>,
    ) -> std::io::Result<Answer> {
        let (request, args) = request(service, endpoint, body);
        let id = self.next_id;
        self.next_id += 1;
        for frame in request.encode(id, &args, self.checksum) {
            self.send(&frame).await?;
        }
        self.answer(id).await
    }

    /// The answer to the call with this id; what else comes is left out.
    pub async fn answer(&mut self, id: u32) -> std::io::Result<Answer> {
        let mut assembler = Assembler::new(64 << 20);
        let mut code = ResponseCode::Ok;
        loop {
            let Some(frame) = self.next_frame().await? else {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            };
            if frame.id != id {
                continue;
            }
            let fragment = match frame.kind {
                Kind::CallResponse => {
                    let (response, fragment) =
                        CallResponse::decode(&frame).map_err(std::io::Error::other)?;
                    code = response.code;
                    fragment
                }
                Kind::CallResponseContinue => {
                    Fragment::decode(&frame).map_err(std::io::Error::other)?
                }
                Kind::Error => {
                    let error = ErrorFrame::decode(&frame).map_err(std::io::Error::other)?;
                    return Ok(Answer::Frame(error));
                }
                other => panic!("{other:?} is no answer"),
            };
            if let Some(args) = assembler.push(&fragment).map_err(std::io::Error::other)? {
                return Ok(match code {
                    ResponseCode::Ok => Answer::Ok(args.arg3),
                    ResponseCode::Error => Answer::Error(args.arg3),
                });
            }
        }
    }
}

/// A call as other implementations send it.
pub fn request(service: &str, endpoint: &str, body: Vec<u8>) -> (CallRequest, Args) {
    let headers = [("as", "raw"), ("cn", "client")];
    let headers = headers.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let request = CallRequest { ttl_ms: 10_000, service: service.to_owned(), headers };
    let arg1 = Bytes::copy_from_slice(endpoint.as_bytes());
    (request, Args { arg1, arg2: Bytes::from_static(b"null"), arg3: body.into() })
}

/// One call over a connection of its own; `None` when nobody serves it.
pub async fn ask(address: &str, endpoint: &str, body: &str) -> Option<Answer> {
    let asked = async { Client::connect(address).await?.call(endpoint, body).await };
    timeout(EXCHANGE_TIMEOUT, asked).await.ok()?.ok()
}

/// What `/admin/stats` says; `None` when nobody answers.
pub async fn stats(address: &str) -> Option<Value> {
    match ask(address, "/admin/stats", "null").await? {
        Answer::Ok(body) => serde_json::from_slice(&body).ok(),
        _ => None,
    }
}

/// Status and incarnation of a member as another one sees it.
pub fn seen(stats: &Value, address: &str) -> Option<(String, u64)> {
    let members = stats["membership"]["members"].as_array()?;
    let member = members.iter().find(|member| member["address"] == address)?;
    Some((member["status"].as_str()?.to_owned(), member["incarnationNumber"].as_u64()?))
}

/// Waits for a condition.
#[track_caller]
pub fn until<F>(
    what: impl Into<String>,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = Duration>
where
    F: Future<Output = bool>,
{
    let (what, caller) = (what.into(), std::panic::Location::caller());
    async move {
        let start = Instant::now();
        while !condition().await {
            assert!(start.elapsed() < limit, "{caller}: not within {limit:?}: {what}");
            sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    }
}

/// Addresses on which nobody listens, below the range from which the system
/// takes the ports of outgoing connections.
pub fn free_addresses(n: usize) -> Vec<String> {
    let mut held = Vec::new();
    let mut addresses = BTreeSet::new();
    while addresses.len() < n {
        let port = fastrand::u16(10_000..30_000);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push(listener);
            addresses.insert(format!("127.0.0.1:{port}"));
        }
    }
    addresses.into_iter().collect()
}

/// Writes the list of hosts of a cluster.
pub fn hosts_file(directory: &Path, addresses: &[String]) -> PathBuf {
    let path = directory.join("hosts.json");
    std::fs::write(&path, serde_json::to_vec(addresses).unwrap()).unwrap();
    path
}

/// A process that is killed at the end of the test.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// The Rust member that the cross-language suite drives.
    pub fn testpop(address: &str, hosts: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testpop"));
        command.arg(format!("--listen={address}")).arg(format!("--hosts={}", hosts.display()));
        Self::start(command.args(options))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid).status().unwrap();
        assert!(status.success());
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// The code with which it ends.
    pub async fn exit(&mut self, limit: Duration) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < limit, "the process did not end within {limit:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
