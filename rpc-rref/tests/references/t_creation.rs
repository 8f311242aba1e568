//! T6 to T9: requests to create that are late, repeated, lost or given up.
//!
//! Worker 1 asks worker 0 for a value; worker 2 gets a handle.

use rpc_core::wire::frame;
use rpc_core::{Client, Failure, Outcome, ReferenceError};
use rpc_rref::{RRef, RRefId};
use rpc_testing::Rule;

use crate::common::{CREATE, Refs, assert_reference, id, ms, secs, within};
use crate::counter::new_counter;
use crate::functions::{
    Tracked, alive, dropped, fresh, give, gone, is_left, keep, leave, open, runs, taken, tracked,
    tracked_after, tracked_at_gate,
};
use crate::raw::{CreateAside, function_id, request, send};

/// A result brings a reference that need not be confirmed: so worker 2 uses one of worker 1's at once.
async fn given_to_2(refs: &Refs, rref: &RRef<Tracked>) -> RRef<Tracked> {
    let ticket = fresh();
    leave(ticket, rref.clone());
    refs.client(2).rpc_async("worker1", give, (ticket,)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn t06_a_fetch_that_comes_before_the_request_to_create_waits_for_the_value() {
    let refs = Refs::new(3).await;
    let creation = refs.rule(1, 0, Rule::hold().kind(CREATE));
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    assert!(!at_2.confirmed_by_owner());
    let copy = at_2.to_here();
    let created = at_2.created();
    refs.settle().await;
    assert!(!copy.is_done() && !created.is_done() && runs(value) == 0);

    creation.remove();
    assert_eq!(within(ms(10), copy).await.unwrap().ticket(), value);
    created.await.unwrap();
    refs.settle().await;
    assert!(at_1.confirmed_by_owner() && at_2.confirmed_by_owner());
    assert_eq!(runs(value), 1);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t06_a_fetch_ends_with_its_deadline_if_the_request_to_create_does_not_come() {
    let refs = Refs::new(3).await;
    refs.rule(1, 0, Rule::drop().kind(CREATE));
    let at_1 = refs.registry(1).remote("worker0", tracked, (fresh(),)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    let error = within(ms(510), at_2.to_here().timeout(ms(500))).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop((at_1, at_2));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t06_a_fetch_ends_when_the_creator_gives_the_creation_up() {
    let refs = Refs::new(3).await;
    refs.rule(1, 0, Rule::drop().kind(CREATE));
    let client = refs.client(1).with_timeout(secs(2));
    let at_1 = refs.registry(1).remote_by(&client, "worker0", tracked, (fresh(),)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    assert_reference!(within(ms(2_100), at_2.to_here()).await, ReferenceError::NotCreated { .. });
    assert_reference!(at_2.created().await, ReferenceError::NotCreated { .. });
    drop((at_1, at_2));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t06_a_fetch_ends_when_the_creator_dies_before_it_has_asked() {
    let refs = Refs::new(3).await;
    refs.rule(1, 0, Rule::drop().kind(CREATE));
    let at_1 = refs.registry(1).remote("worker0", tracked, (fresh(),)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    let copy = at_2.to_here();
    refs.settle().await;
    refs.kill(1);
    assert_reference!(within(secs(1), copy).await, ReferenceError::NotCreated { .. });
    drop((at_1, at_2));
    refs.assert_empty().await;
}

/// The owner may get a handle of its own to a value that it has not been asked for yet.
#[tokio::test(start_paused = true)]
async fn t06_the_owner_waits_for_the_value_as_well() {
    let refs = Refs::new(3).await;
    let creation = refs.rule(1, 0, Rule::hold().kind(CREATE));
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    let ticket = fresh();
    let call = refs.client(2).rpc_async("worker0", keep, (ticket, at_2.clone()));
    refs.settle().await;
    assert!(!is_left(ticket), "a function starts with handles that are confirmed");

    creation.remove();
    within(ms(10), call).await.unwrap();
    let at_0: RRef<Tracked> = taken(ticket);
    assert!(at_0.is_owner() && at_0.confirmed_by_owner());
    assert_eq!(at_0.local_value().await.unwrap().ticket(), value);
    drop((at_0, at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

/// The network repeats nothing, so this request is made by hand.
#[tokio::test(start_paused = true)]
async fn t07_a_request_to_create_that_is_repeated_runs_once() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let rref = RRefId { owner: id(0), creator: id(1), number: 0 };
    let aside = CreateAside { rref, place: "here", handles: Vec::new(), of: None };
    let again = request(CREATE, function_id(tracked), &(value,), &aside);
    // The registry numbers its creations from 0.
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    assert_eq!(at_1.id(), rref);
    at_1.created().await.unwrap();
    for _ in 0..3 {
        assert_eq!(send(&refs, 1, 0, again.clone()).await.outcome, Outcome::Cancelled);
    }
    assert_eq!((runs(value), alive(value)), (1, 1));
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
    // Neither does one that comes after the release.
    assert_eq!(send(&refs, 1, 0, again).await.outcome, Outcome::Cancelled);
    assert_eq!(runs(value), 1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t08_a_lost_request_to_create_is_the_same_typed_error_at_every_use() {
    let refs = Refs::new(3).await;
    refs.rule(1, 0, Rule::drop().kind(CREATE).times(1));
    let client = refs.client(1).with_timeout(secs(3));
    let at_1 = refs.registry(1).remote_by(&client, "worker0", tracked, (fresh(),)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    tokio::time::sleep(secs(4)).await;
    for _ in 0..2 {
        for (at, worker) in [(&at_1, 1), (&at_2, 2)] {
            assert_reference!(at.to_here().await, ReferenceError::NotCreated { .. });
            assert_reference!(at.created().await, ReferenceError::NotCreated { .. });
            let shared = refs.client(worker).rpc_async("worker0", keep, (fresh(), at.clone())).await;
            assert_reference!(shared, ReferenceError::NotCreated { .. });
            assert!(!at.confirmed_by_owner());
        }
    }
    let error = at_1.to_here().await.unwrap_err().to_string();
    assert!(error.contains("no reply within 3s"), "its creator knows why: {error}");
    // Another one is not touched by it.
    let value = fresh();
    let next = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    assert_eq!(next.to_here().await.unwrap().ticket(), value);
    drop((at_1, at_2, next));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t08_a_request_to_create_that_goes_down_with_its_link_fails_at_once() {
    let refs = Refs::new(2).await;
    refs.client(1).rpc_async("worker0", crate::functions::nothing, ()).await.unwrap();
    let creation = refs.rule(1, 0, Rule::hold().kind(CREATE).times(1));
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    let copy = at_1.to_here();
    refs.cluster.network().until_held(1).await;
    refs.cut(0, 1);
    assert!(within(secs(1), copy).await.is_err());
    assert_reference!(at_1.to_here().await, ReferenceError::NotCreated { .. });
    assert_eq!((creation.hits(), runs(value)), (1, 0));
    drop(at_1);
    refs.assert_empty().await;
}

/// The value is made, and the answer goes down with the link: the creator does not know.
#[tokio::test(start_paused = true)]
async fn t08_a_creation_whose_answer_is_lost_is_an_error_and_leaks_nothing() {
    let refs = Refs::new(3).await;
    let answer = refs.rule(0, 1, Rule::hold().replies());
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    refs.cluster.network().until_held(1).await;
    assert_eq!(alive(value), 1);
    refs.cut(0, 1);
    answer.remove();
    refs.settle().await;
    assert_reference!(at_1.to_here().await, ReferenceError::NotCreated { .. });
    assert_reference!(at_1.created().await, ReferenceError::NotCreated { .. });
    refs.assert_empty_but(1).await;
    gone(value).await;
    drop(at_1);
    refs.assert_empty().await;
    assert_eq!(dropped(value), 1);
}

/// As before, but the creator has heard of the value otherwise.
#[tokio::test(start_paused = true)]
async fn t08_a_creation_whose_answer_is_lost_has_happened_once_the_value_was_there() {
    for copied in [false, true] {
        let refs = Refs::new(2).await;
        let answer = refs.rule(0, 1, Rule::drop().replies().times(1));
        let value = fresh();
        let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
        refs.settle().await;
        assert!(answer.hits() == 1 && !at_1.confirmed_by_owner());
        if copied {
            assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
        } else {
            at_1.created().await.unwrap();
        }
        assert!(at_1.confirmed_by_owner());
        refs.cut(0, 1);
        refs.settle().await;
        assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
        drop(at_1);
        refs.assert_empty().await;
        gone(value).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t08_a_creation_whose_answer_is_lost_has_happened_once_a_method_has_run() {
    let refs = Refs::new(2).await;
    let answer = refs.rule(0, 1, Rule::drop().replies().times(1));
    let at_1 = refs.registry(1).remote("worker0", new_counter, (3,)).unwrap();
    refs.settle().await;
    assert!(answer.hits() == 1 && !at_1.confirmed_by_owner());
    assert_eq!(at_1.rpc_async().add(1).await.unwrap(), 4);
    refs.cut(0, 1);
    refs.settle().await;
    assert_eq!(at_1.rpc_async().value().await.unwrap(), 4);
    drop(at_1);
    refs.assert_empty().await;
}

/// Worker 2 has a confirmed handle to the value of such a creation, and keeps it.
#[tokio::test(start_paused = true)]
async fn t08_who_has_a_confirmed_handle_keeps_the_value_that_its_creator_lost() {
    let refs = Refs::new(3).await;
    let answer = refs.rule(0, 1, Rule::hold().replies());
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    let at_2 = given_to_2(&refs, &at_1).await;
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    refs.cut(0, 1);
    answer.remove();
    tokio::time::sleep(secs(1)).await;
    assert_reference!(at_1.to_here().await, ReferenceError::NotCreated { .. });
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

/// The creator gives up and releases while the function runs; the function does not hear of it.
#[tokio::test(start_paused = true)]
async fn t09_a_value_that_is_made_after_its_creator_gave_up_is_dropped() {
    let refs = Refs::new(2).await;
    refs.rule(1, 0, Rule::drop().kind(frame::CANCEL));
    refs.rule(1, 0, Rule::delay(secs(2)).kind(CREATE));
    let client = refs.client(1).with_timeout(secs(1));
    let value = fresh();
    let at_1 = refs.registry(1).remote_by(&client, "worker0", tracked_after, (500, value)).unwrap();
    tokio::time::sleep(ms(1_100)).await;
    assert_reference!(at_1.to_here().await, ReferenceError::NotCreated { .. });
    drop(at_1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!((runs(value), dropped(value)), (1, 0), "the release has overtaken the function");
    tokio::time::sleep(secs(1)).await;
    gone(value).await;
    assert_eq!(dropped(value), 1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t09_a_handle_that_is_dropped_at_once_does_not_stop_the_function() {
    let refs = Refs::new(2).await;
    let value = fresh();
    drop(refs.registry(1).remote("worker0", tracked_at_gate, (value,)).unwrap());
    refs.settle().await;
    assert_eq!(runs(value), 1);
    open(value);
    refs.settle().await;
    gone(value).await;
    assert_eq!(dropped(value), 1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t09_a_creation_that_times_out_ends_its_function() {
    let refs = Refs::new(2).await;
    let client: Client = refs.client(1).with_timeout(secs(1));
    let value = fresh();
    let at_1 = refs.registry(1).remote_by(&client, "worker0", tracked_at_gate, (value,)).unwrap();
    let error = within(ms(1_100), at_1.created()).await.unwrap_err();
    let reference = error.failure().and_then(Failure::reference).unwrap();
    assert!(
        matches!(reference, ReferenceError::NotCreated { .. } | ReferenceError::CreationFailed { .. }),
        "{error}"
    );
    drop(at_1);
    refs.assert_empty().await;
    assert_eq!((runs(value), alive(value), dropped(value)), (1, 0, 0));
}
