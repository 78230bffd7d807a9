//! FarmHash Fingerprint32, the hash of Ringpop.
//!
//! It is written out here because the published port, farmhash 1.1.5, adds without wrapping (it
//! panics on ordinary keys where overflow checks are on) and reads short keys as unsigned bytes,
//! which disagrees with the original on keys that are not ASCII. The original is
//! `farmhashmk::Hash32` of google/farmhash; its values are in the tests.

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// The fingerprint of some bytes: stable across versions and platforms.
pub(super) fn fingerprint32(bytes: &[u8]) -> u32 {
    match bytes.len() {
        0..=4 => of_0_to_4(bytes),
        5..=12 => of_5_to_12(bytes),
        13..=24 => of_13_to_24(bytes),
        _ => of_more(bytes),
    }
}

fn of_0_to_4(bytes: &[u8]) -> u32 {
    let (mut b, mut c) = (0_u32, 9_u32);
    for byte in bytes {
        // A signed char in the original.
        b = b.wrapping_mul(C1).wrapping_add_signed(i32::from(byte.cast_signed()));
        c ^= b;
    }
    finish(stir(stir(c, bytes.len() as u32), b))
}

fn of_5_to_12(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let d = len as u32 * 5;
    let a = word(bytes, 0).wrapping_add(len as u32);
    let b = word(bytes, len - 4).wrapping_add(d);
    let c = word(bytes, (len >> 1) & 4).wrapping_add(9);
    finish(stir(stir(stir(d, a), b), c))
}

fn of_13_to_24(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let mut a = word(bytes, (len >> 1) - 4);
    let b = word(bytes, 4);
    let c = word(bytes, len - 8);
    let d = word(bytes, len >> 1);
    let e = word(bytes, 0);
    let f = word(bytes, len - 4);
    let mut hash = d.wrapping_mul(C1).wrapping_add(len as u32);
    a = a.rotate_right(12).wrapping_add(f);
    hash = stir(hash, c).wrapping_add(a);
    a = a.rotate_right(3).wrapping_add(c);
    hash = stir(hash, e).wrapping_add(a);
    a = a.wrapping_add(f).rotate_right(12).wrapping_add(d);
    finish(stir(hash, b).wrapping_add(a))
}

fn of_more(bytes: &[u8]) -> u32 {
    let len = bytes.len();
    let from_end = |distance: usize| scramble(word(bytes, len - distance));
    let mut h = rotate_in(rotate_in(len as u32, from_end(4)), from_end(16));
    let mut g = C1.wrapping_mul(len as u32);
    let mut f = g.wrapping_add(from_end(20)).rotate_right(19).wrapping_add(113);
    g = rotate_in(rotate_in(g, from_end(8)), from_end(12));

    // The last 1 to 20 bytes are no block of their own: their words went in above.
    for block in bytes[..len - 1].chunks_exact(20) {
        let [a, b, c, d, e] = [0, 4, 8, 12, 16].map(|at| word(block, at));
        h = h.wrapping_add(a);
        g = g.wrapping_add(b);
        f = f.wrapping_add(c);
        h = stir(h, d).wrapping_add(e);
        g = stir(g, c).wrapping_add(a);
        f = stir(f, b.wrapping_add(e.wrapping_mul(C1))).wrapping_add(d);
        f = f.wrapping_add(g);
        g = g.wrapping_add(f);
    }

    let spread =
        |word: u32| word.rotate_right(11).wrapping_mul(C1).rotate_right(17).wrapping_mul(C1);
    for word in [spread(g), spread(f)] {
        h = h.wrapping_add(word).rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64);
        h = h.rotate_right(17).wrapping_mul(C1);
    }
    h
}

/// Four bytes, little-endian, wherever the platform stands.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the slice has four bytes"))
}

fn scramble(word: u32) -> u32 {
    word.wrapping_mul(C1).rotate_right(17).wrapping_mul(C2)
}

fn rotate_in(hash: u32, scrambled: u32) -> u32 {
    (hash ^ scrambled).rotate_right(19).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

/// One step of Murmur3.
fn stir(hash: u32, word: u32) -> u32 {
    rotate_in(hash, scramble(word))
}

/// The finalizer of Murmur3.
fn finish(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::fingerprint32;

    /// `util::Fingerprint32` of google/farmhash for the first 0 to 100 bytes of `177, 177 + 151,
    /// 177 + 2 * 151, ...`, so that every length class has bytes above 127.
    #[rustfmt::skip]
    const OF_PREFIXES: [u32; 101] = [
        3696677242, 3847672934, 707793884, 1999505270, 1029651654, 847597716, 1244639264, 1531836796, 3285105159,
        1037437830, 591079516, 2232682637, 2868530735, 2240055472, 829344422, 860802530, 1797522812, 843459664,
        3889953200, 3176611602, 2238195780, 3214345697, 356041766, 4017760536, 852949020, 2157533744, 2265667094,
        2064018046, 2055764054, 753997421, 46296085, 2891211604, 516096712, 3820561951, 2565903124, 2096360451,
        1800792144, 2581352025, 1316127410, 1200345965, 3364684432, 3050629328, 674756224, 1876746969, 4092398622,
        3472616537, 268713928, 62219951, 187318036, 937504531, 1637764374, 3432702431, 4134837670, 557900250,
        3446820640, 2512171187, 939454027, 2847579967, 3009182449, 4154537622, 2736121871, 278229791, 4201311010,
        1299545369, 3435945050, 3905109627, 3040228336, 3613927017, 2120657547, 2387522467, 4164402978, 4288934580,
        1132464516, 1145003867, 701904324, 1863791035, 3185055041, 1357140419, 2299742874, 3183418994, 4291389734,
        4183172556, 2517915874, 2468454176, 1477384079, 790223363, 1045974376, 157248772, 594269417, 3169318583,
        4096994148, 228834018, 2813336093, 1576918229, 1307027264, 2773756405, 2108679227, 2446913015, 4021239173,
        3801254432, 3065452776,
    ];

    #[test]
    fn every_length_agrees_with_the_original() {
        let bytes: Vec<u8> = (0..100_u32).map(|i| (i * 151 + 177) as u8).collect();
        for (length, expected) in OF_PREFIXES.iter().enumerate() {
            assert_eq!(fingerprint32(&bytes[..length]), *expected, "length {length}");
        }
        assert_eq!(fingerprint32(b"a"), 0x3c97_3d4d);
    }
}
