//! One line that names a source.
//!
//! ```text
//! static:10.0.0.1:7100,10.0.0.2:7100     a fixed list
//! file:/etc/ringpop/hosts.json           a hosts file, read again and again
//! dns:workers.internal:7100              every address of a name, at one port
//! srv:_gossip._tcp.workers.internal      SRV records (feature `dns`)
//! k8s:shop/workers:gossip                a port of a service of Kubernetes (feature `kubernetes`)
//! consul:workers                         a service of Consul (feature `consul`)
//! ```
//!
//! Parameters follow after `?`, separated by `&`. In values, `%` and two hexadecimal digits stand
//! for a byte (RFC 3986 section 2.1).
//!
//! | parameter | of | meaning |
//! |---|---|---|
//! | `cache` | all but `static` | file that keeps the last good list over a restart |
//! | `interval` | `file`, `dns` | pause between two questions, such as `2s` or `500ms` |
//! | `server` | `srv` | name server `ip:port`, instead of those of the system |
//! | `agent` | `consul` | URL of the agent, by default `http://127.0.0.1:8500` |
//! | `tag` | `consul` | only instances with this tag; may be repeated |
//! | `dc`, `ns` | `consul` | another data centre, a namespace |
//! | `id` | `consul` | `node-service` (default) or `service`: what names an instance |
//! | `api` | `k8s` | URL of the API server, by default that of the cluster of this pod |
//! | `family` | `k8s` | `ipv4` (default) or `ipv6`, of endpoints that have both |
//! | `token-file` | `consul`, `k8s` | file with the token |
//! | `ca-file` | `consul`, `k8s` | file with the authorities of a server behind `https` |

mod parameters;
mod registration;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{POLL_INTERVAL, POLL_INTERVAL_MAX, POLL_INTERVAL_MIN, URL_BYTES_MAX};
use crate::{
    Discovery, Dns, Feed, JsonFile, Poll, PollError, Source, StaticList, Union, UnionError,
};

use parameters::{Parameters, decode};

pub use registration::{Registering, RegistrationUrl};

/// The schemes, each with an example.
const EXAMPLES: [(&str, &str); 6] = [
    ("static", "static:10.0.0.1:7100,10.0.0.2:7100"),
    ("file", "file:/etc/ringpop/hosts.json"),
    ("dns", "dns:workers.internal:7100"),
    ("srv", "srv:_gossip._tcp.workers.internal"),
    ("k8s", "k8s:shop/workers:gossip"),
    ("consul", "consul:workers?tag=blue"),
];

/// One line that names a source; the [module](self) has the grammar.
///
/// ```
/// use ringpop_discovery::{Discovery, DiscoveryUrl};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: DiscoveryUrl = "static:10.0.0.1:7100,10.0.0.2:7100".parse()?;
/// assert_eq!(url.open()?.peers().await?.len(), 2);
///
/// let error = "dns:workers.internal".parse::<DiscoveryUrl>().unwrap_err();
/// assert!(error.to_string().ends_with("write it as in dns:workers.internal:7100"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DiscoveryUrl {
    text: String,
    location: Location,
    cache: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Location {
    Static(StaticList),
    File(PathBuf, Duration),
    Dns(Dns, Duration),
    #[cfg(feature = "dns")]
    Srv(crate::Srv),
    #[cfg(feature = "consul")]
    Consul(crate::consul::Consul),
    #[cfg(feature = "kubernetes")]
    Kubernetes(KubernetesUrl),
}

/// What of it depends on where the process runs is looked up when it is opened.
#[cfg(feature = "kubernetes")]
#[derive(Debug, Clone)]
struct KubernetesUrl {
    api: Option<crate::kubernetes::ApiServer>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    namespace: Option<String>,
    service: String,
    port: crate::kubernetes::Port,
    family: crate::kubernetes::Family,
}

