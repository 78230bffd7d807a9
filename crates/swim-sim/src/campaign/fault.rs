//! The kinds of faults that a campaign puts into clusters.

use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident => $name:literal,)*) => {
        /// Kinds of faults. Each is drawn from a stream of its own: masking one leaves the others
        /// as they are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])* $fault,)* }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// Its name in commands and reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }
        }
    };
}

faults! {
    /// Packets are lost.
    Loss => "loss",
    /// Packets arrive twice.
    Duplication => "duplication",
    /// Packets overtake each other.
    Reordering => "reordering",
    /// Bytes are damaged.
    Corruption => "corruption",
    /// The network falls apart for a while.
    Partition => "partition",
    /// Packets are lost in one direction only.
    Asymmetric => "asymmetric",
    /// Some kinds of messages are lost.
    Filter => "filter",
    /// Processes end without a word and may start again.
    Crash => "crash",
    /// Processes stand still.
    Pause => "pause",
    /// Processes take long for each packet.
    Slow => "slow",
    /// Clocks are wrong.
    Clock => "clock",
    /// Processes leave and may come back.
    Leave => "leave",
    /// Labels change.
    Labels => "labels",
    /// New hosts join.
    Join => "join",
    /// Discovery lists the wrong hosts.
    Discovery => "discovery",
    /// Members of another application are listed.
    Stranger => "stranger",
    /// Operators have failed members forgotten.
    Reap => "reap",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|fault| fault.as_str() == text);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("`{text}` is no fault; faults: {}", names.join(", "))
        })
    }
}

/// A set of kinds of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// This set with one more.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u32)
    }

    /// Whether a kind is in the set.
    #[must_use]
    pub const fn contains(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u32) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in the set.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |fault| self.contains(*fault))
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        faults.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Fault::as_str).collect();
        f.write_str(&names.join(","))
    }
}
