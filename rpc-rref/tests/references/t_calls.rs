//! T10 to T12: calls that carry references, and fail.

use rpc_core::{CallError, EngineConfig, Failure, ReferenceError};
use rpc_rref::RRef;
use rpc_testing::{Cluster, Rule};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{CONTROL, Refs, assert_reference, ms, secs, within};
use crate::functions::{Tracked, fresh, give, gone, is_left, keep, keep_three, leave, runs, taken};

const CALL: u8 = rpc_core::Kind::CALL.0;

/// An argument that cannot be encoded.
#[derive(Debug)]
struct Unspeakable;

impl Serialize for Unspeakable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no words for it"))
    }
}

impl<'de> Deserialize<'de> for Unspeakable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_beside(ticket: u64, rref: RRef<Tracked>, beside: Unspeakable) {
    let _ = beside;
    leave(ticket, rref);
}

#[rpc_macros::function(crate = "rpc_core", inline)]
fn keep_beside_bytes(ticket: u64, rref: RRef<Tracked>, bytes: Vec<u8>) {
    drop(bytes);
    leave(ticket, rref);
}

/// Gives a reference beside something that cannot be encoded.
#[rpc_macros::function(crate = "rpc_core", inline)]
fn give_beside(ticket: u64) -> (RRef<Tracked>, Unspeakable) {
    (taken(ticket), Unspeakable)
}

/// Gives a reference beside more bytes than a message may have.
#[rpc_macros::function(crate = "rpc_core", inline)]
fn give_beside_bytes(ticket: u64, bytes: u64) -> (RRef<Tracked>, Vec<u8>) {
    (taken(ticket), vec![0; bytes as usize])
}

/// Worker 1 calls 2 with references to values of workers 0, 3 and 4; the registration with 4 is held.
#[tokio::test(start_paused = true)]
async fn t10_a_function_with_three_references_starts_when_the_last_is_confirmed() {
    let refs = Refs::new(5).await;
    let mut at_1 = Vec::new();
    let mut values = Vec::new();
    for owner in [0, 3, 4] {
        let (mine, value) = refs.own(owner);
        at_1.push(refs.pass(owner, 1, &mine).await);
        values.push(value);
    }
    let late = refs.rule(2, 4, Rule::hold().kind(CONTROL));
    let ticket = fresh();
    let [a, b, c] = &at_1[..] else { unreachable!() };
    let call = refs.client(1).rpc_async("worker2", keep_three, (ticket, a.clone(), b.clone(), c.clone()));
    refs.settle().await;
    assert_eq!(runs(ticket), 0);
    tokio::time::sleep(secs(3)).await;
    assert_eq!(runs(ticket), 0);

    late.remove();
    within(ms(10), call).await.unwrap();
    assert_eq!(runs(ticket), 1);
    let (a, b, c): (RRef<Tracked>, RRef<Tracked>, RRef<Tracked>) = taken(ticket);
    for (rref, value) in [a, b, c].into_iter().zip(values) {
        assert!(rref.confirmed_by_owner());
        assert_eq!(rref.to_here().await.unwrap().ticket(), value);
    }
    drop(at_1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t10_a_function_whose_last_reference_is_never_confirmed_ends_with_the_deadline_of_its_call() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let never = refs.rule(2, 0, Rule::hold().kind(CONTROL));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1)).timeout(secs(2));
    let error = within(ms(2_010), call).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    tokio::time::sleep(secs(1)).await;
    assert_eq!(runs(ticket), 0);
    never.remove();
    refs.assert_empty().await;
    gone(value).await;
    assert_eq!(runs(ticket), 0);
}

