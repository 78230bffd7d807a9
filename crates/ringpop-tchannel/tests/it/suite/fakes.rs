//! Fake members: processes that speak TChannel, answer as they are told and
//! keep a journal of what they are asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ringpop_tchannel::fingerprint32;
use ringpop_tchannel::frame::{
    Args, Assembler, CallRequest, CallResponse, ChecksumKind, Frame, Init, Kind, ResponseCode,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Incarnation of the fakes, as in the cross-language suite.
pub const INCARNATION: u64 = 1337;

/// A request that a fake got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which fake.
    pub fake: usize,
    pub endpoint: String,
    pub body: Value,
}

/// How the fakes behave, all of them alike but where a set says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// These do not answer pings.
    pub silent: Vec<usize>,
    /// Joins wait.
    pub holds_joins: bool,
    /// What they answer to joins.
    pub membership: Vec<Value>,
}

#[derive(Debug)]
pub struct Fakes {
    pub addresses: Vec<String>,
    journal: Arc<Mutex<VecDeque<Asked>>>,
    behaviour: watch::Sender<Behaviour>,
    tasks: Vec<JoinHandle<()>>,
}

impl Fakes {
    pub async fn start(n: usize) -> Self {
        let journal = Arc::default();
        let behaviour = watch::channel(Behaviour::default()).0;
        let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
        for i in 0..n {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let fake = Fake {
                index: i,
                address: address.clone(),
                journal: Arc::clone(&journal),
                behaviour: behaviour.subscribe(),
            };
            tasks.push(tokio::spawn(fake.accept(listener)));
            addresses.push(address);
        }
        let fakes = Self { addresses, journal, behaviour, tasks };
        fakes.behave(|behaviour| behaviour.membership = fakes.alive());
        fakes
    }

    /// All fakes as alive members.
    pub fn alive(&self) -> Vec<Value> {
        self.addresses.iter().map(|address| member(address, "alive", INCARNATION)).collect()
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.behaviour.send_modify(change);
    }

    /// Closes one for ever: it refuses connections from now on.
    pub fn shut_down(&self, i: usize) {
        self.tasks[i].abort();
    }

    /// The requests since the last look.
    pub fn take(&self) -> Vec<Asked> {
        self.journal.lock().unwrap().drain(..).collect()
    }

    /// Takes the next request that is wanted, and all before it.
    pub async fn next(&self, what: &str, wanted: impl Fn(&Asked) -> bool) -> Asked {
        let found = Mutex::new(None);
        crate::support::until(what, Duration::from_secs(20), || async {
            let mut journal = self.journal.lock().unwrap();
            while let Some(asked) = journal.pop_front() {
                if wanted(&asked) {
                    *found.lock().unwrap() = Some(asked);
                    return true;
                }
            }
            false
        })
        .await;
        found.into_inner().unwrap().expect("it was found")
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Asked {
    pub fn is(&self, endpoint: &str) -> bool {
        self.endpoint == endpoint
    }

    pub fn changes(&self) -> &[Value] {
        self.body["changes"].as_array().expect("every request of the protocol has changes")
    }
}

/// A member as in a list or in a change.
pub fn member(address: &str, status: &str, incarnation: u64) -> Value {
    json!({ "address": address, "status": status, "incarnationNumber": incarnation })
}

/// The same with who said so.
pub fn said(by: &str, mut change: Value) -> Value {
    change["source"] = json!(by);
    change["sourceIncarnationNumber"] = json!(INCARNATION);
    change
}

/// The checksum of ringpop-go, computed from what `/admin/stats` lists. Labels
/// are none of its business.
pub fn checksum(stats: &Value) -> u64 {
    let members = stats["membership"]["members"].as_array().unwrap();
    let counted = members.iter().filter(|member| member["status"] != "tombstone");
    let mut texts: Vec<String> = counted
        .map(|member| {
            let [address, status] = ["address", "status"].map(|key| member[key].as_str().unwrap());
            format!("{address}{status}{};", member["incarnationNumber"])
        })
        .collect();
    texts.sort();
    fingerprint32(texts.concat().as_bytes()).into()
}

#[derive(Clone)]
struct Fake {
    index: usize,
    address: String,
    journal: Arc<Mutex<VecDeque<Asked>>>,
    behaviour: watch::Receiver<Behaviour>,
}

impl Fake {
    async fn accept(self, listener: TcpListener) {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let fake = self.clone();
            connections.spawn(async move { drop(fake.serve(stream).await) });
        }
    }

    /// Serves a connection. The answers of one are in order: a join that waits
    /// holds up what follows it, hence held joins are answered on the side.
    async fn serve(self, stream: TcpStream) -> std::io::Result<()> {
        let (mut reader, writer) = stream.into_split();
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = Frame::decode(&mut buffer).map_err(std::io::Error::other)? {
                match frame.kind {
                    Kind::InitRequest => {
                        let init = Init {
                            version: 2,
                            host_port: self.address.clone(),
                            process_name: "fake".to_owned(),
                        };
                        let answer = init.encode(Kind::InitResponse, frame.id).encode();
                        writer.lock().await.write_all(&answer).await?;
                    }
                    Kind::CallRequest => {
                        let (fake, writer) = (self.clone(), writer.clone());
                        tokio::spawn(async move {
                            if let Some(answer) = fake.answer(&frame).await {
                                let _ = writer.lock().await.write_all(&answer).await;
                            }
                        });
                    }
                    other => panic!("a member has no reason to send {other:?}"),
                }
            }
            if reader.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn answer(mut self, frame: &Frame) -> Option<Bytes> {
        let (request, fragment) = CallRequest::decode(frame).unwrap();
        assert_eq!(request.service, "ringpop");
        for wanted in ["as", "cn"] {
            assert!(request.headers.iter().any(|(key, _)| key == wanted), "header {wanted}");
        }
        let args = Assembler::new(1 << 20).push(&fragment).unwrap().expect("one frame is enough");
        let endpoint = String::from_utf8(args.arg1.to_vec()).unwrap();
        let body: Value = serde_json::from_slice(&args.arg3).unwrap();
        let asked = Asked { fake: self.index, endpoint: endpoint.clone(), body };
        let body = asked.body.clone();
        self.journal.lock().unwrap().push_back(asked);
        let answer = match endpoint.as_str() {
            "/protocol/join" => {
                let behaviour = self.behaviour.wait_for(|now| !now.holds_joins).await.ok()?;
                let by = |change: &Value| said(&self.address, change.clone());
                json!({
                    "app": "ringpop",
                    "coordinator": self.address,
                    "membership": behaviour.membership.iter().map(by).collect::<Vec<_>>(),
                    "membershipChecksum": 1,
                })
            }
            "/protocol/ping" if self.behaviour.borrow().silent.contains(&self.index) => {
                return None;
            }
            // As ringpop-node: nothing but the changes.
            "/protocol/ping" => json!({ "changes": [] }),
            "/protocol/ping-req" => {
                json!({ "changes": [], "pingStatus": false, "target": body["target"] })
            }
            other => panic!("no implementation has {other}"),
        };
        let head = vec![("as".to_owned(), "raw".to_owned())];
        let response = CallResponse { code: ResponseCode::Ok, headers: head };
        let args = Args { arg3: answer.to_string().into(), ..Args::default() };
        Some(response.encode(frame.id, &args, ChecksumKind::Crc32).concat().into())
    }
}
