//! T15: references that go round, back to their owner, into each other.

use rpc_core::{CallContext, Client};
use rpc_rref::{RRef, Registry};

use crate::common::Refs;
use crate::functions::{Tracked, fresh, give, gone, keep, leave, taken};

/// Passes a reference on to the next worker, which passes it on, and gives back what comes out.
#[rpc_macros::function(crate = "rpc_core")]
async fn forward(hops: u32, rref: RRef<Tracked>) -> Result<RRef<Tracked>, String> {
    let Some(hops) = hops.checked_sub(1) else { return Ok(rref) };
    let client = Client::current().expect("a function runs on a worker");
    let next = (client.agent().id().0 + 1) % client.agent().group().world_size() as u32;
    let result = client.rpc_async(i64::from(next), forward, (hops, rref)).await;
    result.map_err(|error| error.to_string())
}

/// Has the next worker make a reference to a reference that it makes, and so on: one owner for each.
#[rpc_macros::function(crate = "rpc_core")]
async fn wrap(hops: u32, value: u64) -> Result<Wrapped, String> {
    let client = Client::current().expect("a function runs on a worker");
    let registry = Registry::current().expect("it counts references");
    let Some(hops) = hops.checked_sub(1) else {
        return Ok(Wrapped::Value(RRef::new(&registry, Tracked::new(value))));
    };
    let next = (client.agent().id().0 + 1) % client.agent().group().world_size() as u32;
    let inner = client.rpc_async(i64::from(next), wrap, (hops, value)).await;
    let inner = inner.map_err(|error| error.to_string())?;
    Ok(Wrapped::Other(RRef::new(&registry, inner)))
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Wrapped {
    Value(RRef<Tracked>),
    Other(RRef<Wrapped>),
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn share_new(value: u64) -> RRef<Tracked> {
    RRef::new(&Registry::current().expect("it counts references"), Tracked::new(value))
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn is_mine(rref: RRef<RRef<Tracked>>) -> bool {
    rref.is_owner() && CallContext::current().is_some()
}

#[tokio::test(start_paused = true)]
async fn t15_an_owner_sends_a_reference_to_itself() {
    let refs = Refs::new(1).await;
    let (mine, value) = refs.own(0);
    let back = refs.pass(0, 0, &mine).await;
    assert_eq!(mine, back);
    drop(mine);
    assert_eq!(back.local_value().await.unwrap().ticket(), value);
    let ticket = fresh();
    leave(ticket, back);
    let given = refs.client(0).rpc_async("worker0", give, (ticket,)).await.unwrap();
    assert_eq!(given.to_here().await.unwrap().ticket(), value);
    drop(given);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t15_a_user_sends_a_reference_to_itself() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let again = refs.pass(1, 1, &at_1).await;
    drop((mine, at_1));
    refs.settle().await;
    assert_eq!(again.to_here().await.unwrap().ticket(), value);
    drop(again);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t15_a_reference_that_goes_round_eight_times_comes_back_as_itself() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    for hops in [1, 2, 3, 8] {
        let back = refs.client(0).rpc_async("worker1", forward, (hops, mine.clone())).await.unwrap();
        assert_eq!(back, mine);
        assert_eq!(back.local_value().await.unwrap().ticket(), value);
    }
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let back = refs.client(1).rpc_async("worker2", forward, (8, at_1)).await.unwrap();
    assert_eq!(back.to_here().await.unwrap().ticket(), value);
    drop(back);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t15_a_chain_of_references_through_eight_owners_is_let_go_from_its_head() {
    let refs = Refs::new(8).await;
    let value = fresh();
    let mut wrapped = refs.client(0).rpc_async("worker1", wrap, (7, value)).await.unwrap();
    refs.settle().await;
    let head = match &wrapped {
        Wrapped::Other(head) => head.clone(),
        Wrapped::Value(_) => panic!("it is wrapped"),
    };
    let mut owners = vec![head.owner().id.0];
    let end = loop {
        match wrapped {
            Wrapped::Other(outer) => wrapped = outer.to_here().await.unwrap(),
            Wrapped::Value(end) => break end,
        }
        if let Wrapped::Other(inner) = &wrapped {
            owners.push(inner.owner().id.0);
        }
    };
    assert_eq!(owners, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(end.to_here().await.unwrap().ticket(), value);
    drop(end);
    refs.settle().await;
    assert_eq!(crate::functions::alive(value), 1, "the chain keeps it");
    drop(head);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t15_a_reference_in_a_result_is_the_callees_value() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let given = refs.client(0).rpc_async("worker1", share_new, (value,)).await.unwrap();
    assert_eq!(given.owner_name(), "worker1");
    assert_eq!(given.to_here().await.unwrap().ticket(), value);
    drop(given);
    refs.assert_empty().await;
    gone(value).await;
}

/// `remote` of a function that returns a reference: a reference to a reference.
#[tokio::test(start_paused = true)]
async fn t15_a_reference_to_a_reference_keeps_both_values() {
    let refs = Refs::new(3).await;
    let value = fresh();
    let outer: RRef<RRef<Tracked>> = refs.registry(0).remote("worker1", share_new, (value,)).unwrap();
    outer.created().await.unwrap();
    assert!(refs.client(0).rpc_async("worker1", is_mine, (outer.clone(),)).await.unwrap());
    let inner = outer.to_here().await.unwrap();
    assert_ne!(inner.id(), outer.id());
    drop(outer);
    refs.settle().await;
    let ticket = fresh();
    refs.client(0).rpc_async("worker2", keep, (ticket, inner)).await.unwrap();
    let at_2: RRef<Tracked> = taken(ticket);
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop(at_2);
    refs.assert_empty().await;
    gone(value).await;
}
