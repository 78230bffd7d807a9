//! The manifests of `deploy/`, held against the command that they run: ports, options, names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize as _;
use serde_json::Value;

use crate::args::{Command, NodeArgs, parse_from};
use crate::limits::{DISCOVERY_VARIABLE, SHUTDOWN_TIMEOUT};

const WORKLOADS: [(&str, &str); 2] =
    [("statefulset.yaml", "StatefulSet"), ("deployment.yaml", "Deployment")];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    std::fs::read_to_string(root.join(path)).unwrap()
}

fn documents(file: &str) -> Vec<Value> {
    let text = read(&format!("kubernetes/{file}"));
    serde_norway::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// A document of `common.yaml`.
fn common(kind: &str, name: &str) -> Value {
    let found = documents("common.yaml")
        .into_iter()
        .find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{kind} {name} is in common.yaml"))
}

struct Workload {
    document: Value,
    file: &'static str,
}

fn workloads() -> Vec<Workload> {
    WORKLOADS
        .map(|(file, kind)| {
            let mut documents = documents(file);
            assert_eq!(documents.len(), 1, "{file}");
            assert_eq!(documents[0]["kind"], kind, "{file}");
            Workload { document: documents.remove(0), file }
        })
        .into()
}

impl Workload {
    fn pod(&self) -> &Value {
        &self.document["spec"]["template"]
    }

    fn container(&self) -> &Value {
        let containers = self.pod()["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1, "{}", self.file);
        &containers[0]
    }

    /// The arguments as the command reads them.
    fn args(&self) -> NodeArgs {
        let arguments = self.container()["args"].as_array().unwrap().iter().map(|argument| {
            let text = argument.as_str().unwrap();
            text.replace("$(POD_IP)", "10.0.0.1").replace("$(POD_NAME)", "ringpop-0")
        });
        let line = std::iter::once("ringpop".to_owned()).chain(arguments).map(OsString::from);
        match parse_from(line) {
            Ok(Command::Node(args)) => *args,
            other => panic!("{}: {other:?}", self.file),
        }
    }

    fn environment(&self) -> BTreeMap<&str, &Value> {
        let variables = self.container()["env"].as_array().unwrap();
        variables.iter().map(|variable| (variable["name"].as_str().unwrap(), variable)).collect()
    }

    fn ports(&self) -> BTreeMap<&str, u64> {
        let ports = self.container()["ports"].as_array().unwrap();
        let port = |port: &Value| port["containerPort"].as_u64().unwrap();
        ports.iter().map(|entry| (entry["name"].as_str().unwrap(), port(entry))).collect()
    }
}

#[test]
fn the_command_takes_the_arguments_and_listens_at_the_ports() {
    for workload in workloads() {
        let (args, ports, file) = (workload.args(), workload.ports(), workload.file);
        assert_eq!(ports["gossip"], u64::from(args.listen.port()), "{file}");
        assert_eq!(ports["http"], u64::from(args.http.unwrap().port()), "{file}");
        assert_eq!(args.advertise.unwrap().to_string(), "10.0.0.1:7100", "{file}");
        assert_eq!(args.identity.as_deref(), Some("ringpop-0"), "{file}");
        // Every variable that an argument names is set from the pod.
        let environment = workload.environment();
        for (name, field) in [("POD_IP", "status.podIP"), ("POD_NAME", "metadata.name")] {
            assert_eq!(environment[name]["valueFrom"]["fieldRef"]["fieldPath"], field, "{file}");
        }
        let probe = &workload.container()["readinessProbe"]["grpc"]["port"];
        assert_eq!(probe.as_u64(), Some(ports["gossip"]), "{file}");
        assert!(workload.container()["livenessProbe"].is_null(), "{file}");
        assert!(workload.container()["lifecycle"].is_null(), "{file}: no preStop is needed");
        // A member leaves, serves on for its lame duck time, and ends the calls under way.
        let grace = workload.pod()["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let stop = SHUTDOWN_TIMEOUT.max(2 * args.lame_duck) + args.lame_duck;
        assert!(grace > stop.as_secs(), "{file}: {grace} s, and a stop may take {stop:?}");
    }
}

#[test]
fn discovery_names_a_service_and_a_port_that_exist() {
    for workload in workloads() {
        let file = workload.file;
        let url = workload.environment()[DISCOVERY_VARIABLE]["value"].as_str().unwrap();
        let url_error = url.parse::<ringpop::discovery::DiscoveryUrl>().err();
        let message = url_error.map(|error| error.to_string()).unwrap_or_default();
        assert!(message.is_empty() || message.contains("feature `kubernetes`"), "{message}");
        let (service, port) = url.strip_prefix("k8s:").unwrap().split_once(':').unwrap();
        let service = common("Service", service);
        // Members have to find each other before they are ready.
        assert_eq!(service["spec"]["publishNotReadyAddresses"], true, "{file}");
        let ports = service["spec"]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|entry| entry["name"] == port), "{file}");
        assert!(workload.ports().contains_key(port), "{file}");
    }
    let owner = &workloads()[0].document["spec"]["serviceName"];
    assert_eq!(*owner, "ringpop-members");
    let clients = common("Service", "ringpop");
    assert!(clients["spec"]["publishNotReadyAddresses"].is_null(), "clients get the ready ones");
}

#[test]
fn services_budget_and_policy_select_the_pods_and_their_ports() {
    for workload in workloads() {
        let labels = &workload.pod()["metadata"]["labels"];
        assert_eq!(workload.document["spec"]["selector"]["matchLabels"], *labels);
        for service in ["ringpop-members", "ringpop"] {
            let spec = &common("Service", service)["spec"];
            assert_eq!((&spec["selector"], &spec["clusterIP"]), (labels, &Value::from("None")));
            for entry in spec["ports"].as_array().unwrap() {
                let target = entry["targetPort"].as_str().unwrap();
                assert_eq!(entry["port"].as_u64(), Some(workload.ports()[target]), "{service}");
            }
        }
        let budget = common("PodDisruptionBudget", "ringpop");
        assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
        let policy = common("NetworkPolicy", "ringpop");
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"], *labels);
        let open: Vec<u64> = policy["spec"]["ingress"][0]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["port"].as_u64().unwrap())
            .collect();
        assert_eq!(open, workload.ports().into_values().collect::<Vec<_>>());
        for constraint in workload.pod()["spec"]["topologySpreadConstraints"].as_array().unwrap() {
            assert_eq!(constraint["labelSelector"]["matchLabels"], *labels);
        }
    }
}

