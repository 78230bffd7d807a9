//! What a member says of itself: its labels, with weight and zone apart.
//!
//! On the wire all three are labels. Here they are kept apart: replacing one does not erase the
//! others.

use swim_core::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, PUBLIC_LABELS_MAX};
use swim_core::{Address, Config, LabelError, LabelLimits, Labels};

use crate::limits::{
    BEACON_LABEL, DRAINING_LABEL, EVICTIONS_LABEL, GOSSIP_PORT_LABEL, NEXT_WEIGHT_LABEL,
    OWN_LABELS_MAX, PLACE_LABEL, PLACEMENT_LABEL, STANDBY_LABEL, UNHEALTHY_LABEL, WARMING_LABEL,
    WEIGHT_LABEL, WEIGHT_MAX, ZONE_LABEL,
};
use crate::off_ring::OwnStanding;
use crate::place::OwnPlace;
use crate::placement::PlacementChoice;
use crate::weight::NextWeight;

/// Labels that a member sets by itself, and nobody else may.
const RESERVED: [&str; 10] = [
    GOSSIP_PORT_LABEL,
    BEACON_LABEL,
    PLACEMENT_LABEL,
    NEXT_WEIGHT_LABEL,
    PLACE_LABEL,
    STANDBY_LABEL,
    UNHEALTHY_LABEL,
    DRAINING_LABEL,
    EVICTIONS_LABEL,
    WARMING_LABEL,
];

/// Why a member cannot say this of itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnLabelError {
    /// The weight is none, or larger than it may be.
    #[error("weight is {value:?}, it must be a number from 0 to {WEIGHT_MAX}")]
    Weight {
        /// The given value.
        value: String,
    },
    /// A label was given twice, or beside the setting that stands for it.
    #[error("label `{key}` is given more than once; give each label one value")]
    Twice {
        /// The label.
        key: String,
    },
    /// The label is one that the member sets by itself.
    #[error("label `{key}` is set by the member itself; give the label another name")]
    Reserved {
        /// The label.
        key: String,
    },
}

/// The labels of this member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnLabels {
    /// All but weight and zone.
    pub(crate) others: Vec<(String, String)>,
    pub(crate) weight: Option<u32>,
    /// The weight that was asked for last, until the planned move to it is done.
    pub(crate) asked_weight: Option<Option<u32>>,
    pub(crate) zone: Option<String>,
    /// What this member asks for; rendezvous needs no label.
    pub(crate) placement: PlacementChoice,
    /// The change of the weight that is planned.
    pub(crate) next: Option<NextWeight>,
    /// Whether this member is off the ring until its planned move onto it is done.
    pub(crate) waits: bool,
    pub(crate) place: OwnPlace,
    pub(crate) standing: OwnStanding,
    /// What the application may set, its placement included.
    pub(crate) limits: LabelLimits,
    /// Where this member takes gossip beside its address.
    pub(crate) gossip_port: Option<u16>,
    /// When this member sent its latest beacon, in microseconds of the Unix epoch.
    pub(crate) beacon: Option<u64>,
}

impl OwnLabels {
    /// Of what a builder was given.
    pub(crate) fn new(
        labels: Vec<(String, String)>,
        weight: Option<u32>,
        zone: Option<String>,
    ) -> Result<Self, OwnLabelError> {
        let mut own = Self::default();
        if let Some(weight) = weight {
            own.weight = Some(check_weight(&weight.to_string())?);
        }
        own.zone = zone;
        for (key, value) in labels {
            let is_twice = match key.as_str() {
                WEIGHT_LABEL => own.weight.replace(check_weight(&value)?).is_some(),
                ZONE_LABEL => own.zone.replace(value).is_some(),
                reserved if RESERVED.contains(&reserved) => {
                    return Err(OwnLabelError::Reserved { key });
                }
                _ => {
                    let is_twice = own.others.iter().any(|(other, _)| *other == key);
                    own.others.push((key.clone(), value));
                    is_twice
                }
            };
            if is_twice {
                return Err(OwnLabelError::Twice { key });
            }
        }
        Ok(own)
    }

