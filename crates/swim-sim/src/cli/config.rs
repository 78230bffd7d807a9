//! Settings of members by name.

use std::time::Duration;

use swim_core::{Config, ConfigBuilder};

/// The presets by name.
const PRESETS: [(&str, Config); 4] = [
    ("lan", Config::lan()),
    ("wan", Config::wan()),
    ("local", Config::local()),
    ("ringpop", Config::ringpop()),
];

/// The preset with this name.
pub(super) fn preset(text: &str) -> Result<Config, String> {
    let known = PRESETS.iter().find(|(name, _)| *name == text);
    known.map(|(_, config)| config.clone()).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is no preset; presets: {}", names.join(", "))
    })
}

/// Declares which settings there are, and how each is read.
macro_rules! settings {
    ($($field:ident: $read:ident,)*) => {
        const NAMES: &[&str] = &[$(stringify!($field),)*];

        fn set(builder: ConfigBuilder, key: &str, value: &str) -> Result<ConfigBuilder, String> {
            match key {
                $(stringify!($field) => Ok(builder.$field($read(value)?)),)*
                _ => Err(format!("`{key}` is no setting; settings: {}", NAMES.join(", "))),
            }
        }
    };
}

settings! {
    protocol_period: duration,
    ping_timeout: duration,
    ping_req_timeout: duration,
    ping_req_helpers: number,
    inconclusive_probes_max: number,
    suspicion_probes: number,
    probes_max: number,
    adaptive_period: truth,
    shared_rounds: truth,
    awareness_max: number,
    late_acks: truth,
    second_path: truth,
    buddy: truth,
    suspect_timeout: duration,
    suspect_timeout_scaled: truth,
    suspect_timeout_max_factor: number,
    suspect_confirmations: number,
    faulty_accusers_min: number,
    faulty_timeout: duration,
    tombstone_timeout: duration,
    piggyback_factor: number,
    message_bytes_max: number,
    join_size: number,
    join_parallelism: number,
    join_timeout: duration,
    join_delay_min: duration,
    join_delay_max: duration,
    join_duration_max: duration,
    sync_jobs_max: number,
    sync_timeout: duration,
    sync_period: duration,
    sync_whole_list: truth,
    leave_pings_max: number,
    leave_pings_percent: number,
    heal_period: duration,
    heal_probability_base: number,
    heal_failures_max: number,
    redial_period: duration,
    members_max: number,
}

/// A preset with some settings of its own, each as `key=value`.
pub(super) fn with_settings(preset: &Config, settings: &[String]) -> Result<Config, String> {
    let mut builder = preset.to_builder();
    for setting in settings {
        let pair = setting.split_once('=');
        let (key, value) = pair.ok_or_else(|| format!("give `{setting}` as key=value"))?;
        builder = set(builder, key.trim(), value.trim())?;
    }
    builder.build().map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration; give it as 200ms or 4s"))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number of this range"))
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_refused_with_the_valid_choices() {
        let settings = ["suspect_timeout=3s".to_owned(), "buddy = false".to_owned()];
        let config = with_settings(&Config::lan(), &settings).unwrap();
        assert_eq!((config.suspect_timeout(), config.buddy()), (Duration::from_secs(3), false));
        let refused = |text: &str| with_settings(&Config::lan(), &[text.to_owned()]).unwrap_err();
        assert!(refused("suspicion=3").contains("suspect_timeout"));
        assert!(refused("buddy").contains("key=value"));
        assert!(refused("buddy=1").contains("true"));
        assert!(refused("protocol_period=0s").contains("at least 1ms"));
        assert!(preset("moon").unwrap_err().contains("ringpop"));
    }
}
