//! In-memory network with faults, test clusters and virtual time for rpc programs.
#![forbid(unsafe_code)]

mod network;

mod cluster;
pub mod conformance;

pub use crate::cluster::{Cluster, ClusterBuilder, ClusterError};
pub use crate::network::{ActiveRule, InFlight, MemoryNetwork, MemoryTransport, NetworkBuilder, Rule, Stage};
