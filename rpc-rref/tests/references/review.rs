//! What once went wrong: a closed registry, workers that are taken for dead, busy streams, and waiting from inside
//! of methods.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{CallContext, Handler, Incoming, Kind, Outcome, ReferenceError, Response, Served};
use rpc_rref::RRef;
use rpc_testing::Rule;
use serde::Serialize;

use crate::common::{CONTROL, FETCH, Refs, assert_reference, ms, secs, within};
use crate::functions::{fresh, is_left, leave, open, pass_gate, runs, taken, text_of, tracked};

#[tokio::test(start_paused = true)]
async fn a_reference_that_is_made_after_the_end_is_to_no_earlier_value() {
    let refs = Refs::new(1).await;
    let before = RRef::new(refs.registry(0), 7_u32);
    refs.registry(0).close();
    let (after, last) = (RRef::new(refs.registry(0), 8_u32), RRef::new(refs.registry(0), 9_u32));
    assert!(before != after && before != last && after != last);
    drop((before, after, last));
    assert!(refs.registry(0).is_idle());
}

struct Refuses;

impl Handler for Refuses {
    fn handle(&self, _: Incoming) -> Served {
        Served::Now(Response::failed(Outcome::BadArguments, &["all of it"]))
    }
}

/// It may be alive, and would keep for ever what it makes for who does not listen to it.
#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_a_worker_that_is_taken_for_dead() {
    let refs = Refs::new(2).await;
    let (mine, _) = refs.own(1);
    let at_0 = refs.pass(1, 0, &mine).await;
    refs.settle().await;
    refs.client(1).agent().serve(Kind(CONTROL), Arc::new(Refuses));
    drop(at_0);
    refs.settle().await;

    let value = fresh();
    let made = refs.registry(0).remote("worker1", tracked, (value,)).unwrap();
    assert_reference!(made.created().await, ReferenceError::OwnerLost { .. });
    refs.settle().await;
    assert_eq!(runs(value), 0);
}

/// The stream to the owner is never idle.
#[tokio::test(start_paused = true)]
async fn a_lost_fetch_ends_although_there_is_always_something_to_tell_the_owner() {
    let refs = Refs::new(2).await;
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    refs.settle().await;
    let _slow = refs.rule(0, 1, Rule::delay(ms(5)).replies());
    let registry = Arc::clone(refs.registry(1));
    let busy = tokio::spawn(async move {
        loop {
            drop(registry.remote("worker0", text_of, (1,)));
            tokio::time::sleep(ms(1)).await;
        }
    });
    tokio::time::sleep(ms(50)).await;
    let fetch = refs.rule(1, 0, Rule::hold().kind(FETCH));
    let copy = at_1.to_here();
    refs.cluster.network().until_held(1).await;
    refs.cut(0, 1);
    fetch.remove();
    within(secs(1), copy).await.unwrap_err();
    busy.abort();
}

#[derive(Serialize)]
struct Cell(u64);

#[rpc_macros::methods(crate = "rpc_rref")]
impl Cell {
    async fn get(&self) -> u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0
    }

    async fn set(&mut self, n: u64) {
        self.0 = n;
    }

    /// Ends before what it spawns calls.
    async fn get_later(&mut self, ticket: u64, me: RRef<Cell>) {
        let context = CallContext::current().expect("a method runs in a call");
        tokio::spawn(context.scope(async move {
            pass_gate(ticket).await;
            leave(ticket, me.rpc_async().get().await.map_err(|error| error.to_string()));
        }));
    }

    /// Waits for a value that another method of this one makes.
    async fn get_by_reference(&self, ticket: u64, me: RRef<Cell>) -> u64 {
        pass_gate(ticket).await;
        let made = me.remote().get().expect("it is here");
        made.to_here().await.expect("it is made")
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_method_has_spawned_may_wait_for_the_value_when_the_method_has_ended() {
    let refs = Refs::new(1).await;
    let cell = RRef::new(refs.registry(0), Cell(5));
    let ticket = fresh();
    cell.rpc_async().get_later(ticket, cell.clone()).await.unwrap();
    open(ticket);
    tokio::time::sleep(ms(50)).await;
    assert!(is_left(ticket));
    assert_eq!(taken::<Result<u64, String>>(ticket), Ok(5));
}

/// The writer waits for the first reader, and the second reader must not wait for the writer.
#[tokio::test(start_paused = true)]
async fn a_method_that_reads_may_wait_for_what_another_one_makes_while_somebody_waits_to_write() {
    let refs = Refs::new(1).await;
    let cell = RRef::new(refs.registry(0), Cell(5));
    let ticket = fresh();
    let get = cell.rpc_async().get_by_reference(ticket, cell.clone());
    refs.settle().await;
    let set = cell.rpc_async().set(7);
    refs.settle().await;
    open(ticket);
    assert_eq!(within(secs(1), get).await.unwrap(), 5);
    set.await.unwrap();
}
