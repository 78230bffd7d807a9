//! Which processes a development cluster has, and whether their ports are free.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::failure::Failure;
use crate::limits::DEV_HTTP_OFFSET;

/// Which processes there are.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<NodePlan>,
    /// Further options of each process.
    options: Vec<String>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodePlan {
    /// Where it serves gRPC.
    pub(super) address: String,
    /// Where it serves HTTP.
    pub(super) http: String,
    ports: [u16; 2],
}

impl Plan {
    pub(super) fn new(nodes: u16, base_port: u16) -> Result<Self, Failure> {
        let reserved = DEV_HTTP_OFFSET + nodes - 1;
        let highest = u16::MAX - reserved;
        if base_port > highest {
            return Err(Failure::Usage(format!(
                "--base-port {base_port} leaves no room for {nodes} members and their HTTP ports, \
                 which are {DEV_HTTP_OFFSET} above: use at most {highest}"
            )));
        }
        let nodes = (base_port..base_port + nodes).map(NodePlan::new).collect();
        Ok(Self { nodes, options: Vec::new() })
    }

    /// One process more, on the next ports. Gives its place.
    pub(super) fn add(&mut self) -> Result<usize, Failure> {
        let last = self.nodes.last().map_or(0, |node| node.ports[0]);
        let port = last.checked_add(1).filter(|port| port.checked_add(DEV_HTTP_OFFSET).is_some());
        let Some(port) = port else {
            return Err(Failure::Failed(format!(
                "there is no port above {last} for another member"
            )));
        };
        let node = NodePlan::new(port);
        check_ports(&node)?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// The same processes with further options.
    pub(super) fn with_options(self, options: Vec<String>) -> Self {
        Self { options, ..self }
    }

    /// Fails when a port is taken, before any process is started. A port that is taken in the
    /// moment between is reported by the process that needs it.
    pub(super) fn check_ports(&self) -> Result<(), Failure> {
        self.nodes.iter().try_for_each(check_ports)
    }

    /// What follows the name of the program to run one node.
    pub(super) fn arguments(&self, node: &NodePlan) -> Vec<String> {
        let peers: Vec<_> = self.nodes.iter().map(|node| node.address.as_str()).collect();
        let ordinary = [
            "node",
            "--listen",
            &node.address,
            "--http",
            &node.http,
            "--peers",
            &peers.join(","),
            "--admin-loopback",
            // The keys are those of a trial.
            "--hot-keys",
            "1",
            "--preset",
            "local",
        ];
        ordinary.into_iter().map(str::to_owned).chain(self.options.iter().cloned()).collect()
    }

    /// What a person types to run one node.
    pub(super) fn command(&self, node: &NodePlan) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "ringpop".to_owned());
        format!("{program} {}", self.arguments(node).join(" "))
    }
}

/// Fails when a port of the process is taken.
fn check_ports(node: &NodePlan) -> Result<(), Failure> {
    for port in node.ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(Failure::Failed(format!(
                    "port {port} is in use: stop what listens there or choose other ports with --base-port"
                )));
            }
            Err(error) => {
                return Err(Failure::Failed(format!(
                    "cannot listen on port {port} ({error}): choose other ports with --base-port"
                )));
            }
        }
    }
    Ok(())
}

impl NodePlan {
    fn new(port: u16) -> Self {
        let http_port = port + DEV_HTTP_OFFSET;
        Self {
            address: format!("{}:{port}", Ipv4Addr::LOCALHOST),
            http: format!("{}:{http_port}", Ipv4Addr::LOCALHOST),
            ports: [port, http_port],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DEV_NODES_MAX;

    #[test]
    fn ports_follow_the_base_port() {
        let plan = Plan::new(3, 7100).unwrap();
        let places: Vec<_> = plan.nodes.iter().map(|node| (&*node.address, &*node.http)).collect();
        assert_eq!(
            places,
            [
                ("127.0.0.1:7100", "127.0.0.1:8100"),
                ("127.0.0.1:7101", "127.0.0.1:8101"),
                ("127.0.0.1:7102", "127.0.0.1:8102"),
            ]
        );
    }

    #[test]
    fn options_are_given_to_each_process() {
        let plan =
            Plan::new(2, 7100).unwrap().with_options(vec!["--unread-bytes=70000".to_owned()]);
        for node in &plan.nodes {
            let last = plan.arguments(node).pop();
            assert_eq!(last.as_deref(), Some("--unread-bytes=70000"));
            assert!(plan.command(node).ends_with("--preset local --unread-bytes=70000"));
        }
    }

    #[test]
    fn ports_must_fit() {
        for nodes in [1, 5, DEV_NODES_MAX] {
            let highest = u16::MAX - DEV_HTTP_OFFSET - (nodes - 1);
            let last = Plan::new(nodes, highest).unwrap().nodes.pop().unwrap();
            assert_eq!(last.http, "127.0.0.1:65535");
            let Err(Failure::Usage(message)) = Plan::new(nodes, highest + 1) else {
                panic!("port {} does not fit", highest + 1);
            };
            assert!(message.contains(&highest.to_string()), "{message}");
        }
    }

    #[test]
    fn another_process_takes_the_next_ports() {
        let mut plan = Plan::new(2, 27_100).unwrap();
        assert_eq!(plan.add().unwrap(), 2);
        let last = &plan.nodes[2];
        assert_eq!((&*last.address, &*last.http), ("127.0.0.1:27102", "127.0.0.1:28102"));
        assert!(
            plan.arguments(last)
                .contains(&"127.0.0.1:27100,127.0.0.1:27101,127.0.0.1:27102".to_owned())
        );
        let mut full = Plan::new(1, u16::MAX - DEV_HTTP_OFFSET).unwrap();
        assert!(full.add().is_err());
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let nodes = vec![NodePlan { ports: [port, port], ..NodePlan::new(1) }];
        let plan = Plan { nodes, options: Vec::new() };
        let Err(Failure::Failed(message)) = plan.check_ports() else {
            panic!("the port is taken");
        };
        assert!(message.starts_with(&format!("port {port} is in use")), "{message}");
        assert!(message.contains("--base-port"), "{message}");
    }
}
