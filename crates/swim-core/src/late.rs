//! Answers that come after their request was given up.
//!
//! The sender of an answer counts the changes in it as told and tells them no
//! more. Thrown away because they are late, they would be missing here until a
//! full sync; so the last requests without an answer are remembered, and what
//! answers to them bring is weighed like any other gossip.

use std::collections::VecDeque;

use crate::address::Address;
use crate::dissemination::Issued;
use crate::limits::LATE_ANSWERS_MAX;
use crate::sending::Request;

/// The requests that were given up last, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct LateAnswers(VecDeque<(Request, Vec<Issued>)>);

impl LateAnswers {
    /// Remembers a request that nobody waits for any more, with the changes
    /// that went along.
    pub(crate) fn expect(&mut self, request: Request, issued: Vec<Issued>) {
        if self.0.len() == LATE_ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((request, issued));
    }

    /// An answer arrived: gives the changes that went along with its request.
    /// `None` when none was expected. The request is forgotten, unless another
    /// answer may `follow`.
    pub(crate) fn take(&mut self, from: &Address, seq: u64, follow: bool) -> Option<Vec<Issued>> {
        let i = self.0.iter().position(|(request, _)| request.is(from, seq))?;
        if follow {
            return Some(std::mem::take(&mut self.0[i].1));
        }
        self.0.remove(i).map(|(_, issued)| issued)
    }

    pub(crate) fn check(&self) {
        assert!(self.0.len() <= LATE_ANSWERS_MAX, "requests that were given up are bounded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn request(seq: u64) -> Request {
        Request { to: Address::new("a:1").unwrap(), seq, deadline: Instant::ZERO }
    }

    #[test]
    fn an_answer_is_taken_once_and_from_whom_was_asked() {
        let mut late = LateAnswers::default();
        late.expect(request(1), Vec::new());
        let (right, wrong) = (Address::new("a:1").unwrap(), Address::new("b:1").unwrap());
        assert!(late.take(&wrong, 1, false).is_none());
        assert!(late.take(&right, 2, false).is_none());
        assert!(late.take(&right, 1, true).is_some(), "another answer may follow");
        assert!(late.take(&right, 1, false).is_some());
        assert!(late.take(&right, 1, false).is_none());
    }

    #[test]
    fn only_the_last_requests_are_remembered() {
        let mut late = LateAnswers::default();
        (0..1 + LATE_ANSWERS_MAX as u64).for_each(|seq| late.expect(request(seq), Vec::new()));
        late.check();
        let to = Address::new("a:1").unwrap();
        assert!(late.take(&to, 0, false).is_none());
        assert!(late.take(&to, 1, false).is_some());
    }
}
