//! In-memory network with faults, test clusters and virtual time for rpc programs.
#![forbid(unsafe_code)]

pub mod conformance;
mod network;

pub use crate::network::{ActiveRule, InFlight, MemoryNetwork, MemoryTransport, NetworkBuilder, Rule, Stage};
