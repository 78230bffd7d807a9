//! Against a server that others wrote: gRPC's C core by way of python's `grpcio`, with its default
//! settings. Says so and passes where that is not installed (`pip install grpcio`).

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::cluster::routes;
use crate::common::service::{Ask, ONCE, TestClient, UNARY};
use crate::common::{eventually, soon};
use ringpop_forward::{Forwarder, H2Config, H2Transport, StaticResolver};

/// Answers every call with an empty message after as many seconds as its metadata `x-wait` says,
/// with as many bytes of metadata as `x-give` says: behind a message, or with the code that
/// `x-code` says in its place.
const SERVER: &str = r#"
import grpc, time
from concurrent import futures

class Any(grpc.GenericRpcHandler):
    def service(self, details):
        metadata = dict(details.invocation_metadata)
        wait = float(metadata.get("x-wait", "0"))
        code = metadata.get("x-code")
        def handle(request, context):
            end = time.time() + wait
            while time.time() < end and context.is_active():
                time.sleep(0.01)
            context.set_trailing_metadata((("x-given", "1" * int(metadata.get("x-give", "0"))),))
            if code:
                context.abort(getattr(grpc.StatusCode, code), "told to fail")
            return b""
        return grpc.unary_unary_rpc_method_handler(handle)

server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Any(),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"#;

struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// `None`, and a word about it, where there is no such server.
    fn start() -> Option<Self> {
        let python = || {
            let mut python = Command::new("python3");
            python.stdin(Stdio::null()).stderr(Stdio::null());
            python
        };
        let has_grpc = python().args(["-c", "import grpc"]).status().is_ok_and(|s| s.success());
        if !has_grpc {
            // Past the capture of test output, at the beginning of a line.
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "\nSKIPPED: tests with gRPC's C core: python3 has no grpcio (pip install grpcio)"
            )
            .unwrap();
            return None;
        }
        let mut process = python().args(["-c", SERVER]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { process, address: format!("127.0.0.1:{}", port.trim()) })
    }

    fn channel(&self, config: H2Config) -> ringpop_forward::RingChannel {
        let resolver = StaticResolver::remote([self.address.as_str()]).unwrap();
        let transport = H2Transport::new(config).unwrap();
        let builder = Forwarder::builder(resolver).routes(routes()).transport(transport);
        builder.build().unwrap().channel()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn waiting(seconds: &str) -> tonic::Request<Ask> {
    let mut request = tonic::Request::new(Ask::new("k", ""));
    request.metadata_mut().insert("x-wait", seconds.parse().unwrap());
    request
}

#[tokio::test]
async fn a_server_of_c_core_answers_and_its_complaint_about_pings_is_heeded() {
    let Some(server) = Server::start() else { return };
    let channel = server.channel(H2Config::default());
    for method in [UNARY, ONCE] {
        let mut client = TestClient::new(channel.clone());
        soon("call", client.unary_at(method, waiting("0.2"))).await.unwrap();
    }
    assert_eq!(channel.forwarder().stats().pings_unwanted, 0);

    // Far more often than once in five minutes.
    let hasty = H2Config::default().keepalive_interval(Duration::from_millis(50));
    let channel = server.channel(hasty);
    let mut client = TestClient::new(channel.clone());
    let status = soon("call", client.unary_at(ONCE, waiting("30"))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    eventually("it is noticed", || channel.forwarder().stats().pings_unwanted == 1).await;
}

/// C core announces how large header lists may be, and answers with larger ones if told to.
#[tokio::test]
async fn header_lists_that_are_too_large_for_one_side_are_told_once() {
    let Some(server) = Server::start() else { return };
    let channel = server.channel(H2Config::default());
    let mut client = TestClient::new(channel.clone());
    let mut call = async |metadata: &[(&'static str, String)]| {
        let mut request = waiting("0");
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        soon("call", client.unary_at(UNARY, request))
            .await
            .map(drop)
            .map_err(|status| status.code())
    };
    assert_eq!(call(&[("x-short", "1".repeat(6000))]).await, Ok(()));
    for bytes in [20_000, 100_000] {
        let long = [("x-long", "1".repeat(bytes))];
        assert_eq!(call(&long).await, Err(tonic::Code::ResourceExhausted), "{bytes}");
        let give = ("x-give", bytes.to_string());
        assert_eq!(
            call(std::slice::from_ref(&give)).await,
            Err(tonic::Code::ResourceExhausted),
            "{bytes}"
        );
        let fail = ("x-code", "ABORTED".to_owned());
        assert_eq!(call(&[give, fail]).await, Err(tonic::Code::Aborted), "{bytes}");
    }
    assert_eq!(call(&[]).await, Ok(()));
    let stats = channel.forwarder().stats();
    assert_eq!((stats.connections, stats.retries_ambiguous, stats.retries_unavailable), (1, 0, 0));
}
