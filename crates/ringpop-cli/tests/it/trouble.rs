//! What a member in trouble says of itself, to people and to programs.

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};
use crate::support::{Cluster, eventually, member, status};

/// The problems that a member tells programs.
fn problems(status: &Value) -> Vec<&str> {
    let problems = status["problems"].as_array().expect("a list");
    problems.iter().filter_map(Value::as_str).collect()
}

/// What a person reads.
async fn text(address: &str) -> String {
    let output = ringpop(&["status", address]).output().await.expect("the command runs");
    String::from_utf8(output.stdout).expect("text")
}

fn start(listen: &str, advertise: &str, peers: &str) -> Process {
    Process::start(&[
        "node",
        "--listen",
        listen,
        "--advertise",
        advertise,
        "--peers",
        peers,
        "--preset",
        "local",
        "--json",
    ])
}

#[tokio::test]
async fn a_member_that_nobody_can_dial_names_the_address() {
    let ports = Ports::claim(4);
    let [one, two, listen, advertised] = [0, 1, 2, 3].map(|i| ports.grpc(i));
    let peers = format!("{one},{two}");
    let others = [start(&one, &one, &peers), start(&two, &two, &peers)];
    let lost = start(&listen, &advertised, &peers);

    eventually("the others have it off the ring", || async {
        let status = status(&one).await?;
        let off = |m: &Value| m["share"] == 0.0 && m["status"] == "faulty";
        member(&status, &advertised).is_some_and(off).then_some(())
    })
    .await;
    let own = eventually("it says that nobody reaches it", || async {
        let own = status(&listen).await?;
        let told = problems(&own).iter().any(|problem| problem.contains("nobody reaches"));
        told.then_some(own)
    })
    .await;
    assert!(problems(&own)[0].contains(&advertised), "{own}");
    assert_eq!(member(&own, &advertised).expect("it knows itself")["share"], 0.0);
    let text = text(&listen).await;
    assert!(
        text.contains(&format!("problem: nobody reaches this member at {advertised}")),
        "{text}"
    );
    lost.told("an event", |event| event["event"] == "problem" && event["began"] == true).await;

    let listener = TcpListener::bind(&advertised).await.expect("nobody listens there");
    tokio::spawn(async move {
        while let Ok((mut incoming, _)) = listener.accept().await {
            let to = listen.clone();
            tokio::spawn(async move {
                let mut outgoing = TcpStream::connect(to).await?;
                copy_bidirectional(&mut incoming, &mut outgoing).await
            });
        }
    });
    lost.told("its end", |event| event["event"] == "problem" && event["began"] == false).await;
    eventually("it is back", || async {
        let status = status(&one).await?;
        member(&status, &advertised).is_some_and(|m| m["share"] != 0.0).then_some(())
    })
    .await;
    drop(others);
}

#[tokio::test]
async fn a_member_that_lost_the_others_says_so_until_they_are_back() {
    let mut cluster = Cluster::start(3);
    let _ = cluster.converged().await;
    let address = cluster.ports.grpc(0);
    for node in &cluster.nodes[1..] {
        node.signal(Signal::KILL);
    }
    let alone = eventually("it says that it hears from nobody", || async {
        let status = status(&address).await?;
        let told = problems(&status).iter().any(|problem| problem.contains("hears from nobody"));
        told.then_some(status)
    })
    .await;
    assert_eq!(alone["isolation"], "alone");
    assert_eq!(problems(&alone).len(), 1, "{alone}");
    let text = text(&address).await;
    assert!(text.contains("problem: this member hears from nobody"), "{text}");
    cluster.restart(1);
    cluster.restart(2);
    let _ = cluster.converged().await;
    eventually("it has no problem any more", || async {
        let status = status(&address).await?;
        (problems(&status).is_empty() && status["isolation"] == "none").then_some(())
    })
    .await;
}
