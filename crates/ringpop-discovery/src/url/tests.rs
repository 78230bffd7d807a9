use super::*;

fn error(text: &str) -> String {
    text.parse::<DiscoveryUrl>().unwrap_err().to_string()
}

#[tokio::test]
async fn every_example_can_be_read_and_comes_back_as_it_was() {
    for (scheme, example) in EXAMPLES {
        match example.parse::<DiscoveryUrl>() {
            Ok(url) => assert_eq!(url.to_string(), example),
            Err(error) => {
                assert!(matches!(error, UrlError::NotBuilt { .. }), "{error}");
                assert!(["srv", "k8s", "consul"].contains(&scheme), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_is_fixed_and_a_file_is_watched() {
    let list = "static:10.0.0.1:7100,[::1]:7100".parse::<DiscoveryUrl>().unwrap().open().unwrap();
    assert!(list.is_fixed() && list.snapshots().is_none());
    assert_eq!(list.peers().await.unwrap().len(), 2);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("the hosts?.json");
    std::fs::write(&path, "[\"a:1\"]").unwrap();
    let escaped = path.to_str().unwrap().replace(' ', "%20").replace('?', "%3F");
    for prefix in ["file:", "file://"] {
        let url: DiscoveryUrl = format!("{prefix}{escaped}?interval=100ms").parse().unwrap();
        let source = url.open().unwrap();
        assert!(!source.is_fixed());
        assert_eq!(source.peers().await.unwrap().len(), 1);
        let mut snapshots = source.snapshots().unwrap();
        assert_eq!(snapshots.next().await.unwrap().unwrap().records().len(), 1);
        std::fs::write(&path, "[\"a:1\", \"b:1\"]").unwrap();
        assert_eq!(snapshots.next().await.unwrap().unwrap().records().len(), 2);
        std::fs::write(&path, "[\"a:1\"]").unwrap();
    }
}

#[tokio::test]
async fn several_urls_are_a_union() {
    let urls = ["static:a:1", "static:b:1"].map(|url| url.parse::<DiscoveryUrl>().unwrap());
    let source = open(&urls).unwrap();
    assert_eq!(source.peers().await.unwrap().len(), 2);
    assert!(open(&urls[..1]).unwrap().is_fixed());
    assert_eq!(open(&[]).unwrap_err().to_string(), "0 sources cannot be united: give 1 to 16");
}

#[test]
fn each_refusal_names_the_part_and_shows_an_example() {
    for (text, part, example) in [
        ("", "has no scheme", "dns:workers.internal:7100"),
        ("10.0.0.1", "has no scheme", "static:10.0.0.1:7100"),
        ("10.0.0.1:7100", "\"10.0.0.1\" is no scheme", "dns:workers.internal:7100"),
        ("etcd:workers", "\"etcd\" is no scheme", "dns:workers.internal:7100"),
        ("static:", "the place of the URL", "static:10.0.0.1:7100,10.0.0.2:7100"),
        ("static:a", "the list of the URL", "static:10.0.0.1:7100,10.0.0.2:7100"),
        ("static:a:1,,b:1", "the list of the URL", "static:10.0.0.1:7100,10.0.0.2:7100"),
        ("static:a:1?cache=/x", "parameter \"cache\"", "static:10.0.0.1:7100,10.0.0.2:7100"),
        ("dns:workers", "the name of the URL", "dns:workers.internal:7100"),
        ("dns:a:1?intervall=5s", "parameter \"intervall\"", "dns:workers.internal:7100"),
        ("dns:a:1?interval=5", "parameter \"interval\"", "dns:workers.internal:7100"),
        ("dns:a:1?interval=1ms", "parameter \"interval\"", "dns:workers.internal:7100"),
        ("dns:a:1?interval=99999999999999999m", "\"interval\"", "dns:workers.internal:7100"),
        ("dns:a:1?interval=5s&interval=6s", "more than once", "dns:workers.internal:7100"),
        ("file:/x?cache", "parameter \"cache\"", "file:/etc/ringpop/hosts.json"),
        ("file:/x?cache=", "its value is empty", "file:/etc/ringpop/hosts.json"),
        ("file:/x%2", "two hexadecimal digits", "file:/etc/ringpop/hosts.json"),
        ("file:/x%zz", "two hexadecimal digits", "file:/etc/ringpop/hosts.json"),
        ("file:/x%ff", "no UTF-8", "file:/etc/ringpop/hosts.json"),
    ] {
        let message = error(text);
        assert!(message.contains(part) && message.contains(example), "{text:?}: {message}");
    }
    assert!(error(&format!("static:{}", "a".repeat(5000))).contains("more than the 4096 allowed"));
}

#[test]
#[cfg(not(any(feature = "consul", feature = "dns", feature = "kubernetes")))]
fn a_scheme_that_is_not_built_names_its_feature() {
    for (text, feature) in [("srv:a.b", "dns"), ("k8s:a:b", "kubernetes"), ("consul:a", "consul")] {
        assert!(error(text).ends_with(&format!("build it with feature `{feature}`")));
    }
}

#[test]
#[cfg(feature = "consul")]
fn consul_takes_its_parameters_and_no_others() {
    let all = "consul:workers?agent=https://consul.internal:8501&tag=a&tag=b%20c&dc=eu&ns=n\
               &id=service&token-file=/run/token&ca-file=/run/ca.pem&cache=/var/peers.json";
    assert!(all.parse::<DiscoveryUrl>().is_ok());
    for (text, part) in [
        ("consul:workers?agent=127.0.0.1:8500", "parameter \"agent\""),
        ("consul:workers?id=node", "parameter \"id\""),
        ("consul:workers?interval=5s", "no such parameter"),
    ] {
        assert!(error(text).contains(part), "{text}: {}", error(text));
    }
}

#[tokio::test]
#[cfg(feature = "kubernetes")]
async fn kubernetes_takes_a_namespace_a_service_and_a_port() {
    use crate::kubernetes::Port;

    let parsed = |text: &str| match text.parse::<DiscoveryUrl>().unwrap().location {
        Location::Kubernetes(url) => (url.namespace, url.service, url.port),
        other => panic!("{other:?}"),
    };
    let name = |text: &str| Some(text.to_owned());
    let gossip = || Port::Name("gossip".to_owned());
    assert_eq!(parsed("k8s:shop/kv:gossip"), (name("shop"), "kv".to_owned(), gossip()));
    assert_eq!(parsed("k8s:kv:7100"), (None, "kv".to_owned(), Port::Number(7100)));
    assert_eq!(parsed("k8s:kv?api=http://127.0.0.1:8001"), (None, "kv".to_owned(), Port::Only));
    for (text, part) in [
        ("k8s:shop/:gossip", "the service of the URL"),
        ("k8s:/kv:gossip", "the namespace of the URL"),
        ("k8s:Shop/kv:gossip", "the namespace of the URL"),
        ("k8s:kv:0", "the port of the URL"),
        ("k8s:kv:70000", "the port of the URL"),
        ("k8s:kv:a?family=6", "parameter \"family\""),
        ("k8s:kv:a?api=127.0.0.1", "parameter \"api\""),
    ] {
        assert!(error(text).contains(part), "{text}: {}", error(text));
    }
    // This process is no pod.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        let url: DiscoveryUrl = "k8s:shop/kv:gossip".parse().unwrap();
        assert!(url.open().unwrap_err().to_string().contains("api=http://127.0.0.1:8001"));
    }
}

#[test]
#[cfg(feature = "dns")]
fn srv_takes_a_name_server() {
    assert!("srv:_a._tcp.b?server=127.0.0.1:53&cache=/x".parse::<DiscoveryUrl>().is_ok());
    assert!(error("srv:_a._tcp.b?server=127.0.0.1").contains("parameter \"server\""));
    assert!(error("srv:a..b").contains("the name of the URL"));
}

#[test]
#[cfg(feature = "consul")]
fn a_registration_is_one_line_too() {
    use tokio::sync::watch;

    let parse = |text: &str| text.parse::<RegistrationUrl>();
    let all = "consul:workers?agent=https://consul.internal:8501&ca-file=/run/ca.pem\
               &token-file=/run/token&id=w-0&tag=a&tag=b";
    assert_eq!(parse(all).unwrap().to_string(), all);
    for (text, part) in [
        ("workers", "has no scheme"),
        ("consul:", "nothing follows the scheme"),
        ("dns:workers:7100", "use consul, as in consul:workers"),
        ("consul:workers?dc=eu", "no such parameter"),
        ("consul:workers?agent=consul", "parameter \"agent\""),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let mut record = crate::Record::new("10.0.0.1:7100".parse().unwrap());
    record.weight = 0;
    let (_ready, is_ready) = watch::channel(false);
    let error = parse(all).unwrap().register(record, is_ready).err().unwrap().to_string();
    assert!(error.contains("weights of Consul begin at 1"), "{error}");
}