    /// Replaces the labels that `labels` has room for: all but weight and zone,
    /// and those two when they are among them.
    pub(crate) fn replace(&mut self, labels: &Labels) -> Result<(), OwnLabelError> {
        let pairs = labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let new = Self::new(pairs.collect(), None, None)?;
        self.others = new.others;
        self.weight = new.weight.or(self.weight);
        self.zone = new.zone.or_else(|| self.zone.take());
        Ok(())
    }

    /// Sets one label, weight or zone.
    pub(crate) fn set(&mut self, key: String, value: String) -> Result<(), OwnLabelError> {
        match key.as_str() {
            WEIGHT_LABEL => self.weight = Some(check_weight(&value)?),
            ZONE_LABEL => self.zone = Some(value),
            reserved if RESERVED.contains(&reserved) => {
                return Err(OwnLabelError::Reserved { key });
            }
            _ => match self.others.iter_mut().find(|(other, _)| *other == key) {
                Some((_, old)) => *old = value,
                None => self.others.push((key, value)),
            },
        }
        Ok(())
    }

    /// Removes one label, weight or zone; whether it was there.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        match key {
            WEIGHT_LABEL => self.weight.take().is_some(),
            ZONE_LABEL => self.zone.take().is_some(),
            _ => {
                let before = self.others.len();
                self.others.retain(|(other, _)| other != key);
                self.others.len() < before
            }
        }
    }

    /// The weight on the ring that the application wants, whether it is reached or not.
    pub(crate) fn wanted_weight(&self) -> u32 {
        self.asked_weight.unwrap_or(self.weight).unwrap_or(1)
    }

    /// As they travel. `local` is the address of this member.
    pub(crate) fn labels(&self, local: &Address) -> Result<Labels, LabelError> {
        let set = self.set_labels()?;
        set.check(&self.limits)?;
        let set = set.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let waits = self.waits.then(|| (WEIGHT_LABEL.to_owned(), "0".to_owned()));
        let next = self.next.map(|next| (NEXT_WEIGHT_LABEL.to_owned(), next.to_string()));
        let gossip_port =
            self.gossip_port.map(|port| (GOSSIP_PORT_LABEL.to_owned(), port.to_string()));
        let beacon = self.beacon.map(|beacon| (BEACON_LABEL.to_owned(), beacon.to_string()));
        let place = self.place.label();
        let own = waits.into_iter().chain(next).chain(place).chain(gossip_port).chain(beacon);
        Labels::new(set.chain(own).chain(self.standing.labels(local)))
    }

    /// Those that the application set or chose.
    fn set_labels(&self) -> Result<Labels, LabelError> {
        let weight = self.weight.map(|weight| (WEIGHT_LABEL.to_owned(), weight.to_string()));
        let zone = self.zone.clone().map(|zone| (ZONE_LABEL.to_owned(), zone));
        let placement = (self.placement != PlacementChoice::Rendezvous)
            .then(|| (PLACEMENT_LABEL.to_owned(), self.placement.to_string()));
        Labels::new(self.others.iter().cloned().chain(weight).chain(zone).chain(placement))
    }
}

/// The configuration for the machine: with room for the labels that a member sets by itself beyond
/// those of its application, which [`OwnLabels`] keeps within the limits of the configuration.
pub(crate) fn with_room(config: &Config) -> Config {
    let count = (config.label_limits().count + OWN_LABELS_MAX).min(PUBLIC_LABELS_MAX);
    let (key_bytes, value_bytes) = (LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX);
    with_limits(config, LabelLimits { count, key_bytes, value_bytes })
}

/// The same configuration with other limits of labels, which are within the bounds of the protocol.
pub(crate) fn with_limits(config: &Config, limits: LabelLimits) -> Config {
    let changed = config.clone().to_builder().label_limits(limits).build();
    changed.unwrap_or_else(|_| config.clone())
}

