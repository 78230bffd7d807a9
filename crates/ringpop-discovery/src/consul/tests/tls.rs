//! Agents behind `https`: whom a handshake believes, and the token over it.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// An authority of one's own, whose certificate is in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A server that shows a certificate of this authority for `name`.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn server(&self, name: &str) -> Fake {
        Fake::start_at("127.0.0.1:0", Some(self.acceptor(name))).await
    }
}

fn consul(fake: &Fake, ca_file: PathBuf) -> Consul {
    Consul::new(&Agent::new(&fake.url).unwrap().ca_file(ca_file), "kv")
}

#[tokio::test]
async fn an_agent_of_the_authority_is_believed_and_gets_the_token() {
    let authority = Authority::new();
    let token = authority.directory.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    for name in ["127.0.0.1", "localhost"] {
        let fake = authority.server(name).await;
        let url = fake.url.replace("127.0.0.1", name);
        let agent = Agent::new(&url).unwrap().ca_file(authority.file()).token_file(&token);
        fake.reply(health(1, &format!("[{}]", instance("a")))).await;
        let list = timeout(PATIENCE, Consul::new(&agent, "kv").next()).await.unwrap().unwrap();
        assert_eq!(list.len(), 1, "{name}");
        assert!(fake.requests()[0].contains("x-consul-token: secret\r\n"));
    }
}

/// The token must not reach whoever answers at the address of the agent.
#[tokio::test]
async fn an_agent_that_the_authority_does_not_vouch_for_learns_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (fake, part) in [
        (other.server("127.0.0.1").await, "invalid peer certificate"),
        (authority.server("consul.internal").await, "not valid for name"),
    ] {
        fake.reply(health(1, &format!("[{}]", instance("a")))).await;
        let mut consul = consul(&fake, authority.file());
        let error = timeout(PATIENCE, consul.next()).await.unwrap().unwrap_err();
        assert!(!error.lists_nobody(), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(fake.requests().is_empty(), "{:?}", fake.requests());
    }
}

#[tokio::test]
async fn an_authority_that_is_replaced_is_read_anew() {
    let (authority, next) = (Authority::new(), Authority::new());
    let fake = next.server("127.0.0.1").await;
    let mut consul = consul(&fake, authority.file());
    assert!(timeout(PATIENCE, consul.next()).await.unwrap().is_err());
    std::fs::copy(next.file(), authority.file()).unwrap();
    fake.reply(health(1, &format!("[{}]", instance("a")))).await;
    assert_eq!(timeout(PATIENCE, consul.next()).await.unwrap().unwrap().len(), 1);
    // A file without a certificate is named.
    std::fs::write(authority.file(), "nothing").unwrap();
    let error = consul.next().await.unwrap_err().to_string();
    assert!(error.contains("has no certificate of an authority"), "{error}");
}

/// Plain HTTP where `https` was meant, and the other way round.
#[tokio::test]
async fn a_wrong_scheme_is_an_error_that_does_not_hang() {
    let authority = Authority::new();
    let plain = Fake::start().await;
    let agent = Agent::new(&plain.url.replace("http", "https")).unwrap();
    let mut consul = Consul::new(&agent.ca_file(authority.file()), "kv");
    assert!(timeout(PATIENCE, consul.next()).await.unwrap().is_err());
    let encrypted = authority.server("127.0.0.1").await;
    let agent = Agent::new(&encrypted.url.replace("https", "http")).unwrap();
    let error = timeout(PATIENCE, Consul::new(&agent, "kv").next()).await.unwrap().unwrap_err();
    assert!(!error.lists_nobody(), "{error}");
}

#[tokio::test]
async fn a_registration_is_made_over_tls_too() {
    let authority = Authority::new();
    let fake = authority.server("127.0.0.1").await;
    let agent = Agent::new(&fake.url).unwrap().ca_file(authority.file());
    let service = Service::new("kv", "kv-0", "10.0.0.1:7100".parse().unwrap());
    let (ready, is_ready) = watch::channel(true);
    let task = tokio::spawn(Registration::new(&agent, service).unwrap().run(is_ready));
    for _ in 0..3 {
        fake.reply(Reply::Whole(200, String::new(), String::new())).await;
    }
    fake.requested(2).await;
    drop(ready);
    timeout(PATIENCE, task).await.expect("in time").unwrap();
    assert!(fake.requests()[2].starts_with("PUT /v1/agent/service/deregister/kv-0 "));
}
