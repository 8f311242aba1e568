//! Functions that tests call, and how a test reaches what they do.
//!
//! All workers of a test live in one process, so a function leaves what it got for the test under a *ticket*,
//! a number that no other test has.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{CallError, Client};
use rpc_rref::RRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Semaphore;

static NEXT: AtomicU64 = AtomicU64::new(1);
static LEFT: Mutex<BTreeMap<u64, Box<dyn Any + Send>>> = Mutex::new(BTreeMap::new());
static GATES: Mutex<BTreeMap<u64, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());
static RUNS: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());
static LIVES: Mutex<BTreeMap<u64, Lives>> = Mutex::new(BTreeMap::new());

/// A ticket that nobody has had.
pub(crate) fn fresh() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Leaves something under a ticket.
pub(crate) fn leave<T: Send + 'static>(ticket: u64, what: T) {
    LEFT.lock().insert(ticket, Box::new(what));
}

/// Whether something was left and not taken.
pub(crate) fn is_left(ticket: u64) -> bool {
    LEFT.lock().contains_key(&ticket)
}

/// Takes what was left.
#[track_caller]
pub(crate) fn taken<T: 'static>(ticket: u64) -> T {
    let Some(left) = LEFT.lock().remove(&ticket) else { panic!("nothing was left") };
    *left.downcast().unwrap()
}

/// How often a function has begun that was given this ticket.
pub(crate) fn runs(ticket: u64) -> usize {
    RUNS.lock().get(&ticket).copied().unwrap_or_default()
}

pub(crate) fn note_run(ticket: u64) {
    *RUNS.lock().entry(ticket).or_default() += 1;
}

fn gate(ticket: u64) -> Arc<Semaphore> {
    Arc::clone(GATES.lock().entry(ticket).or_insert_with(|| Arc::new(Semaphore::new(0))))
}

/// Lets one pass that waits at the gate, or will.
pub(crate) fn open(ticket: u64) {
    gate(ticket).add_permits(1);
}

/// Waits at a gate until it is opened.
pub(crate) async fn pass_gate(ticket: u64) {
    gate(ticket).acquire().await.unwrap().forget();
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lives {
    alive: usize,
    dropped: usize,
}

/// A value of which a test knows how many there are.
#[derive(Debug, PartialEq)]
pub(crate) struct Tracked(u64);

impl Tracked {
    pub(crate) fn new(ticket: u64) -> Self {
        LIVES.lock().entry(ticket).or_default().alive += 1;
        Self(ticket)
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut lives = LIVES.lock();
        let lives = lives.entry(self.0).or_default();
        lives.alive -= 1;
        lives.dropped += 1;
    }
}

impl Serialize for Tracked {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Tracked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self::new)
    }
}

/// How many values there are with this ticket, copies included.
pub(crate) fn alive(ticket: u64) -> usize {
    LIVES.lock().get(&ticket).copied().unwrap_or_default().alive
}

/// How many values with this ticket have been dropped, copies included.
pub(crate) fn dropped(ticket: u64) -> usize {
    LIVES.lock().get(&ticket).copied().unwrap_or_default().dropped
}

/// Waits until the destructors of all values with this ticket have run, perhaps on another thread.
pub(crate) async fn gone(ticket: u64) {
    crate::common::eventually("the value is dropped", || alive(ticket) == 0).await;
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn text_of(n: u32) -> String {
    format!("value {n}")
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn tracked(ticket: u64) -> Tracked {
    note_run(ticket);
    Tracked::new(ticket)
}

/// Makes a value after a while.
#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn tracked_after(ms: u64, ticket: u64) -> Tracked {
    note_run(ticket);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Tracked::new(ticket)
}

/// Makes a value when the gate of its ticket is opened.
#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn tracked_at_gate(ticket: u64) -> Tracked {
    note_run(ticket);
    pass_gate(ticket).await;
    Tracked::new(ticket)
}

/// Leaves a reference for the test, still the worker's on which this runs.
#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn keep(ticket: u64, rref: RRef<Tracked>) {
    note_run(ticket);
    leave(ticket, rref);
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn keep_three(ticket: u64, a: RRef<Tracked>, b: RRef<Tracked>, c: RRef<Tracked>) {
    note_run(ticket);
    leave(ticket, (a, b, c));
}

/// Has a reference for as long as the gate is closed.
#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn hold_at_gate(ticket: u64, rref: RRef<Tracked>) -> u64 {
    note_run(ticket);
    pass_gate(ticket).await;
    drop(rref);
    ticket
}

/// Gives a reference that the test has left.
#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn give(ticket: u64) -> RRef<Tracked> {
    note_run(ticket);
    taken(ticket)
}

/// Gives it when the gate is opened.
#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn give_at_gate(ticket: u64) -> RRef<Tracked> {
    note_run(ticket);
    pass_gate(ticket).await;
    taken(ticket)
}

/// Has the next worker keep a reference.
#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn pass_on(to: String, ticket: u64, rref: RRef<Tracked>) -> Result<(), CallError> {
    let client = Client::current().expect("a function runs on a worker");
    client.rpc_async(&to, keep, (ticket, rref)).await
}

#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn read(rref: RRef<Tracked>) -> Result<u64, CallError> {
    Ok(rref.to_here().await?.ticket())
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn nothing() {}