#[test]
fn pods_may_read_endpoint_slices_and_nothing_else_and_are_not_root() {
    let role = common("Role", "ringpop-discovery");
    let rules = role["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["apiGroups"], serde_json::json!(["discovery.k8s.io"]));
    assert_eq!(rules[0]["resources"], serde_json::json!(["endpointslices"]));
    assert_eq!(rules[0]["verbs"], serde_json::json!(["list", "watch"]));
    let binding = common("RoleBinding", "ringpop-discovery");
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let dockerfile = read("Dockerfile");
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let (user, group) = user.split_once(':').unwrap();
    assert!([user, group].iter().all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    assert!(dockerfile.contains("--locked"));
    for workload in workloads() {
        let spec = &workload.pod()["spec"];
        assert_eq!(spec["serviceAccountName"], binding["subjects"][0]["name"]);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        let container = &workload.container()["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        let exposed = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
        let ports: Vec<u64> = exposed.split(' ').map(|port| port.parse().unwrap()).collect();
        assert_eq!(ports, workload.ports().into_values().collect::<Vec<_>>());
    }
}

#[test]
fn the_service_of_consul_is_checked_at_the_port_of_gossip() {
    let definition: Value = serde_json::from_str(&read("consul/ringpop.json")).unwrap();
    let service = &definition["service"];
    let port = workloads()[0].ports()["gossip"];
    assert_eq!(service["port"].as_u64(), Some(port));
    assert_eq!(service["checks"][0]["grpc"], format!("127.0.0.1:{port}"));
}