/// Worker 2 has a reference from worker 1, which dies before the owner has heard of worker 2.
#[tokio::test(start_paused = true)]
async fn t10_a_function_whose_reference_lost_its_sender_is_a_typed_error() {
    let refs = Refs::new(4).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.rule(2, 0, Rule::delay(secs(2)).kind(CONTROL));
    let ticket = fresh();
    leave(ticket, at_1.clone());
    let at_2 = refs.client(2).rpc_async("worker1", give, (ticket,)).await.unwrap();
    refs.kill(1);
    let ticket = fresh();
    let call = refs.client(2).rpc_async("worker3", keep, (ticket, at_2.clone()));
    let copy = at_2.to_here();
    assert_reference!(within(secs(5), call).await, ReferenceError::SenderLost { .. });
    assert!(within(secs(5), copy).await.is_err());
    gone(value).await;
    assert_reference!(at_2.to_here().await, ReferenceError::SenderLost { .. });
    assert_reference!(at_2.created().await, ReferenceError::SenderLost { .. });
    let later = refs.client(2).rpc_async("worker3", keep, (ticket, at_2.clone())).await;
    assert_reference!(later, ReferenceError::SenderLost { .. });
    assert_eq!(runs(ticket), 0);
    assert!(!at_2.confirmed_by_owner());
    drop((at_1, at_2));
    refs.assert_empty().await;
}

/// The same for the callee of the worker that dies: it waits for nothing.
#[tokio::test(start_paused = true)]
async fn t10_a_function_whose_caller_dies_before_its_reference_is_confirmed_does_not_run() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.rule(2, 0, Rule::delay(secs(2)).kind(CONTROL));
    let ticket = fresh();
    let _lost = refs.client(1).rpc_async("worker2", keep, (ticket, at_1.clone()));
    refs.settle().await;
    refs.kill(1);
    tokio::time::sleep(secs(3)).await;
    gone(value).await;
    assert_eq!(runs(ticket), 0);
    drop(at_1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t10_a_function_whose_references_owner_dies_while_it_waits_is_a_typed_error() {
    let refs = Refs::new(4).await;
    let (mine, _) = refs.own(0);
    let (other, _) = refs.own(3);
    let (a, b) = (refs.pass(0, 1, &mine).await, refs.pass(3, 1, &other).await);
    refs.rule(2, 0, Rule::hold().kind(CONTROL));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep_three, (ticket, a.clone(), b.clone(), b.clone()));
    refs.settle().await;
    refs.kill(0);
    assert_reference!(within(secs(1), call).await, ReferenceError::OwnerLost { .. });
    assert_eq!(runs(ticket), 0);
    drop((mine, other, a, b));
    refs.assert_empty().await;
}

