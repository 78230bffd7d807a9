//! Settings of the membership protocol as they travel.

use std::time::Duration;

use swim_core::{ConfigBuilder, Setting};
use tonic::Status;

use crate::generated as proto;
use crate::generated::setting::Value;

pub(super) fn told((name, setting): (&str, Setting)) -> proto::Setting {
    let value = match setting {
        Setting::Flag(flag) => Some(Value::Flag(flag)),
        Setting::Number(number) => Some(Value::Number(number)),
        Setting::Time(time) => {
            Some(Value::Micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    proto::Setting { name: name.to_owned(), value }
}

/// A configuration with these settings.
pub(super) fn apply(
    mut config: ConfigBuilder,
    settings: Vec<proto::Setting>,
) -> Result<ConfigBuilder, Status> {
    for proto::Setting { name, value } in settings {
        let value = match value {
            Some(Value::Flag(flag)) => Setting::Flag(flag),
            Some(Value::Number(number)) => Setting::Number(number),
            Some(Value::Micros(micros)) => Setting::Time(Duration::from_micros(micros)),
            None => return Err(Status::invalid_argument(format!("{name} has no value"))),
        };
        let set = config.set(&name, value);
        config = set.map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use swim_core::Config;

    use super::*;

    #[test]
    fn settings_survive_the_way() {
        let settings: Vec<_> = Config::wan().settings().map(told).collect();
        let config = apply(Config::local().to_builder(), settings).unwrap().build().unwrap();
        assert_eq!(config, Config::wan());
        let empty = proto::Setting { name: "buddy".to_owned(), value: None };
        let refused = apply(Config::builder(), vec![empty]).unwrap_err();
        assert_eq!(refused.message(), "buddy has no value");
    }
}
