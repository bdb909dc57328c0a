//! Landfall: the deterministic simulator: network, disk, clocks, workload, invariants.

pub mod disk;
