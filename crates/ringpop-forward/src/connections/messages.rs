//! Where the messages of a gRPC body begin and end.
//!
//! Nobody can use a message before all of it is here, so a message of which the rest does not
//! come is memory that somebody holds for nothing. And a message that comes in pieces of a few
//! bytes costs far more than its bytes.

use crate::limits::{MESSAGE_PIECE_BYTES_MIN, MESSAGE_PIECES_MAX};

/// The prefix of a message: a flag, and the length in four bytes.
const PREFIX_BYTES: usize = 5;

/// Follows a body from message to message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the message that are here, its prefix included; zero between messages.
    here: usize,
    /// Bytes of the message that are still to come, when its prefix is whole.
    missing: usize,
    /// The pieces in which it has come.
    pieces: usize,
}

impl Messages {
    /// Takes the next piece of the body.
    pub(super) fn feed(&mut self, mut piece: &[u8]) {
        self.pieces += 1;
        while !piece.is_empty() {
            let taken = if self.here < PREFIX_BYTES {
                let taken = (PREFIX_BYTES - self.here).min(piece.len());
                self.prefix[self.here..self.here + taken].copy_from_slice(&piece[..taken]);
                if self.here + taken == PREFIX_BYTES {
                    let [_, a, b, c, d] = self.prefix;
                    self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
                }
                taken
            } else {
                let taken = self.missing.min(piece.len());
                self.missing -= taken;
                taken
            };
            self.here += taken;
            piece = &piece[taken..];
            if self.here >= PREFIX_BYTES && self.missing == 0 {
                self.here = 0;
                self.pieces = usize::from(!piece.is_empty());
            }
        }
    }

    /// Bytes that are here of a message that is not whole.
    pub(super) const fn unfinished(&self) -> usize {
        self.here
    }

    /// Whether a message comes in pieces that are too small.
    pub(super) const fn is_shredded(&self) -> bool {
        self.pieces > MESSAGE_PIECES_MAX + self.here / MESSAGE_PIECE_BYTES_MIN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(bytes: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend((bytes as u32).to_be_bytes());
        message.resize(PREFIX_BYTES + bytes, 7);
        message
    }

    #[test]
    fn a_message_is_unfinished_until_its_last_byte() {
        let mut messages = Messages::default();
        let all = message(100);
        for (i, byte) in all.iter().enumerate() {
            assert_eq!(messages.unfinished(), i);
            messages.feed(&[*byte]);
        }
        assert_eq!(messages.unfinished(), 0);
        messages.feed(&[message(0), message(3), message(8)[..6].to_vec()].concat());
        assert_eq!(messages.unfinished(), 6);
    }

    #[test]
    fn only_a_message_in_tiny_pieces_is_shredded() {
        let mut messages = Messages::default();
        // As many small messages as one likes, each in a piece of its own or in two.
        for _ in 0..10 * MESSAGE_PIECES_MAX {
            messages.feed(&message(1));
            let (prefix, rest) = (message(1)[..5].to_vec(), message(1)[5..].to_vec());
            messages.feed(&prefix);
            messages.feed(&rest);
            assert!(!messages.is_shredded());
        }
        // A large one in frames of ordinary clients.
        for piece in message(16 << 20).chunks(1024) {
            messages.feed(piece);
            assert!(!messages.is_shredded());
        }
        // And the same in pieces of a byte.
        let large = message(16 << 20);
        let shredded_after = large.iter().position(|byte| {
            messages.feed(&[*byte]);
            messages.is_shredded()
        });
        let most = MESSAGE_PIECES_MAX * MESSAGE_PIECE_BYTES_MIN / (MESSAGE_PIECE_BYTES_MIN - 1);
        assert!(shredded_after.is_some_and(|after| after <= most + 1), "{shredded_after:?}");
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_the_body_is_cut(
            lengths in prop::collection::vec(0..40_usize, 0..20), cut in 1..50_usize, last in 0..5_usize,
        ) {
            let mut body: Vec<u8> = lengths.iter().flat_map(|&bytes| message(bytes)).collect();
            body.extend(&message(9)[..last]);
            let mut messages = Messages::default();
            body.chunks(cut).for_each(|piece| messages.feed(piece));
            prop_assert_eq!(messages.unfinished(), last);
        }
    }
}
