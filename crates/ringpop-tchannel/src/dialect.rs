//! The measures on which clusters of Ringpop agree.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use hashring::Scheme as _;
use swim_core::{Dialect, Labels, Member, Status};

/// How the implementations of Ringpop write a view as text before they hash
/// it. All members of a cluster must do it alike: in a cluster of both kinds
/// the checksums never agree and full syncs go on for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// ringpop-go: one text for each member, sorted, each followed by `;`.
    #[default]
    Go,
    /// ringpop-node with `isCrossPlatform`: sorted by address, `;` between
    /// them, and without labels, which it does not know.
    Node,
}

impl ChecksumForm {
    /// All forms that are known here.
    pub const ALL: [Self; 2] = [Self::Go, Self::Node];

    /// The form in which a list of members has this checksum; `None` when it has
    /// it in none.
    #[must_use]
    pub fn recognise<'a>(
        checksum: u64,
        members: impl Iterator<Item = &'a Member> + Clone,
    ) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.checksum(&mut members.clone()) == checksum)
    }

    /// The implementation that has this form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "ringpop-go",
            Self::Node => "ringpop-node",
        }
    }
}

impl fmt::Display for ChecksumForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// FarmHash Fingerprint32, the hash of everything in Ringpop.
#[must_use]
pub fn fingerprint32(bytes: &[u8]) -> u32 {
    // The circle of this scheme has 32 bits.
    hashring::Ringpop.hash_key(bytes) as u32
}

impl Dialect for ChecksumForm {
    fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64 {
        let counted = members.filter(|member| member.status != Status::Tombstone);
        let text = match self {
            Self::Go => {
                let mut texts: Vec<String> = counted.map(|member| text_of(member, true)).collect();
                texts.sort_unstable();
                texts.iter().fold(String::new(), |all, text| all + text + ";")
            }
            Self::Node => {
                let mut members: Vec<&Member> = counted.collect();
                members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
                let texts: Vec<String> =
                    members.into_iter().map(|member| text_of(member, false)).collect();
                texts.join(";")
            }
        };
        fingerprint32(text.as_bytes()).into()
    }

    /// By their checksums as signed numbers, none being 0 (ringpop-go,
    /// `member.go`).
    fn compare_labels(&self, a: &Labels, b: &Labels) -> Ordering {
        labels_checksum(a).cmp(&labels_checksum(b))
    }
}

fn text_of(member: &Member, with_labels: bool) -> String {
    let Member { address, status, incarnation, labels, .. } = member;
    let mut text = format!("{address}{status}{incarnation}");
    let checksum = if with_labels { labels_checksum(labels) } else { 0 };
    if checksum != 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "#labels{checksum}");
    }
    text
}

/// Of each pair the hash over both lengths and texts, joined by exclusive or: their order does not
/// matter.
fn labels_checksum(labels: &Labels) -> i32 {
    let sum = labels.iter().fold(0, |sum, (key, value)| {
        let mut bytes = Vec::with_capacity(key.len() + value.len() + 8);
        for text in [key, value] {
            let length = u32::try_from(text.len()).expect("labels are bounded far below");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        sum ^ fingerprint32(&bytes)
    });
    sum.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    fn member(address: &str, status: Status, incarnation: u64) -> Member {
        Member::new(address.parse().unwrap(), status, incarnation, Labels::default())
    }

    fn checksum(form: ChecksumForm, members: &[Member]) -> u64 {
        form.checksum(&mut members.iter())
    }

    /// The label sets of Ringpop's cross-language suite, computed by its own code.
    #[test]
    fn checksums_of_labels_are_ringpops() {
        assert_eq!(labels_checksum(&labels(&[("hello", "world")])), 975_109_414);
        let two = labels(&[("hello", "world"), ("foo", "baz")]);
        assert_eq!(labels_checksum(&two), -1_625_122_257);
        assert_eq!(labels_checksum(&Labels::default()), 0);
    }

    #[test]
    fn labels_prevail_by_their_signed_checksum() {
        let (one, two) =
            (labels(&[("hello", "world")]), labels(&[("hello", "world"), ("foo", "baz")]));
        let none = Labels::default();
        for form in [ChecksumForm::Go, ChecksumForm::Node] {
            assert_eq!(form.compare_labels(&one, &none), Ordering::Greater);
            assert_eq!(form.compare_labels(&none, &two), Ordering::Greater);
            assert_eq!(form.compare_labels(&two, &two), Ordering::Equal);
        }
    }

    #[test]
    fn the_two_forms_differ_by_what_follows_the_last_member() {
        let members = [
            member("127.0.0.1:3001", Status::Suspect, 1_414_142_122_275),
            member("127.0.0.1:3000", Status::Alive, 1_414_142_122_274),
            member("127.0.0.1:3002", Status::Tombstone, 1),
        ];
        let text = "127.0.0.1:3000alive1414142122274;127.0.0.1:3001suspect1414142122275";
        let node = u64::from(fingerprint32(text.as_bytes()));
        let go = u64::from(fingerprint32(format!("{text};").as_bytes()));
        assert_eq!(checksum(ChecksumForm::Node, &members), node);
        assert_eq!(checksum(ChecksumForm::Go, &members), go);
        assert_ne!(node, go);
    }

    #[test]
    fn a_list_and_its_checksum_tell_the_form() {
        let members = [
            member("127.0.0.1:3000", Status::Alive, 1_414_142_122_274),
            member("127.0.0.1:3001", Status::Suspect, 1_414_142_122_275),
        ];
        for form in ChecksumForm::ALL {
            let checksum = checksum(form, &members);
            assert_eq!(ChecksumForm::recognise(checksum, members.iter()), Some(form));
            assert_eq!(ChecksumForm::recognise(checksum, members[..1].iter()), None);
        }
    }

    /// One address may begin with another.
    #[test]
    fn go_sorts_texts_and_node_addresses() {
        let members = [member("a:300", Status::Alive, 1), member("a:30", Status::Alive, 2)];
        let of = |text: &str| u64::from(fingerprint32(text.as_bytes()));
        assert_eq!(checksum(ChecksumForm::Go, &members), of("a:300alive1;a:30alive2;"));
        assert_eq!(checksum(ChecksumForm::Node, &members), of("a:30alive2;a:300alive1"));
    }

    #[test]
    fn labels_are_in_the_form_of_go_only() {
        let hello = labels(&[("hello", "world")]);
        let labelled = Member::new("a:1".parse().unwrap(), Status::Alive, 1, hello);
        let of = |text: &str| u64::from(fingerprint32(text.as_bytes()));
        let members = [labelled];
        assert_eq!(checksum(ChecksumForm::Go, &members), of("a:1alive1#labels975109414;"));
        assert_eq!(checksum(ChecksumForm::Node, &members), of("a:1alive1"));
    }
}