/// Others would take anything else for one, or for the largest.
pub(crate) fn check_weight(text: &str) -> Result<u32, OwnLabelError> {
    let weight = text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    weight.ok_or_else(|| OwnLabelError::Weight { value: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_changes_and_the_others_stay() {
        let labels = pairs(&[("role", "api"), ("weight", "3")]);
        let mut own = OwnLabels::new(labels, None, Some("a".to_owned())).expect("they are valid");
        own.set("role".to_owned(), "batch".to_owned()).expect("it is a label");
        own.set("weight".to_owned(), "7".to_owned()).expect("it is a weight");
        assert!(own.set("weight".to_owned(), "lots".to_owned()).is_err());
        assert!(own.remove("zone") && !own.remove("zone") && !own.remove("none"));
        let expected = OwnLabels {
            others: pairs(&[("role", "batch")]),
            weight: Some(7),
            ..OwnLabels::default()
        };
        assert_eq!(own, expected);
    }

    fn local() -> Address {
        Address::new("10.0.0.1:7100").expect("it is one")
    }

    fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn weight_and_zone_are_one_thing_however_they_are_given() {
        let typed = OwnLabels::new(Vec::new(), Some(3), Some("a".to_owned()));
        let labels = OwnLabels::new(pairs(&[("zone", "a"), ("weight", "3")]), None, None);
        assert_eq!(typed.expect("they are right"), labels.expect("they are right"));
    }

    #[test]
    fn what_cannot_mean_what_was_written_is_refused() {
        let error = |labels: &[(&str, &str)], weight, zone: Option<&str>| {
            let own = OwnLabels::new(pairs(labels), weight, zone.map(str::to_owned));
            own.expect_err("it is wrong").to_string()
        };
        for text in ["lots", "101", "-1", "1.5", "", "4294967296"] {
            let message = error(&[("weight", text)], None, None);
            assert!(message.contains(&format!("{text:?}")) && message.contains("100"), "{message}");
        }
        assert!(error(&[], Some(5000), None).contains("5000"));
        for (labels, weight, zone) in [
            (&[("weight", "1")][..], Some(1), None),
            (&[("zone", "a")], None, Some("a")),
            (&[("zone", "a"), ("zone", "b")], None, None),
            (&[("rack", "1"), ("rack", "1")], None, None),
        ] {
            assert!(error(labels, weight, zone).contains("more than once"), "{labels:?}");
        }
    }

    #[test]
    fn other_labels_are_replaced_without_weight_and_zone() {
        let mut own = OwnLabels::new(pairs(&[("rack", "1")]), Some(3), Some("a".to_owned()))
            .expect("they are right");
        let labels = |labels: &[(&str, &str)]| Labels::new(labels.iter().copied()).expect("right");
        own.replace(&labels(&[("row", "2")])).expect("they are right");
        let expected = labels(&[("row", "2"), ("weight", "3"), ("zone", "a")]);
        assert_eq!(own.labels(&local()).expect("right"), expected);
        own.replace(&labels(&[("weight", "9")])).expect("they are right");
        let expected = labels(&[("weight", "9"), ("zone", "a")]);
        assert_eq!(own.labels(&local()).expect("right"), expected);
        own.replace(&labels(&[("weight", "900")])).expect_err("it is too large");
        assert_eq!(own.labels(&local()).expect("right"), expected, "it is all or nothing");
    }

    /// Labels that the member sets by itself take none of the room of the application's.
    #[test]
    fn the_limits_bind_the_application_and_not_the_member() {
        let set: Vec<_> = (0..5).map(|i| (format!("k{i}"), "v".to_owned())).collect();
        let mut own = OwnLabels::new(set, None, None).expect("they are right");
        own.standing.draining_since = Some(1);
        own.standing.unhealthy_since = Some(2);
        let labels = own.labels(&local()).expect("the application has its five");
        assert_eq!((labels.len(), labels.get(DRAINING_LABEL)), (7, Some("1")));
        let config = with_room(&Config::lan());
        labels.check(&config.label_limits()).expect("the machine takes them");
        own.weight = Some(2);
        own.labels(&local()).expect_err("a sixth of the application is too many");
        let error = own.set(DRAINING_LABEL.to_owned(), "1".to_owned()).expect_err("it is reserved");
        assert!(error.to_string().contains(DRAINING_LABEL), "{error}");
    }
}
