//! What a registry does after it was closed.

use rpc_core::{Outcome, ReferenceError};
use rpc_rref::RRef;

use crate::common::{CREATE, FETCH, Refs, assert_reference, id, secs, within};
use crate::functions::{Tracked, fresh, gone, keep, read, runs, tracked};
use crate::raw::{CreateAside, FetchAside, function_id, request, send, send_batch};

#[tokio::test(start_paused = true)]
async fn handles_of_a_closed_registry_are_of_no_use() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let (other, _) = refs.own(1);
    let at_0 = refs.pass(1, 0, &other).await;
    refs.registry(0).close();
    gone(value).await;
    for rref in [&mine, &at_0] {
        assert_reference!(rref.to_here().await, ReferenceError::ShutDown { .. });
        assert_reference!(rref.created().await, ReferenceError::ShutDown { .. });
        let sent = refs.client(0).rpc_async("worker2", read, (rref.clone(),)).await;
        assert_reference!(sent, ReferenceError::ShutDown { .. });
        assert!(!rref.confirmed_by_owner());
    }
    let error = within(secs(1), mine.local_value()).await.unwrap_err();
    assert!(matches!(error, ReferenceError::ShutDown { .. } | ReferenceError::NotHere { .. }), "{error}");
    assert!(refs.registry(0).remote("worker1", tracked, (0,)).is_err());
    drop((mine, at_0, other));
    assert!(refs.registry(0).is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_closed_registry_keeps_nothing_new() {
    let refs = Refs::new(2).await;
    refs.registry(0).close();
    let value = fresh();
    let mine = RRef::new(refs.registry(0), Tracked::new(value));
    gone(value).await;
    assert_reference!(mine.to_here().await, ReferenceError::ShutDown { .. });
    assert!(!mine.confirmed_by_owner());
    assert!(refs.registry(0).is_idle());
    drop(mine);
    assert!(refs.registry(0).is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_closed_registry_answers_others_that_it_is_gone() {
    let refs = Refs::new(3).await;
    let (mine, _) = refs.own(0);
    let (at_1, at_2) = (refs.pass(0, 1, &mine).await, refs.pass(0, 2, &mine).await);
    refs.registry(0).close();
    let value = fresh();
    let asked = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    for rref in [&at_1, &at_2, &asked] {
        let error = within(secs(2), rref.to_here()).await.unwrap_err();
        assert!(error.failure().is_some(), "{error}");
    }
    assert_eq!(runs(value), 0, "a function for a value that nobody could have");
    drop((mine, at_1, at_2, asked));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn requests_to_a_closed_registry_are_refused() {
    let refs = Refs::new(2).await;
    refs.registry(0).close();
    let rref = rpc_rref::RRefId { owner: id(0), creator: id(1), number: 0 };
    let value = fresh();
    let aside = CreateAside { rref, place: "here", handles: Vec::new(), of: None };
    let created = send(&refs, 1, 0, request(CREATE, function_id(tracked), &(value,), &aside)).await;
    assert_ne!(created.outcome, Outcome::Ok);
    let aside = FetchAside { rref, nested: false };
    let fetched = within(secs(2), send(&refs, 1, 0, request(FETCH, 0, &(), &aside))).await;
    assert_ne!(fetched.outcome, Outcome::Ok);
    assert_eq!(send_batch(&refs, 1, 0, 0, &[]).await, Outcome::ShuttingDown);
    assert_eq!(runs(value), 0);
    assert!(refs.registry(0).is_idle());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_value_when_its_registry_closes_is_told() {
    let refs = Refs::new(2).await;
    let made = refs.registry(0).remote("worker0", crate::functions::tracked_at_gate, (fresh(),)).unwrap();
    let at_1 = refs.pass(0, 1, &made).await;
    let copies = [made.to_here(), at_1.to_here()];
    let local = tokio::spawn({
        let made = made.clone();
        async move { made.local_value().await.map(drop) }
    });
    refs.settle().await;
    refs.registry(0).close();
    for copy in copies {
        assert!(within(secs(1), copy).await.is_err());
    }
    assert!(within(secs(1), local).await.unwrap().is_err());
}

/// A call that brings a reference to a worker that keeps no more.
#[tokio::test(start_paused = true)]
async fn a_call_with_a_reference_to_a_closed_worker_is_an_error() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    refs.registry(1).close();
    let ticket = fresh();
    let call = refs.client(0).rpc_async("worker1", keep, (ticket, mine));
    assert!(within(secs(1), call).await.is_err());
    assert_eq!(runs(ticket), 0);
    refs.assert_empty().await;
    gone(value).await;
}
