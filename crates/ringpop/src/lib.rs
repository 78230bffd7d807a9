//! Application-layer sharding: gossip membership, a consistent-hash ring and request forwarding.
