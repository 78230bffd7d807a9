//! Whatever happens to a few members, in whatever order, nothing panics and
//! every invariant holds after each step.
//!
//! What can happen and what must hold is shared with the fuzzer: `fuzz/src`.
//! 102,000 sequences take about 40 seconds of one processor without
//! optimisation.

use crate::fuzz::ops::{Op, Sequence};
use crate::fuzz::settle;
use crate::fuzz::world::{self, Way};
use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};

const OPS_MAX: usize = 30;

/// Each operation is read from random bytes of its own, so that a sequence that
/// fails is shortened by whole operations.
fn ops() -> impl Strategy<Value = Op> {
    any::<[u64; 12]>().prop_map(|words| {
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        Op::arbitrary(&mut Unstructured::new(&bytes)).unwrap()
    })
}

/// Sequences for so many members, some of which have joined each other before.
fn sequences(members: u8) -> impl Strategy<Value = Sequence> {
    let parts = (any::<bool>(), any::<u8>(), vec(ops(), 1..=OPS_MAX));
    parts.prop_map(move |(joined, config, ops)| Sequence { members, joined, config, ops })
}

/// Sequences for each number of members: a hundred thousand in a run of all tests.
fn sequences_of_each() -> ProptestConfig {
    let runs_all = crate::runs_all::runs_all("30,000 of 34,000 sequences of inputs");
    ProptestConfig::with_cases(if runs_all { 34_000 } else { 4_000 })
}

/// Sequences that are run more than once, or until all agree.
fn sequences_twice() -> ProptestConfig {
    let runs_all = crate::runs_all::runs_all("2,500 of 4,000 sequences that are compared");
    ProptestConfig::with_cases(if runs_all { 4_000 } else { 1_500 })
}

proptest! {
    #![proptest_config(sequences_of_each())]

    #[test]
    fn any_sequence_for_one_member_keeps_the_invariants(sequence in sequences(1)) {
        world::run(&sequence);
    }

    #[test]
    fn any_sequence_for_two_members_keeps_the_invariants(sequence in sequences(2)) {
        world::run(&sequence);
    }

    #[test]
    fn any_sequence_for_three_members_keeps_the_invariants(sequence in sequences(3)) {
        world::run(&sequence);
    }
}

proptest! {
    #![proptest_config(sequences_twice())]

    #[test]
    fn after_any_sequence_a_fair_network_brings_agreement(sequence in sequences(3)) {
        settle::run(&sequence);
    }

    #[test]
    fn the_same_sequence_has_the_same_outputs(sequence in sequences(3)) {
        let trace = || world::trace(&sequence, Way::Message);
        prop_assert_eq!(trace(), trace());
    }

    /// That a packet skips what is known is not to be seen from outside.
    #[test]
    fn packets_have_the_effects_of_the_messages_in_them(sequence in sequences(3)) {
        let [decoded, packets] = [Way::Decoded, Way::Packet].map(|way| world::trace(&sequence, way));
        prop_assert_eq!(decoded, packets);
    }
}
