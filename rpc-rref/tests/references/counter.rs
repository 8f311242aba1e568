//! A type with methods of all kinds.

use std::time::Duration;

use rpc_core::CallError;
use rpc_rref::RRef;
use serde::{Deserialize, Serialize};

use crate::functions::{Tracked, leave, note_run, pass_gate, taken};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) n: u64,
}

/// Why a method refuses.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused(pub(crate) String);

#[rpc_macros::methods(crate = "rpc_rref", inline)]
impl Counter {
    pub(crate) fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    pub(crate) fn value(&self) -> u64 {
        self.n
    }

    /// Has the value alone until the gate is opened.
    pub(crate) async fn add_at_gate(&mut self, gate: u64, by: u64) -> u64 {
        note_run(gate);
        let before = self.n;
        pass_gate(gate).await;
        self.n = before + by;
        self.n
    }

    /// Has the value, beside others who read, until the gate is opened.
    pub(crate) async fn value_at_gate(&self, gate: u64) -> u64 {
        note_run(gate);
        let before = self.n;
        pass_gate(gate).await;
        assert_eq!(before, self.n, "nobody writes meanwhile");
        self.n
    }

    pub(crate) async fn add_after(&mut self, ms: u64, by: u64) -> u64 {
        let before = self.n;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.n = before + by;
        self.n
    }

    pub(crate) fn refuse(&mut self, why: String) -> Result<u64, Refused> {
        self.n += 1;
        Err(Refused(why))
    }

    pub(crate) fn panics(&mut self) -> u64 {
        self.n += 1;
        panic!("a method that panics");
    }

    pub(crate) async fn panics_later(&self) -> u64 {
        tokio::task::yield_now().await;
        panic!("an async method that panics");
    }

    /// Adds what is behind another reference, perhaps to the same value.
    pub(crate) async fn add_other(&mut self, other: RRef<Counter>) -> Result<u64, CallError> {
        self.n += other.rpc_async().value().await?;
        Ok(self.n)
    }

    /// Reads what is behind another reference, perhaps to the same value.
    pub(crate) async fn value_of(&self, other: RRef<Counter>) -> Result<u64, CallError> {
        other.rpc_async().value().await
    }

    /// Reads it when the gate is opened.
    pub(crate) async fn value_of_at_gate(&self, gate: u64, other: RRef<Counter>) -> Result<u64, CallError> {
        note_run(gate);
        pass_gate(gate).await;
        other.rpc_async().value().await
    }

    /// Has another value added to, perhaps the same, and waits for it.
    pub(crate) async fn add_to(&self, other: RRef<Counter>, by: u64) -> Result<u64, CallError> {
        other.rpc_async().add(by).await
    }

    /// Has another value added to, perhaps the same, and does not wait for it.
    pub(crate) async fn add_to_later(&mut self, other: RRef<Counter>, by: u64) -> u64 {
        drop(other.rpc_async().add(by));
        tokio::task::yield_now().await;
        self.n
    }

    /// Copies another value, perhaps the same.
    pub(crate) async fn copy_of(&mut self, other: RRef<Counter>) -> Result<u64, CallError> {
        Ok(other.to_here().await?.n)
    }

    /// Waits for the creation of another value, perhaps the same.
    pub(crate) async fn created(&mut self, other: RRef<Counter>) -> Result<(), CallError> {
        other.created().await
    }

    /// Borrows a value here, perhaps the same.
    pub(crate) async fn borrow(&self, other: RRef<Counter>, to_write: bool) -> Result<u64, String> {
        let text = |error: rpc_core::ReferenceError| format!("{error:?}");
        if to_write {
            let mut guard = other.local_value_mut().await.map_err(text)?;
            guard.n += 1;
            return Ok(guard.n);
        }
        Ok(other.local_value().await.map_err(text)?.n)
    }

    /// Has another worker read it, perhaps the same value.
    pub(crate) async fn value_by(&mut self, worker: String, other: RRef<Counter>) -> Result<u64, String> {
        let client = rpc_core::Client::current().ok_or("no worker")?;
        let read = client.rpc_async(&worker, read_counter, (other,)).await;
        read.map_err(|error| error.to_string())
    }

    /// Leaves a reference for the test.
    pub(crate) fn keep(&mut self, ticket: u64, rref: RRef<Tracked>) -> u64 {
        note_run(ticket);
        leave(ticket, rref);
        self.n
    }

    /// Gives one that the test has left.
    pub(crate) fn give(&self, ticket: u64) -> RRef<Tracked> {
        taken(ticket)
    }

    /// Drops one while it has the value.
    pub(crate) fn let_go(&mut self, rref: RRef<Tracked>) {
        drop(rref);
        self.n += 1;
    }

    pub(crate) fn text(&self) -> String {
        self.n.to_string()
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn new_counter(n: u64) -> Counter {
    Counter { n }
}

#[rpc_macros::function(crate = "rpc_core")]
pub(crate) async fn read_counter(counter: RRef<Counter>) -> Result<u64, CallError> {
    counter.rpc_async().value().await
}

/// Leaves a reference for the test.
#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn keep_counter(ticket: u64, counter: RRef<Counter>) {
    leave(ticket, counter);
}

/// Gives one that the test has left.
#[rpc_macros::function(crate = "rpc_core", inline)]
pub(crate) fn give_counter(ticket: u64) -> RRef<Counter> {
    taken(ticket)
}
