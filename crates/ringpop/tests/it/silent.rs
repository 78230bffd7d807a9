//! A member falls silent, as a stopped process does: its connections stay open and nothing is
//! answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use ringpop::swim::{Config, Status};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::Service;

const PATIENCE: Duration = Duration::from_secs(60);
const READ: &str = "/t.T/Read";
const WRITE: &str = "/t.T/Write";

/// Answers every call with the name of its member, but for those that are to hang there.
#[derive(Clone)]
struct Who(String);

/// Calls that hang.
static HANGING: AtomicUsize = AtomicUsize::new(0);

service!(Who, "t.T");

impl Who {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        if request.headers().get("x-hang").is_some_and(|at| at.as_bytes() == self.0.as_bytes()) {
            HANGING.fetch_add(1, Ordering::AcqRel);
            std::future::pending::<()>().await;
        }
        let response = http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0")
            .header("x-member", &self.0);
        response.body(Body::empty()).unwrap()
    }
}

async fn member(address: SocketAddr, all: String) -> Ringpop {
    let routes = Routes::new().header(READ).unary().idempotent().header(WRITE).unary();
    let member = Ringpop::builder("test")
        .listen(address)
        .discovery(Arc::new(StaticList::parse(&all).unwrap()))
        .config(Config::local())
        .routes(routes)
        .bind()
        .await
        .unwrap();
    let service = Who(member.whoami().to_owned());
    member.serve(tonic::service::Routes::new(service)).unwrap();
    member
}

fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The member that answered, or the status of the call, which hangs at the member `hang`.
async fn call(asked: &Ringpop, path: &str, key: &str, hang: &str) -> Result<String, String> {
    let mut client = asked.forwarder().client(Who(asked.whoami().to_owned()));
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("ringpop-key", key)
        .header("x-hang", hang)
        .body(Body::empty())
        .unwrap();
    let response = timeout(PATIENCE, client.call(request)).await.unwrap().unwrap();
    let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    match header("x-member") {
        Some(member) => Ok(member),
        None => Err(header("grpc-message").unwrap_or_default()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_waits_until_a_silent_owner_is_faulty_and_no_write_longer() {
    let addresses: Vec<SocketAddr> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
        .collect();
    let all = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let silent_runtime = one_thread();
    let asked = Arc::new(member(addresses[0], all.clone()).await);
    let other = member(addresses[1], all.clone()).await;
    let silent = silent_runtime.spawn(member(addresses[2], all)).await.unwrap();
    let silent = Arc::new(silent);
    let joining = Arc::clone(&silent);
    let joined = silent_runtime.spawn(async move { joining.bootstrap().await.map(drop) });
    let (a, b, c) = tokio::join!(asked.bootstrap(), other.bootstrap(), joined);
    assert!(a.is_ok() && b.is_ok() && c.unwrap().is_ok());
    let owners = [silent.whoami(), other.whoami()];
    let key = timeout(PATIENCE, async {
        loop {
            let found = (0..1000).map(|i| format!("key-{i}")).find(|key| {
                asked.view().ring.len() == 3 && asked.lookup_n(key.as_bytes(), 2) == owners
            });
            match found {
                Some(key) => break key,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let key = key.await.unwrap();
    let begin = |path| {
        let (asked, key, hang) = (Arc::clone(&asked), key.clone(), silent.whoami().to_owned());
        tokio::spawn(async move { call(&asked, path, &key, &hang).await })
    };
    let (read, write) = (begin(READ), begin(WRITE));
    let both_hang = async {
        while HANGING.load(Ordering::Acquire) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, both_hang).await.unwrap();
    assert!(!read.is_finished() && !write.is_finished());

    // Its only thread does nothing any more.
    let (wake, sleep) = std::sync::mpsc::channel::<()>();
    silent_runtime.spawn(async move {
        let _ = sleep.recv();
    });
    let status = || asked.view().member(silent.whoami()).unwrap().status;
    assert_eq!(read.await.unwrap().unwrap(), other.whoami());
    assert_eq!(asked.forward_stats().hedges, 1, "it was the suspicion that ended the wait");
    // New calls go past it: nothing of them was sent.
    assert_eq!(call(&asked, WRITE, &key, "").await.unwrap(), other.whoami());
    assert_eq!(call(&asked, READ, &key, "").await.unwrap(), other.whoami());
    let message = write.await.unwrap().unwrap_err();
    assert!(
        message.contains("counts%20as%20dead") || message.contains("counts as dead"),
        "{message}"
    );
    assert_eq!(status(), Status::Faulty);
    drop(wake);
    silent_runtime.shutdown_background();
}
