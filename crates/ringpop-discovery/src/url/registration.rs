//! One line that says where a process registers itself.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;

use tokio::sync::watch;

use super::{Parameters, UrlError, split_place, split_scheme};
use crate::Record;

const EXAMPLE: &str = "consul:workers?tag=blue";

/// One line that says where a process registers itself: `consul:SERVICE` (feature `consul`), with
/// the parameters `agent`, `token-file` and `ca-file` of the [URL of a source](super) and these:
///
/// | parameter | meaning |
/// |---|---|
/// | `id` | id of the service on its node, by default the id of the record |
/// | `tag` | a tag; may be repeated |
///
/// ```
/// use ringpop_discovery::url::RegistrationUrl;
///
/// # #[cfg(feature = "consul")]
/// assert!("consul:workers?tag=blue".parse::<RegistrationUrl>().is_ok());
/// let error = "dns:workers.internal:7100".parse::<RegistrationUrl>().unwrap_err();
/// assert!(error.to_string().ends_with("use consul, as in consul:workers"));
/// ```
#[derive(Debug, Clone)]
pub struct RegistrationUrl {
    text: String,
    registry: Registry,
}

/// Without a feature there is none.
#[derive(Debug, Clone)]
enum Registry {
    #[cfg(feature = "consul")]
    Consul { agent: crate::consul::Agent, service: String, id: Option<String>, tags: Vec<String> },
}

/// A registration that is kept until readiness is closed; see [`RegistrationUrl::register`].
pub type Registering = Pin<Box<dyn Future<Output = ()> + Send>>;

impl RegistrationUrl {
    /// Keeps this process registered, as `instance`, for as long as the future runs, with a check
    /// that follows `ready`. Deregisters when `ready` is closed, and then ends. The page of
    /// `consul::Registration` (feature `consul`) has the rules.
    ///
    /// # Errors
    ///
    /// The registry cannot take `instance`: it has no weight or no id.
    pub fn register(
        &self,
        instance: Record,
        ready: watch::Receiver<bool>,
    ) -> Result<Registering, UrlError> {
        #[cfg(not(feature = "consul"))]
        let _ = (instance, ready);
        match &self.registry {
            #[cfg(feature = "consul")]
            Registry::Consul { agent, service, id, tags } => {
                use crate::consul::{Registration, Service};

                let mut service = Service::of_record(service, instance);
                service.tags.clone_from(tags);
                if let Some(id) = id {
                    service.id.clone_from(id);
                }
                let registration = Registration::new(agent, service)
                    .map_err(|error| UrlError::Registration { reason: error.to_string() })?;
                Ok(Box::pin(registration.run(ready)))
            }
            #[cfg(not(feature = "consul"))]
            registry => match *registry {},
        }
    }
}

impl FromStr for RegistrationUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = split_scheme(text)?;
        if scheme != "consul" {
            return Err(UrlError::NoRegistry { scheme: scheme.to_owned() });
        }
        let (service, query) = split_place(rest, EXAMPLE)?;
        let registry = consul(service, Parameters::parse(query, "consul", EXAMPLE)?)?;
        Ok(Self { text: text.to_owned(), registry })
    }
}

#[cfg(feature = "consul")]
fn consul(service: String, mut parameters: Parameters) -> Result<Registry, UrlError> {
    let agent = super::agent(&mut parameters)?;
    let (id, tags) = (parameters.take("id")?, parameters.take_all("tag"));
    parameters.finish()?;
    Ok(Registry::Consul { agent, service, id, tags })
}

#[cfg(not(feature = "consul"))]
fn consul(_: String, _: Parameters) -> Result<Registry, UrlError> {
    Err(UrlError::NotBuilt { scheme: "consul", feature: "consul" })
}

impl fmt::Display for RegistrationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
