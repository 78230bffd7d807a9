//! The nodes that a walk has given.

/// Owners that are kept in a short list before a bitmap is made: more than a caller takes, but for
/// walks past many that fail.
const FEW: usize = 16;

/// A set of owners. It allocates nothing for the first few.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    few: [u32; FEW],
    len: usize,
    /// One bit a node, once there are more than a few.
    many: Vec<u64>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { few: [0; FEW], len: 0, many: Vec::new() }
    }

    /// Adds an owner, of so many nodes; tells whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, owner: u32, nodes: usize) -> bool {
        if self.many.is_empty() {
            if self.few[..self.len].contains(&owner) {
                return false;
            }
            if self.len < FEW {
                self.few[self.len] = owner;
                self.len += 1;
                return true;
            }
            self.many.resize(nodes.div_ceil(u64::BITS as usize), 0);
            for owner in self.few {
                self.set(owner);
            }
        }
        self.set(owner)
    }

    fn set(&mut self, owner: u32) -> bool {
        let (word, bit) = ((owner / u64::BITS) as usize, 1 << (owner % u64::BITS));
        let is_new = self.many[word] & bit == 0;
        self.many[word] |= bit;
        is_new
    }
}
