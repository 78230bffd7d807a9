//! Answers that come after their request was given up.
//!
//! The sender of an answer counts its changes as sent and may not send them again.
//! If a late answer were dropped, they would be missing here until a full sync. So
//! the last requests without an answer are remembered, and the changes in late
//! answers are applied like any other gossip.

use std::collections::VecDeque;

use crate::address::Address;
use crate::dissemination::Issued;
use crate::limits::LATE_ANSWERS_MAX;

/// The requests that were given up last, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct LateAnswers(VecDeque<Expected>);

#[derive(Debug)]
struct Expected {
    from: Address,
    seq: u64,
    /// The changes that the request carried.
    issued: Vec<Issued>,
}

impl LateAnswers {
    /// Remembers a request that was given up, with the changes that it carried.
    pub(crate) fn expect(&mut self, from: Address, seq: u64, issued: Vec<Issued>) {
        if self.0.len() == LATE_ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Expected { from, seq, issued });
    }

    /// An answer arrived: gives the changes that went along with its request.
    /// `None` when none was expected. The request is forgotten, unless another
    /// answer may `follow`.
    pub(crate) fn take(&mut self, from: &Address, seq: u64, follow: bool) -> Option<Vec<Issued>> {
        let i = self.0.iter().position(|late| late.seq == seq && late.from == *from)?;
        if follow {
            return Some(std::mem::take(&mut self.0[i].issued));
        }
        self.0.remove(i).map(|late| late.issued)
    }

    pub(crate) fn check(&self) {
        assert!(self.0.len() <= LATE_ANSWERS_MAX, "requests that were given up are bounded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Address {
        Address::new("a:1").unwrap()
    }

    #[test]
    fn an_answer_is_taken_once_and_from_whom_was_asked() {
        let mut late = LateAnswers::default();
        late.expect(asked(), 1, Vec::new());
        let (right, wrong) = (asked(), Address::new("b:1").unwrap());
        assert!(late.take(&wrong, 1, false).is_none());
        assert!(late.take(&right, 2, false).is_none());
        assert!(late.take(&right, 1, true).is_some(), "another answer may follow");
        assert!(late.take(&right, 1, false).is_some());
        assert!(late.take(&right, 1, false).is_none());
    }

    #[test]
    fn only_the_last_requests_are_remembered() {
        let mut late = LateAnswers::default();
        (0..1 + LATE_ANSWERS_MAX as u64).for_each(|seq| late.expect(asked(), seq, Vec::new()));
        late.check();
        assert!(late.take(&asked(), 0, false).is_none());
        assert!(late.take(&asked(), 1, false).is_some());
    }
}