impl DiscoveryUrl {
    /// The source. A fixed list is one; everything else is watched by a [`Feed`].
    ///
    /// # Errors
    ///
    /// The source depends on where this process runs, and that is not there: a `k8s:` URL without
    /// `api` or a namespace outside a pod.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub fn open(&self) -> Result<Arc<dyn Discovery>, UrlError> {
        match &self.location {
            Location::Static(list) => Ok(Arc::new(list.clone())),
            _ => Ok(Arc::new(self.feed()?)),
        }
    }

    /// The source, watched from now on.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    ///
    /// # Panics
    ///
    /// As [`Self::open`].
    pub fn feed(&self) -> Result<Feed, UrlError> {
        let poll = |source: Arc<dyn Discovery>, interval| {
            Poll::new(source, interval).map(|poll| Box::new(poll) as Box<dyn Source>)
        };
        let source: Box<dyn Source> = match &self.location {
            Location::Static(list) => poll(Arc::new(list.clone()), POLL_INTERVAL_MAX)?,
            Location::File(path, interval) => poll(Arc::new(JsonFile::new(path)), *interval)?,
            Location::Dns(dns, interval) => poll(Arc::new(dns.clone()), *interval)?,
            #[cfg(feature = "dns")]
            Location::Srv(srv) => Box::new(srv.clone()),
            #[cfg(feature = "consul")]
            Location::Consul(consul) => Box::new(consul.clone()),
            #[cfg(feature = "kubernetes")]
            Location::Kubernetes(url) => Box::new(url.source()?),
        };
        Ok(Feed::start(source, self.cache.clone()))
    }
}

/// Opens the source that one or several URLs name: the [`Union`] of them.
///
/// # Errors
///
/// As [`DiscoveryUrl::open`], or there are none or too many URLs.
///
/// # Panics
///
/// As [`DiscoveryUrl::open`].
pub fn open(urls: &[DiscoveryUrl]) -> Result<Arc<dyn Discovery>, UrlError> {
    if let [url] = urls {
        return url.open();
    }
    let feeds = urls.iter().map(DiscoveryUrl::feed).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Feed::new(Union::new(feeds)?)))
}

impl FromStr for DiscoveryUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = split_scheme(text)?;
        let Some((scheme, example)) = EXAMPLES.iter().find(|(known, _)| *known == scheme) else {
            return Err(UrlError::UnknownScheme { scheme: scheme.to_owned() });
        };
        let (place, query) = split_place(rest, example)?;
        let mut parameters = Parameters::parse(query, scheme, example)?;
        let location = locate(scheme, &place, &mut parameters)?;
        let cache = match location {
            Location::Static(_) => None,
            _ => parameters.take("cache")?.map(PathBuf::from),
        };
        parameters.finish()?;
        Ok(Self { text: text.to_owned(), location, cache })
    }
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The scheme, and whatever follows it.
fn split_scheme(text: &str) -> Result<(&str, &str), UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong { bytes: text.len() });
    }
    text.split_once(':').ok_or_else(|| UrlError::NoScheme { url: text.to_owned() })
}

/// The place, decoded, and the query.
fn split_place<'a>(rest: &'a str, example: &'static str) -> Result<(String, &'a str), UrlError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let wrong = |reason| UrlError::Part { part: "place", reason, example };
    let place = decode(place).map_err(wrong)?;
    if place.trim().is_empty() {
        return Err(wrong("nothing follows the scheme".to_owned()));
    }
    Ok((place, query))
}

fn locate(
    scheme: &'static str,
    place: &str,
    parameters: &mut Parameters,
) -> Result<Location, UrlError> {
    let example = parameters.example();
    let wrong = |part, error: &dyn fmt::Display| UrlError::Part {
        part,
        reason: error.to_string(),
        example,
    };
    match scheme {
        "static" => {
            let list = StaticList::parse(place).map_err(|error| wrong("list", &error))?;
            Ok(Location::Static(list))
        }
        "file" => Ok(Location::File(PathBuf::from(place), interval(parameters)?)),
        "dns" => {
            let dns = Dns::new(place).map_err(|error| wrong("name", &error))?;
            Ok(Location::Dns(dns, interval(parameters)?))
        }
        #[cfg(feature = "dns")]
        "srv" => {
            let srv = crate::Srv::new(place).map_err(|error| wrong("name", &error))?;
            let server = parameters.parsed("server", "a name server is written as ip:port")?;
            Ok(Location::Srv(match server {
                Some(server) => srv.server(server),
                None => srv,
            }))
        }
        #[cfg(feature = "consul")]
        "consul" => consul(place, parameters).map(Location::Consul),
        #[cfg(feature = "kubernetes")]
        "k8s" => kubernetes(place, parameters).map(Location::Kubernetes),
        scheme => Err(UrlError::NotBuilt {
            scheme,
            feature: match scheme {
                "srv" => "dns",
                "k8s" => "kubernetes",
                _ => "consul",
            },
        }),
    }
}

