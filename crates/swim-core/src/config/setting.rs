//! Settings by name, for tools that show and change them.

use std::fmt;
use std::time::Duration;

use super::{Coalescing, Damping};
use crate::labels::LabelLimits;

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// On or off.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A time.
    Time(Duration),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "{time:?}"),
        }
    }
}

/// Why a setting was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No setting has this name.
    #[error("there is no setting {name:?}; `Config::settings` lists those there are")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The setting takes another kind of value.
    #[error("{name} is {value}, it must be {wanted}")]
    Kind {
        /// Name of the setting.
        name: String,
        /// The value.
        value: Setting,
        /// What it takes.
        wanted: &'static str,
    },
}

/// A type of the fields of a configuration.
pub(super) trait SettingField: Copy {
    /// What it takes, for people.
    const WANTED: &'static str;

    /// The value; `None` for a field that is more than one value.
    fn to_setting(self) -> Option<Setting>;

    /// The field with this value; `None` when that is of another kind.
    fn from_setting(value: Setting) -> Option<Self>;

    /// Takes a value.
    fn take_setting(&mut self, name: &str, value: Setting) -> Result<(), SettingError> {
        let wanted = Self::WANTED;
        let kind = || SettingError::Kind { name: name.to_owned(), value, wanted };
        *self = Self::from_setting(value).ok_or_else(kind)?;
        Ok(())
    }
}

impl SettingField for bool {
    const WANTED: &'static str = "true or false";

    fn to_setting(self) -> Option<Setting> {
        Some(Setting::Flag(self))
    }

    fn from_setting(value: Setting) -> Option<Self> {
        match value {
            Setting::Flag(flag) => Some(flag),
            _ => None,
        }
    }
}

impl SettingField for Duration {
    const WANTED: &'static str = "a time";

    fn to_setting(self) -> Option<Setting> {
        Some(Setting::Time(self))
    }

    fn from_setting(value: Setting) -> Option<Self> {
        match value {
            Setting::Time(time) => Some(time),
            _ => None,
        }
    }
}

impl SettingField for usize {
    const WANTED: &'static str = "a number";

    fn to_setting(self) -> Option<Setting> {
        Some(Setting::Number(self as u64))
    }

    fn from_setting(value: Setting) -> Option<Self> {
        match value {
            Setting::Number(number) => Self::try_from(number).ok(),
            _ => None,
        }
    }
}

impl SettingField for u32 {
    const WANTED: &'static str = "a number of at most 32 bits";

    fn to_setting(self) -> Option<Setting> {
        Some(Setting::Number(self.into()))
    }

    fn from_setting(value: Setting) -> Option<Self> {
        match value {
            Setting::Number(number) => Self::try_from(number).ok(),
            _ => None,
        }
    }
}

/// Fields of more than one value are set by their own methods.
macro_rules! compound {
    ($($type:ty)*) => {
        $(impl SettingField for $type {
            const WANTED: &'static str = "set by the method of its name";

            fn to_setting(self) -> Option<Setting> {
                None
            }

            fn from_setting(_: Setting) -> Option<Self> {
                None
            }
        })*
    };
}

compound! { LabelLimits Option<Damping> Option<Coalescing> }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_setting_that_is_listed_can_be_set_to_its_value() {
        for config in [Config::lan(), Config::ringpop()] {
            let mut builder = Config::wan().to_builder();
            for (name, value) in config.settings() {
                builder = builder.set(name, value).unwrap();
            }
            assert_eq!(builder.build().unwrap(), config);
        }
        assert!(Config::lan().settings().count() > 35);
    }

    #[test]
    fn an_error_names_the_setting_its_value_and_what_it_takes() {
        let set = |name, value| Config::builder().set(name, value).unwrap_err().to_string();
        let seconds = Setting::Time(Duration::from_secs(3));
        assert_eq!(set("buddy", seconds), "buddy is 3s, it must be true or false");
        assert_eq!(
            set("awareness_max", Setting::Number(u64::MAX)),
            "awareness_max is 18446744073709551615, it must be a number of at most 32 bits"
        );
        assert!(set("budy", Setting::Flag(true)).contains("no setting \"budy\""));
        assert!(set("damping", Setting::Flag(true)).contains("by the method of its name"));
    }
}
