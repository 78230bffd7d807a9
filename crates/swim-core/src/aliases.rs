//! Aliases of members: addresses that discovery lists and under which a member
//! answers that advertises another.
//!
//! A host name beside an IP address, the second family of a host with two, a
//! service in front of many: an answer belongs to a request by its number, and
//! carries the advertised address of its sender. An alias keeps healing from dialling
//! members that are reachable already.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::limits::ALIASES_MAX;

#[derive(Debug, Default)]
pub(crate) struct Aliases(BTreeMap<Address, Address>);

impl Aliases {
    /// `member` answered a request to `alias`.
    pub(crate) fn learn(&mut self, alias: &Address, member: &Address) {
        if alias == member {
            self.0.remove(alias);
        } else if self.0.len() < ALIASES_MAX || self.0.contains_key(alias) {
            self.0.insert(alias.clone(), member.clone());
        }
    }

    /// The member that answered last under this address, when it advertises
    /// another one.
    pub(crate) fn member<'a>(&'a self, alias: &'a Address) -> Option<&'a Address> {
        self.0.get(alias)
    }

    /// Forgets all but those of `hosts`, which are sorted.
    pub(crate) fn retain(&mut self, hosts: &[Address]) {
        self.0.retain(|alias, _| hosts.binary_search(alias).is_ok());
    }
}
