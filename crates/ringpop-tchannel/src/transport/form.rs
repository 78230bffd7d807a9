//! Which form the checksums of the cluster have, recognised from the member
//! lists that come with their checksums.
//!
//! Members that write their views down in different forms never agree: each ping
//! between them brings a full sync, for ever. A wrong setting must not be joined
//! silently.

use swim_core::Member;

use crate::dialect::ChecksumForm;

#[derive(Debug)]
pub(super) struct Form {
    used: ChecksumForm,
    /// Whether the application chose it.
    set: bool,
    /// Whether nothing more is to be learnt: a list of the cluster has this form,
    /// or a warning was given that it has another.
    settled: bool,
}

/// What follows from a member list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is of the form in use, or of none that is known.
    Agrees,
    /// The cluster has this form, which is to be used from now on.
    Switch(ChecksumForm),
    /// The cluster has this form, and the application chose another.
    Differs(ChecksumForm),
}

impl Form {
    /// The form that the application chose, if it did.
    pub(super) fn new(chosen: Option<ChecksumForm>) -> Self {
        Self { used: chosen.unwrap_or_default(), set: chosen.is_some(), settled: false }
    }

    pub(super) const fn used(&self) -> ChecksumForm {
        self.used
    }

    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Judges a member list by the checksum that came with it. A list that
    /// changed while it was written down has no known form; the next one will.
    pub(super) fn judge<'a>(
        &mut self,
        checksum: u64,
        members: impl Iterator<Item = &'a Member> + Clone,
    ) -> Verdict {
        if self.settled {
            return Verdict::Agrees;
        }
        match ChecksumForm::recognise(checksum, members) {
            None => Verdict::Agrees,
            Some(form) if form == self.used => {
                self.settled = true;
                Verdict::Agrees
            }
            Some(form) if self.set => Verdict::Differs(form),
            Some(form) => {
                self.used = form;
                self.settled = true;
                Verdict::Switch(form)
            }
        }
    }

    /// One warning is enough.
    pub(super) const fn settle(&mut self) {
        self.settled = true;
    }
}

#[cfg(test)]
mod tests {
    use swim_core::{Dialect as _, Labels, Status};

    use super::*;

    fn list() -> [Member; 2] {
        ["a:1", "b:1"].map(|address| {
            Member::new(address.parse().unwrap(), Status::Alive, 7, Labels::default())
        })
    }

    fn of(form: ChecksumForm) -> u64 {
        form.checksum(&mut list().iter())
    }

    #[test]
    fn without_a_choice_the_first_list_decides() {
        let mut form = Form::new(None);
        assert_eq!(form.judge(1, list().iter()), Verdict::Agrees, "of no known form");
        let node = of(ChecksumForm::Node);
        assert_eq!(form.judge(node, list().iter()), Verdict::Switch(ChecksumForm::Node));
        assert_eq!(form.used(), ChecksumForm::Node);
        assert_eq!(form.judge(of(ChecksumForm::Go), list().iter()), Verdict::Agrees, "settled");
    }

    #[test]
    fn a_choice_stands_and_is_compared() {
        let mut form = Form::new(Some(ChecksumForm::Go));
        let node = of(ChecksumForm::Node);
        assert_eq!(form.judge(node, list().iter()), Verdict::Differs(ChecksumForm::Node));
        assert_eq!(form.used(), ChecksumForm::Go);
        assert_eq!(form.judge(of(ChecksumForm::Go), list().iter()), Verdict::Agrees);
    }
}
