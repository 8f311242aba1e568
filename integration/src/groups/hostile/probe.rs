//! [`probe`]: a call that cannot be decoded or run without being counted.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rpc::prelude::*;
use rpc::rpc_core::FunctionEntry;
use serde::Deserializer;

/// How much a call of the honest workers carries, in bytes.
pub(super) const BYTES: usize = 64;

static DECODED: AtomicU64 = AtomicU64::new(0);
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Bytes that count in this process how often anybody has tried to decode some.
#[derive(Debug, Serialize)]
pub(super) struct Probe(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        Vec::deserialize(deserializer).map(Self)
    }
}

#[rpc::function(inline)]
pub(super) fn probe(data: Probe) -> Vec<u8> {
    HANDLED.fetch_add(1, Ordering::Relaxed);
    data.0
}

/// What requests for it carry as their method.
pub(super) fn probe_id() -> u64 {
    FunctionEntry::of::<probe>().id().to_wire()
}

/// Requests of whatever kind that have reached this worker, arguments whose decoding has begun, and calls that
/// have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) decoded: u64,
    pub(super) handled: u64,
}

impl Counts {
    /// Of the worker in this process.
    pub(super) fn of(worker: &Worker) -> Result<Self> {
        Ok(Self {
            received: worker.debug_info().agent.requests.received,
            decoded: DECODED.load(Ordering::Relaxed),
            handled: HANDLED.load(Ordering::Relaxed),
        })
    }

    /// When nobody but those who made so many calls was heard.
    pub(super) fn of_calls(calls: u64) -> Self {
        Self { received: calls, decoded: calls, handled: calls }
    }
}