fn interval(parameters: &mut Parameters) -> Result<Duration, UrlError> {
    let interval = parameters.duration("interval")?.unwrap_or(POLL_INTERVAL);
    if !(POLL_INTERVAL_MIN..=POLL_INTERVAL_MAX).contains(&interval) {
        return Err(parameters.wrong("interval", PollError::Interval { interval }));
    }
    Ok(interval)
}

#[cfg(feature = "consul")]
fn consul(service: &str, parameters: &mut Parameters) -> Result<crate::consul::Consul, UrlError> {
    use crate::consul::{Consul, ConsulId};

    let mut consul = Consul::new(&agent(parameters)?, service);
    for tag in parameters.take_all("tag") {
        consul = consul.tag(&tag);
    }
    if let Some(datacenter) = parameters.take("dc")? {
        consul = consul.datacenter(&datacenter);
    }
    if let Some(namespace) = parameters.take("ns")? {
        consul = consul.namespace(&namespace);
    }
    Ok(match parameters.take("id")?.as_deref() {
        None | Some("node-service") => consul,
        Some("service") => consul.id(ConsulId::Service),
        Some(_) => return Err(parameters.wrong("id", "it is node-service or service")),
    })
}

/// The agent of Consul that the parameters name.
#[cfg(feature = "consul")]
fn agent(parameters: &mut Parameters) -> Result<crate::consul::Agent, UrlError> {
    use crate::consul::{Agent, DEFAULT_AGENT};

    let agent = parameters.take("agent")?;
    let mut agent = Agent::new(agent.as_deref().unwrap_or(DEFAULT_AGENT))
        .map_err(|error| parameters.wrong("agent", error))?;
    if let Some(path) = parameters.take("token-file")? {
        agent = agent.token_file(path);
    }
    if let Some(path) = parameters.take("ca-file")? {
        agent = agent.ca_file(path);
    }
    Ok(agent)
}

#[cfg(feature = "kubernetes")]
fn kubernetes(place: &str, parameters: &mut Parameters) -> Result<KubernetesUrl, UrlError> {
    use crate::kubernetes::{ApiServer, Family, Port};

    let (names, port) = match place.rsplit_once(':') {
        Some((names, port)) => (names, Some(port)),
        None => (place, None),
    };
    let (namespace, service) = match names.split_once('/') {
        Some((namespace, service)) => (Some(namespace), service),
        None => (None, names),
    };
    // Labels of RFC 1123, which both are, have no other letters.
    for (part, name) in [("namespace", namespace.unwrap_or("none")), ("service", service)] {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(letters) {
            let reason = format!("{name:?} is no name of Kubernetes");
            return Err(UrlError::Part { part, reason, example: parameters.example() });
        }
    }
    let port = match port.map(|port| (port, port.parse::<u16>())) {
        None => Port::Only,
        Some((_, Ok(number @ 1..))) => Port::Number(number),
        Some((name, Err(_))) if name.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Port::Name(name.to_owned())
        }
        Some((text, _)) => {
            let reason = format!("{text:?} is neither a number from 1 to 65535 nor a name");
            return Err(UrlError::Part { part: "port", reason, example: parameters.example() });
        }
    };
    let api = parameters.take("api")?.map(|api| ApiServer::new(&api)).transpose();
    Ok(KubernetesUrl {
        api: api.map_err(|error| parameters.wrong("api", error))?,
        token_file: parameters.take("token-file")?.map(PathBuf::from),
        ca_file: parameters.take("ca-file")?.map(PathBuf::from),
        namespace: namespace.map(str::to_owned),
        service: service.to_owned(),
        port,
        family: match parameters.take("family")?.as_deref() {
            None | Some("ipv4") => Family::Ipv4,
            Some("ipv6") => Family::Ipv6,
            Some(_) => return Err(parameters.wrong("family", "it is ipv4 or ipv6")),
        },
    })
}

