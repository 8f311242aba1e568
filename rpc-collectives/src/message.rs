//! What members and leaders send each other: requests of one [`Kind`], three methods. All are written in postcard,
//! which every worker has, whatever codec the values are in.

use std::borrow::Cow;
use std::time::Duration;

use rpc_core::{CallScope, Kind, POSTCARD, RequestHead};
use serde::{Deserialize, Serialize};

use crate::item::Item;
use crate::proto::Operation;

/// Of all requests of collectives.
pub(crate) const KIND: Kind = Kind(0x1a);

/// In which requests are made.
pub(crate) const WRITTEN: CallScope = CallScope::new().codec(POSTCARD);

/// The sender has come to an operation; answered when that has ended. To the leader.
pub(crate) const JOIN: u64 = 0;
/// The sender's program does not wait for it any more. To the leader.
pub(crate) const LEAVE: u64 = 1;
/// Answered when the receiver is past it. From the leader.
pub(crate) const WATCH: u64 = 2;

pub(crate) const fn head(method: u64, name: &'static str) -> RequestHead {
    RequestHead { kind: KIND, method, operation: "collective", function: name, signature: "" }
}

/// [`JOIN`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Join<'a> {
    pub(crate) operation: Cow<'a, Operation>,
    /// How long the sender waits from now, in microseconds; 0 for ever. The leader holds this time, since it knows who
    /// is missing; the request itself has a little more.
    pub(crate) wait_us: u64,
    /// For operations that have values.
    pub(crate) item: Option<Cow<'a, Item>>,
}

/// The answer to [`JOIN`]; otherwise it is a `CollectiveError`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Joined<'a> {
    /// What each member gave, in the order of the members. Empty for operations that have no values.
    pub(crate) items: Vec<Cow<'a, Item>>,
}

/// [`LEAVE`] and [`WATCH`]. The answer to both is empty.
#[derive(Serialize, Deserialize)]
pub(crate) struct Which<'a> {
    pub(crate) operation: Cow<'a, Operation>,
}

/// As it is on the wire.
pub(crate) fn to_us(wait: Option<Duration>) -> u64 {
    wait.map_or(0, |wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1))
}

pub(crate) fn from_us(us: u64) -> Option<Duration> {
    (us > 0).then(|| Duration::from_micros(us))
}
