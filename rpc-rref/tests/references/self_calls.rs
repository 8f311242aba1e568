//! Methods that call their own value through a reference.

use rpc_core::{CallError, Failure, ReferenceError};

use crate::common::{Refs, ms, reference_error, secs, within};
use crate::functions::{fresh, open, runs};
use crate::methods::counter;

/// The error of the call that a method made.
#[track_caller]
fn inner<T: std::fmt::Debug>(result: Result<T, CallError<CallError>>) -> CallError {
    match result.unwrap_err() {
        CallError::Handler { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

macro_rules! assert_would_deadlock {
    ($call:expr) => {{
        let error = inner(within(ms(10), $call).await);
        let reference = reference_error(&error);
        assert!(matches!(reference, ReferenceError::WouldDeadlock { .. }), "{reference:?}");
    }};
}

#[tokio::test(start_paused = true)]
async fn a_method_that_writes_and_waits_for_a_call_of_its_own_value_would_deadlock() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    assert_would_deadlock!(at_1.rpc_async().add_other(at_1.clone()));
    assert_would_deadlock!(at_1.rpc_async().copy_of(at_1.clone()));
    assert_would_deadlock!(mine.rpc_async().add_other(mine.clone()));
    // The value is usable all the same.
    assert_eq!(within(ms(10), at_1.rpc_async().add(1)).await.unwrap(), 1);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_reads_and_waits_for_one_that_writes_would_deadlock() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    assert_would_deadlock!(at_1.rpc_async().add_to(at_1.clone(), 1));
    assert_eq!(within(ms(10), at_1.rpc_async().add(1)).await.unwrap(), 1);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_borrows_its_own_value_to_write_would_deadlock() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let error = within(ms(10), at_1.rpc_async().borrow(at_1.clone(), true)).await.unwrap_err();
    let text = error.handler_error().unwrap();
    assert!(text.contains("WouldDeadlock"), "{text}");
    assert_eq!(at_1.rpc_async().borrow(at_1.clone(), false).await.unwrap(), 0);
    assert_eq!(within(ms(10), at_1.rpc_async().add(1)).await.unwrap(), 1);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_writes_may_call_its_own_value_without_waiting() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    assert_eq!(within(ms(10), at_1.rpc_async().add_to_later(at_1.clone(), 5)).await.unwrap(), 0);
    refs.settle().await;
    assert_eq!(at_1.rpc_async().value().await.unwrap(), 5, "it ran afterwards");
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_writes_may_ask_whether_its_own_value_is_there() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    within(ms(10), at_1.rpc_async().created(at_1.clone())).await.unwrap();
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_may_call_another_value() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let (other, other_at_1) = counter(&refs).await;
    other.rpc_async().add(4).await.unwrap();
    assert_eq!(at_1.rpc_async().add_other(other_at_1.clone()).await.unwrap(), 4);
    assert_eq!(at_1.rpc_async().add_to(other_at_1.clone(), 2).await.unwrap(), 6);
    drop((mine, at_1, other, other_at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_reads_may_read_its_own_value() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    assert_eq!(within(ms(10), at_1.rpc_async().value_of(at_1.clone())).await.unwrap(), 0);
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// It must not wait behind the writer, who waits for it.
#[tokio::test(start_paused = true)]
async fn a_method_that_reads_may_read_its_own_value_although_somebody_waits_to_write() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let reads = at_1.rpc_async().value_of_at_gate(gate, at_1.clone());
    refs.settle().await;
    let writes = at_1.rpc_async().add(1);
    let behind = at_1.rpc_async().value();
    refs.settle().await;
    assert_eq!((runs(gate), writes.is_done(), behind.is_done()), (1, false, false));
    open(gate);
    assert_eq!(within(ms(10), reads).await.unwrap(), 0);
    assert_eq!(writes.await.unwrap(), 1);
    assert_eq!(behind.await.unwrap(), 1);
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// Nobody sees a cycle through another worker; the deadline ends it.
#[tokio::test(start_paused = true)]
async fn a_deadlock_through_another_worker_ends_with_the_deadline_of_the_call() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let call = at_1.rpc_async().value_by("worker1".into(), at_1.clone()).timeout(secs(2));
    let error = within(ms(2_100), call).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(within(ms(100), at_1.rpc_async().add(1)).await.unwrap(), 1, "the value is free");
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// Two values of which each method waits for the other: the same.
#[tokio::test(start_paused = true)]
async fn a_deadlock_of_two_values_ends_with_the_deadline_of_the_calls() {
    let refs = Refs::new(2).await;
    let ((a, a_at_1), (b, b_at_1)) = (counter(&refs).await, counter(&refs).await);
    let first = a_at_1.rpc_async().add_other(b_at_1.clone()).timeout(secs(1));
    let second = b_at_1.rpc_async().add_other(a_at_1.clone()).timeout(secs(1));
    // One may see the end of the other first.
    let (first, second) = within(ms(1_100), async { (first.await, second.await) }).await;
    let timed_out = |error: &CallError<CallError>| match error {
        CallError::Handler { error, .. } => error.is_timeout(),
        other => matches!(other.failure(), Some(Failure::TimedOut { .. })),
    };
    assert!(first.as_ref().err().is_some_and(timed_out) || second.as_ref().err().is_some_and(timed_out));
    assert!(within(ms(100), a_at_1.rpc_async().add(1)).await.is_ok());
    drop((a, a_at_1, b, b_at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_outside_of_the_method_is_no_deadlock() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let writes = at_1.rpc_async().add_at_gate(gate, 1);
    refs.settle().await;
    // This test is not inside of the method, so its call simply waits.
    let waits = mine.rpc_async().value().timeout(secs(1));
    assert!(waits.await.unwrap_err().is_timeout());
    open(gate);
    writes.await.unwrap();
    drop((mine, at_1));
    refs.assert_empty().await;
}
