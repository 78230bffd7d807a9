//! Member lists as a whole and in pages.
//!
//! The machine exchanges lists in pages of bounded size; Ringpop knows only
//! whole lists. Here pages of the machine become one list on the way out, and
//! a list that is longer than a page comes in as several.

use std::collections::HashMap;

use swim_core::limits::CHANGES_PER_MESSAGE_MAX;
use swim_core::{Address, Body, Change, Cursor, Message};
use swim_driver::Completed;

/// Lists that came in and of which pages are left. A join asks few peers at
/// once and each list is asked for at once.
const LISTS_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Pages of this member's list for those who asked.
    outgoing: HashMap<(Address, u64), Vec<Change>>,
    /// The rest of the lists of others.
    incoming: HashMap<Address, Vec<Change>>,
}

impl Lists {
    /// Keeps the rest of a list, of which `page` is the beginning. Gives the
    /// position at which the machine asks for it; `None` when there is none.
    pub(super) fn keep(
        &mut self,
        from: Address,
        page: &[Change],
        rest: Vec<Change>,
    ) -> Option<Cursor> {
        if rest.is_empty() {
            return None;
        }
        let after = Some(page.last()?.member.address.clone());
        if self.incoming.len() >= LISTS_MAX {
            // Nobody asked for the lists here, or they would be gone.
            self.incoming.clear();
        }
        self.incoming.insert(from, rest);
        Some(Cursor { buckets: 1, bucket: 0, after })
    }

    /// The answer to a request of the machine for a further page.
    pub(super) fn page(&mut self, to: &Address, request: &Message) -> Option<Message> {
        let Body::Join { cursor: Some(_), .. } = request.body else { return None };
        let mut changes = self.incoming.remove(to).unwrap_or_default();
        let rest = changes.split_off(changes.len().min(CHANGES_PER_MESSAGE_MAX));
        let next = self.keep(to.clone(), &changes, rest);
        let body = Body::JoinAck { checksum: 0, changes, next };
        Some(Message { from: to.clone(), from_incarnation: 0, body, ..request.clone() })
    }

    /// A reply of the machine to another member, with all of its list.
    pub(super) fn complete(&mut self, to: &Address, mut message: Message) -> Completed {
        let key = (to.clone(), message.seq);
        let Body::JoinAck { changes, next, .. } = &mut message.body else {
            self.outgoing.remove(&key);
            return Completed::Reply(message);
        };
        if let Some(cursor) = next.take() {
            self.outgoing.entry(key).or_default().append(changes);
            let body = Body::Join { cursor: Some(cursor), nonce: 0 };
            let next = Message { from: to.clone(), from_incarnation: 0, body, ..message };
            return Completed::Request(next);
        }
        if let Some(mut all) = self.outgoing.remove(&key) {
            all.append(changes);
            *changes = all;
        }
        Completed::Reply(message)
    }
}
