//! Calls any process of the service.

use ringpop_tutorial::sessions::sessions_client::SessionsClient;
use ringpop_tutorial::sessions::{GetRequest, PutRequest, WatchRequest};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const USAGE: &str =
    "usage: client URL [--ca FILE] put ID USER, or the same with get ID or watch ID";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (channel, call) = match args.as_slice() {
        [url, "--ca", file, call @ ..] => (connect(url, Some(file)).await?, call),
        [url, call @ ..] => (connect(url, None).await?, call),
        [] => return Err(USAGE.into()),
    };
    let mut client = SessionsClient::new(channel);
    match call {
        ["put", id, user] => {
            let request = PutRequest { id: (*id).to_owned(), user: (*user).to_owned() };
            let response = client.put(request).await?.into_inner();
            println!("stored at {}", response.handled_by);
        }
        ["get", id] => {
            let request = GetRequest { id: (*id).to_owned() };
            let response = client.get(request).await?.into_inner();
            println!("{} from {}", response.user, response.handled_by);
        }
        ["watch", id] => {
            let request = WatchRequest { id: (*id).to_owned() };
            let mut updates = client.watch(request).await?.into_inner();
            while let Some(update) = updates.message().await? {
                println!("{} from {}", update.user, update.handled_by);
            }
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

async fn connect(url: &str, ca: Option<&str>) -> Result<Channel, Box<dyn std::error::Error>> {
    let mut endpoint: Endpoint = url.parse()?;
    if let Some(file) = ca {
        let authority = Certificate::from_pem(std::fs::read(file)?);
        endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority))?;
    }
    Ok(endpoint.connect().await?)
}
