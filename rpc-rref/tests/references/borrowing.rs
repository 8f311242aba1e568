//! Guards of the owner's own value.

use rpc_core::ReferenceError;
use rpc_rref::{RRef, Registry};

use crate::common::{Refs, ms, secs, within};
use crate::counter::Counter;
use crate::functions::{Tracked, fresh, runs, tracked_after};
use crate::methods::counter;

#[tokio::test(start_paused = true)]
async fn guards_that_read_are_there_together_and_one_that_writes_alone() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let (first, second) = (mine.local_value().await.unwrap(), mine.local_value().await.unwrap());
    assert_eq!((first.n, second.n), (0, 0));
    assert!(tokio::time::timeout(secs(1), mine.local_value_mut()).await.is_err());
    let add = at_1.rpc_async().add(1);
    refs.settle().await;
    assert!(!add.is_done());
    drop((first, second));
    assert_eq!(add.await.unwrap(), 1);

    let mut writing = mine.local_value_mut().await.unwrap();
    writing.n = 7;
    assert!(tokio::time::timeout(secs(1), mine.local_value()).await.is_err());
    let (value, copy) = (at_1.rpc_async().value(), at_1.to_here());
    refs.settle().await;
    assert!(!value.is_done() && !copy.is_done());
    drop(writing);
    assert_eq!(value.await.unwrap(), 7);
    assert_eq!(copy.await.unwrap().n, 7);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn guards_and_methods_have_their_turn_in_the_order_of_asking() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let first = mine.local_value_mut().await.unwrap();
    let mut order = Vec::new();
    let (done, mut ended) = tokio::sync::mpsc::channel(10);
    for n in 0..4_u32 {
        let (mine, at_1, done) = (mine.clone(), at_1.clone(), done.clone());
        tokio::spawn(async move {
            match n {
                0 => drop(mine.local_value_mut().await.unwrap()),
                1 => drop(at_1.rpc_async().add(1).await.unwrap()),
                2 => drop(mine.local_value().await.unwrap()),
                _ => drop(at_1.rpc_async().add(1).await.unwrap()),
            }
            done.send(n).await.unwrap();
        });
        refs.settle().await;
    }
    drop(first);
    for _ in 0..4 {
        order.push(within(secs(1), ended.recv()).await.unwrap());
    }
    // What a method says takes its way back, and may be behind the next guard.
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2, 3]);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_borrowing_that_is_given_up_leaves_the_queue() {
    let refs = Refs::new(1).await;
    let mine = RRef::new(refs.registry(0), Counter::default());
    let reading = mine.local_value().await.unwrap();
    assert!(tokio::time::timeout(ms(10), mine.local_value_mut()).await.is_err());
    within(ms(10), mine.local_value()).await.unwrap();
    let never_polled = mine.local_value_mut();
    within(ms(10), mine.local_value()).await.unwrap();
    drop((reading, never_polled));
    within(ms(10), mine.local_value_mut()).await.unwrap().n += 1;
    drop(mine);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_borrowing_waits_until_the_value_has_been_made() {
    let refs = Refs::new(1).await;
    let value = fresh();
    let mine = refs.registry(0).remote("worker0", tracked_after, (2_000, value)).unwrap();
    assert!(tokio::time::timeout(secs(1), mine.local_value()).await.is_err());
    assert_eq!(within(secs(2), mine.local_value()).await.unwrap().ticket(), value);
    drop(mine);
    refs.assert_empty().await;
}

/// A function that waits for a value that never comes ends with its call (H11).
#[tokio::test(start_paused = true)]
async fn a_borrowing_within_a_call_ends_with_the_deadline_of_the_call() {
    let refs = Refs::new(2).await;
    let ticket = fresh();
    let call = refs.client(0).rpc_async("worker1", borrow_what_never_comes, (ticket,)).timeout(secs(2));
    let error = within(ms(2_010), call).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(runs(ticket), 1, "it was asked for");
    refs.assert_empty().await;
}

#[rpc_macros::function(crate = "rpc_core")]
async fn borrow_what_never_comes(ticket: u64) {
    let registry = Registry::current().expect("it counts references");
    let never: RRef<Tracked> =
        registry.remote("worker1", crate::functions::tracked_at_gate, (ticket,)).expect("it is asked for");
    drop(never.local_value().await);
}

/// The only thread that could bring the value: waiting on it is refused.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_guard_on_the_thread_that_drives_the_worker_is_a_typed_error() {
    let refs = Refs::new(1).await;
    let mine = RRef::new(refs.registry(0), Counter::default());
    mine.local_value_mut().wait().unwrap().n += 1; // it is free, so there is nothing to wait for
    let reading = mine.local_value().wait().unwrap();
    let error = mine.local_value_mut().wait().unwrap_err();
    assert!(matches!(error, ReferenceError::WouldBlock { .. }), "{error}");
    drop(reading);
    assert_eq!(mine.local_value().wait().unwrap().n, 1);
    drop(mine);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_outlives_its_reference_and_the_registry() {
    let refs = Refs::new(1).await;
    let mine = RRef::new(refs.registry(0), Counter { n: 5 });
    let mut guard = mine.local_value_mut().await.unwrap();
    drop(mine);
    refs.registry(0).close();
    drop(refs);
    guard.n += 1;
    assert_eq!(guard.n, 6);
}
