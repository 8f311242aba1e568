//! [`Row`], [`Table`]: what is known by key.

use serde::{Deserialize, Serialize};

use crate::model::{Stage, Traffic, Worker};

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Calls.
    Call,
    /// Spans of the user's own, which have no stages and no bytes.
    Span,
}

/// Calls or spans with the same key. All times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    /// A label in torch's form, or what the table is grouped by.
    pub key: String,
    /// Whether these are calls.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// How many of them did not end with a result, for whatever reason.
    pub errors: u64,
    /// How many of those were out of time.
    pub timeouts: u64,
    /// All their time together: of calls, for the caller.
    pub total_ns: u64,
    /// The same without the time in which something was going on in them that is recorded too: in a span, or in the
    /// handler of a call.
    pub self_ns: u64,
    /// The mean.
    pub mean_ns: u64,
    /// The median, as the module says.
    pub p50_ns: u64,
    /// What 1 in 100 exceeds, as the module says.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// The time of each stage, in the order of [`Stage::ALL`], of the calls of which it is known.
    pub stages_ns: [u64; 7],
    /// Of how many calls the time of each stage is known.
    pub stages_known: [u64; 7],
    /// What travelled to callees.
    pub request: TrafficSum,
    /// What travelled back.
    pub response: TrafficSum,
}

impl Row {
    /// The time of `stage` of all calls of which it is known, in nanoseconds.
    pub fn stage_ns(&self, stage: Stage) -> u64 {
        self.stages_ns[stage as usize]
    }

    /// Which part of all time was `stage`, from 0 to 1. `None` if no call says how long it was.
    pub fn stage_share(&self, stage: Stage) -> Option<f64> {
        (self.stages_known[stage as usize] > 0).then(|| self.share(self.stage_ns(stage)))
    }

    /// Which part of all time is of no stage, from 0 to 1: of calls that have failed, or whose callee records nothing.
    pub fn unknown_share(&self) -> f64 {
        let known = self.stages_ns.iter().fold(0_u64, |sum, ns| sum.saturating_add(*ns));
        self.share(self.total_ns.saturating_sub(known))
    }

    fn share(&self, ns: u64) -> f64 {
        if self.total_ns == 0 { 0.0 } else { ns as f64 / self.total_ns as f64 }
    }

    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.request.bytes.saturating_add(self.response.bytes)
    }
}

/// What all messages of one direction had together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrafficSum {
    /// Payloads and parts.
    pub bytes: u64,
    /// Parts beside payloads, such as tensors.
    pub parts: u64,
}

impl TrafficSum {
    pub(super) fn add(&mut self, one: Traffic) {
        self.bytes = self.bytes.saturating_add(one.bytes);
        self.parts = self.parts.saturating_add(one.parts.into());
    }
}

/// The rows of a profile, and what they do not say. Its `Display` is a table in plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Table {
    /// In the order that was asked for.
    pub rows: Vec<Row>,
    /// How many more there are.
    pub rows_left_out: usize,
    /// All calls, in whatever row.
    pub total: Row,
    /// How many spans there are, in whatever row.
    pub spans: u64,
    /// How calls ended that have no result, and how many did so; the most frequent first.
    pub failures: Vec<(String, u64)>,
    /// How long recording went on, in nanoseconds.
    pub recorded_ns: u64,
    /// Name of the worker that recorded.
    pub home: String,
    /// Calls and spans that were not kept, because there was no more room. No row has them.
    pub dropped: u64,
    /// Calls that had not ended. No row has them.
    #[serde(default)]
    pub under_way: u64,
    /// The workers that took part, with what their clocks are off.
    pub workers: Vec<Worker>,
}
