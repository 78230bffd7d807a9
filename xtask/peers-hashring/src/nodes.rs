//! The same nodes and keys for all.

use std::net::{Ipv4Addr, SocketAddr};

use hashring::{Node, Ring};

use crate::measure::mixed;

pub fn address(node: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0001 + node as u32), 8_080))
}

/// A node of our ring; it carries its number, which is what a lookup reads.
pub fn nodes(count: usize) -> impl Iterator<Item = Node<u32>> {
    (0..count).map(|i| Node::new(address(i).to_string()).with_data(i as u32))
}

pub fn ring(count: usize, points: usize) -> Ring<u32> {
    Ring::builder()
        .points_per_weight_unit(points as u32)
        .nodes(nodes(count))
        .build()
        .expect("the nodes are valid")
}

/// Keys of 16 to 32 bytes of text.
pub fn keys(count: u64) -> Vec<String> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/";
    let letter = |seed: u64| char::from(LETTERS[(mixed(seed) % 64) as usize]);
    (0..count)
        .map(|key| (0..16 + mixed(key) % 17).map(|i| letter(key << 8 | i)).collect())
        .collect()
}
