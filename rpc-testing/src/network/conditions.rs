//! What the network does to frames: delays, partitions, rules, bounds.

use std::time::Duration;

use rpc_core::wire::Header;

use super::rule::{Fate, Rules};
use crate::rng::Rng;

#[derive(Debug)]
pub(super) struct Conditions {
    /// Bytes of one direction of a link that may be under way and not taken by the receiver.
    pub(super) window_bytes: u64,
    /// How long a link survives a partition, and how long a closing one waits for its reader.
    pub(super) silence_max: Duration,
    pub(super) rules: Rules,
    pub(super) rng: Rng,
    delays: Pairs<Duration>,
    blocked: Pairs<()>,
}

impl Conditions {
    pub(super) fn new(seed: u64, window_bytes: u64, silence_max: Duration) -> Self {
        Self {
            window_bytes,
            silence_max,
            rules: Rules::default(),
            rng: Rng::new(seed),
            delays: Pairs::default(),
            blocked: Pairs::default(),
        }
    }

    pub(super) fn set_delay(&mut self, from: &str, to: &str, delay: Duration) {
        self.delays.set(from, to, delay);
    }

    pub(super) fn delay(&self, from: &str, to: &str) -> Duration {
        self.delays.get(from, to).copied().unwrap_or_default()
    }

    pub(super) fn block(&mut self, from: &str, to: &str) {
        self.blocked.set(from, to, ());
    }

    pub(super) fn unblock(&mut self, from: &str, to: &str) {
        self.blocked.remove(from, to);
    }

    /// Whether nothing gets from `from` to `to`.
    pub(super) fn is_blocked(&self, from: &str, to: &str) -> bool {
        self.blocked.get(from, to).is_some()
    }

    pub(super) fn fate(&mut self, from: &str, to: &str, header: &Header) -> Fate {
        self.rules.fate(from, to, header, &mut self.rng)
    }
}

/// Values by ordered pair of addresses. A list, because tests have few and lookups by `&str` need no keys.
#[derive(Debug)]
struct Pairs<T>(Vec<(String, String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pairs<T> {
    fn get(&self, from: &str, to: &str) -> Option<&T> {
        self.0.iter().find(|(a, b, _)| a == from && b == to).map(|(_, _, value)| value)
    }

    fn set(&mut self, from: &str, to: &str, value: T) {
        self.remove(from, to);
        self.0.push((from.to_owned(), to.to_owned(), value));
    }

    fn remove(&mut self, from: &str, to: &str) {
        self.0.retain(|(a, b, _)| !(a == from && b == to));
    }
}