#[cfg(feature = "kubernetes")]
impl KubernetesUrl {
    fn source(&self) -> Result<crate::kubernetes::Kubernetes, UrlError> {
        use crate::kubernetes::{ApiServer, Kubernetes, namespace_of_this_pod};

        let environment =
            |error: &dyn fmt::Display| UrlError::Environment { reason: error.to_string() };
        let mut api = match &self.api {
            Some(api) => api.clone(),
            None => ApiServer::of_this_pod().map_err(|error| environment(&error))?,
        };
        if let Some(path) = &self.token_file {
            api = api.token_file(path);
        }
        if let Some(path) = &self.ca_file {
            api = api.ca_file(path);
        }
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => namespace_of_this_pod().map_err(|error| {
                let advice = "write the namespace, as in k8s:shop/workers:gossip";
                environment(&format_args!(
                    "the namespace of this pod cannot be read ({error}): {advice}"
                ))
            })?,
        };
        let source = Kubernetes::new(&api, &namespace, &self.service, self.port.clone());
        Ok(source.family(self.family))
    }
}

/// Why a text is no URL of a source, or the source cannot be opened. Each message names the part
/// and shows an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// More than [`URL_BYTES_MAX`] bytes.
    #[error(
        "the URL of a source has {bytes} bytes, more than the {URL_BYTES_MAX} allowed: put a long list into a file, as in file:/etc/ringpop/hosts.json"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// There is no scheme.
    #[error(
        "{url:?} has no scheme: write it as in dns:workers.internal:7100 or static:10.0.0.1:7100"
    )]
    NoScheme {
        /// The refused text.
        url: String,
    },
    /// There is no such scheme.
    #[error(
        "{scheme:?} is no scheme of a source: use static, file, dns, srv, k8s or consul, as in dns:workers.internal:7100"
    )]
    UnknownScheme {
        /// The refused scheme.
        scheme: String,
    },
    /// The scheme needs a feature that this build does not have.
    #[error("this program was built without `{scheme}:`: build it with feature `{feature}`")]
    NotBuilt {
        /// The scheme.
        scheme: &'static str,
        /// The feature of this crate, which `ringpop` and `ringpop-cli` pass on.
        feature: &'static str,
    },
    /// A part is wrong.
    #[error("the {part} of the URL is wrong ({reason}): write it as in {example}")]
    Part {
        /// Which part.
        part: &'static str,
        /// The fault.
        reason: String,
        /// A URL of the same scheme.
        example: &'static str,
    },
    /// A parameter is wrong.
    #[error("the parameter {name:?} of the URL is wrong ({reason}): write it as in {example}")]
    Parameter {
        /// Which parameter.
        name: String,
        /// The fault.
        reason: String,
        /// A URL of the same scheme.
        example: &'static str,
    },
    /// The source depends on where this process runs, and that is not there.
    #[error("{reason}")]
    Environment {
        /// The missing feature, and what to do.
        reason: String,
    },
    /// A process cannot register itself there.
    #[error("a process cannot register itself with {scheme:?}: use consul, as in consul:workers")]
    NoRegistry {
        /// The refused scheme.
        scheme: String,
    },
    /// The registry does not take what is to be registered.
    #[error("{reason}")]
    Registration {
        /// The fault, and what to do.
        reason: String,
    },
    /// The interval is out of bounds.
    #[error(transparent)]
    Interval(#[from] PollError),
    /// There are none, or too many.
    #[error(transparent)]
    Union(#[from] UnionError),
}

#[cfg(test)]
mod tests;
