//! Weighted consistent-hash ring with snapshots, walks and client-side selection.
