//! Calls, creations and methods that the owner's gatekeeper denies, and the handles in them.

use std::sync::Arc;

use rpc_core::{Failure, Gatekeeper, HandlerRan, ReferenceError, WorkerId};
use rpc_rref::RRef;
use rpc_testing::Cluster;

use crate::common::{Refs, assert_reference};
use crate::counter::{Counter, give_counter};
use crate::functions::{Tracked, fresh, gone, keep, leave, runs, tracked};

/// Two workers; worker 1 lets worker 0 call what does not have one of these endings.
async fn guarded(endings: &'static [&'static str]) -> (Refs, Arc<Gatekeeper>) {
    let cluster = Cluster::new(2).await;
    let hook = move |peer: &rpc_core::WorkerInfo, function: &str| {
        assert_eq!(peer.name.as_str(), "worker0", "it is not asked for the worker itself");
        !endings.iter().any(|ending| function.ends_with(ending))
    };
    let gatekeeper = Arc::new(Gatekeeper::new(WorkerId(1), cluster.group().clone(), hook));
    let guard = |info: &rpc_core::WorkerInfo| (info.id.0 == 1).then(|| Arc::clone(&gatekeeper));
    (Refs::over_guarded(cluster, usize::MAX, guard), gatekeeper)
}

fn denied<T: std::fmt::Debug, E: std::fmt::Debug + std::fmt::Display>(
    result: Result<T, rpc_core::CallError<E>>,
) {
    let error = result.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Denied { .. })), "{error}");
    assert_eq!(error.handler_ran(), HandlerRan::No);
    let text = error.to_string();
    for word in ["worker1", "worker0", error.function(), "authorize hook"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handles_in_a_denied_call_are_taken_back() {
    let (refs, gatekeeper) = guarded(&["::keep"]).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    denied(refs.client(0).rpc_async("worker1", keep, (ticket, mine.clone())).await);
    assert_eq!((runs(ticket), gatekeeper.denied()), (0, 1));
    drop(mine);
    refs.assert_empty().await;
    gone(value).await;
    // What the worker calls on itself is not asked about, and what others may call runs.
    refs.client(1).rpc_async("worker1", keep, (ticket, refs.own(1).0)).await.unwrap();
    crate::functions::taken::<RRef<Tracked>>(ticket);
    refs.client(0).rpc_async("worker1", tracked, (fresh(),)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_denied_creation_is_one_that_has_failed() {
    let (refs, gatekeeper) = guarded(&["::tracked"]).await;
    let ticket = fresh();
    let value = refs.registry(0).remote("worker1", tracked, (ticket,)).unwrap();
    let error = value.to_here().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("authorize hook") && text.contains("::tracked"), "{text}");
    assert_reference!(value.created().await, ReferenceError::CreationFailed { .. });
    assert_eq!((runs(ticket), gatekeeper.denied()), (0, 1));
    drop(value);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_is_denied_by_its_name_and_the_value_can_still_be_read() {
    let (refs, gatekeeper) = guarded(&["::Counter::keep", "::Counter::value"]).await;
    let (ticket, left) = (fresh(), fresh());
    leave(left, RRef::new(refs.registry(1), Counter::default()));
    let counter: RRef<Counter> = refs.client(0).rpc_async("worker1", give_counter, (left,)).await.unwrap();
    let (mine, value) = refs.own(0);
    denied(counter.rpc_async().keep(ticket, mine.clone()).await);
    let result = counter.remote().value().unwrap();
    assert_reference!(result.to_here().await, ReferenceError::CreationFailed { .. });
    let kept = counter.remote().keep(ticket, mine.clone()).unwrap();
    assert_reference!(kept.to_here().await, ReferenceError::CreationFailed { .. });
    assert_eq!((runs(ticket), gatekeeper.denied()), (0, 3));
    assert_eq!(counter.rpc_async().add(5).await.unwrap(), 5, "another method");
    assert_eq!(counter.to_here().await.unwrap(), Counter { n: 5 }, "who has a reference may read");
    drop((mine, counter, result, kept));
    refs.assert_empty().await;
    gone(value).await;
}