/// The owner counts what it sends before it knows whether that can be sent.
#[tokio::test(start_paused = true)]
async fn t11_a_reference_beside_what_cannot_be_encoded_is_not_counted() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let call = refs.client(0).rpc_async("worker1", keep_beside, (fresh(), mine.clone(), Unspeakable));
    let error = call.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Encode { .. })), "{error}");
    drop(mine);
    gone(value).await;
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_message_that_is_too_large_is_taken_back() {
    let config = EngineConfig { message_bytes_max: 10_000, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let refs = Refs::over(cluster);
    let (mine, value) = refs.own(0);
    let args = (fresh(), mine.clone(), vec![0; 20_000]);
    let error = refs.client(0).rpc_async("worker1", keep_beside_bytes, args).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::TooLarge { .. })), "{error}");
    drop(mine);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_call_that_is_lost_is_taken_back_when_the_call_ends() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    refs.rule(0, 1, Rule::drop().kind(CALL).times(1));
    let call = refs.client(0).rpc_async("worker1", keep, (fresh(), mine)).timeout(secs(1));
    refs.settle().await;
    assert!(!refs.registry(0).is_idle());
    assert!(call.await.unwrap_err().is_timeout());
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_call_that_goes_down_with_its_link_is_taken_back() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    drop(refs.pass(0, 1, &mine).await);
    refs.rule(0, 1, Rule::hold().kind(CALL).times(1));
    let call = refs.client(0).rpc_async("worker1", keep, (fresh(), mine));
    refs.cluster.network().until_held(1).await;
    refs.cut(0, 1);
    assert!(matches!(call.await.unwrap_err().failure(), Some(Failure::LinkLost { .. })));
    within(secs(1), refs.assert_empty()).await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_call_that_comes_after_it_was_given_up_is_not_taken() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    drop(refs.pass(0, 1, &mine).await);
    refs.rule(0, 1, Rule::delay(secs(3)).kind(CALL).times(1));
    let ticket = fresh();
    let call = refs.client(0).rpc_async("worker1", keep, (ticket, mine)).timeout(secs(1));
    assert!(call.await.unwrap_err().is_timeout());
    tokio::time::sleep(secs(5)).await;
    // The message arrives ahead of the word that it was given up, so the function runs.
    if is_left(ticket) {
        let kept: RRef<Tracked> = taken(ticket);
        assert_eq!(kept.to_here().await.unwrap().ticket(), value);
    }
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t11_references_in_results_that_cannot_be_sent_are_taken_back() {
    let config = EngineConfig { message_bytes_max: 10_000, ..EngineConfig::default() };
    let cluster = Cluster::builder().workers(["worker0", "worker1"]).config(config).build().await.unwrap();
    let refs = Refs::over(cluster);
    for beside_bytes in [false, true] {
        let (mine, value) = refs.own(0);
        let ticket = fresh();
        leave(ticket, mine);
        let error: CallError = if beside_bytes {
            refs.client(1).rpc_async("worker0", give_beside_bytes, (ticket, 20_000)).await.unwrap_err()
        } else {
            refs.client(1).rpc_async("worker0", give_beside, (ticket,)).await.unwrap_err()
        };
        assert!(matches!(error.failure(), Some(Failure::BadResult { .. })), "{error}");
        refs.assert_empty().await;
        gone(value).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_result_that_goes_down_with_its_link_is_taken_back() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    leave(ticket, mine);
    let result = refs.rule(0, 1, Rule::hold().replies());
    let call = refs.client(1).rpc_async("worker0", give, (ticket,));
    refs.cluster.network().until_held(1).await;
    assert_eq!(runs(ticket), 1);
    refs.cut(0, 1);
    result.remove();
    assert!(call.await.is_err());
    within(secs(1), refs.assert_empty()).await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t11_a_reference_in_a_result_that_nobody_waits_for_is_dropped() {
    let refs = Refs::new(2).await;
    for give_up in 0..3 {
        let (mine, value) = refs.own(0);
        let ticket = fresh();
        leave(ticket, mine);
        let late = refs.rule(0, 1, Rule::delay(secs(2)).replies());
        let call = refs.client(1).rpc_async("worker0", give, (ticket,));
        match give_up {
            0 => drop(call),
            1 => call.cancel(),
            _ => assert!(call.timeout(secs(1)).await.unwrap_err().is_timeout()),
        }
        tokio::time::sleep(secs(3)).await;
        late.remove();
        refs.assert_empty().await;
        gone(value).await;
        assert_eq!(runs(ticket), 1);
    }
}

/// A user sends the owner a handle to its own value.
#[tokio::test(start_paused = true)]
async fn t12_a_reference_on_its_way_to_the_owner_is_taken_back_when_the_call_fails() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let lost = refs.rule(1, 0, Rule::drop().kind(CALL).times(1));
    let call = refs.client(1).rpc_async("worker0", keep, (fresh(), at_1)).timeout(secs(1));
    assert!(call.await.unwrap_err().is_timeout());
    assert_eq!(lost.hits(), 1);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t12_a_reference_on_its_way_to_the_owner_keeps_its_value() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.rule(1, 0, Rule::delay(secs(2)).kind(CALL));
    let ticket = fresh();
    refs.client(1).rpc_async("worker0", keep, (ticket, at_1)).await.unwrap();
    let back: RRef<Tracked> = taken(ticket);
    assert_eq!(back.local_value().await.unwrap().ticket(), value);
    drop(back);
    refs.assert_empty().await;
    gone(value).await;
}
