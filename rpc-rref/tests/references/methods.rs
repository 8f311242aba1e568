//! Methods: who has the value when, and how they end.

use rpc_core::{Failure, ReferenceError};
use rpc_rref::RRef;

use crate::common::{Refs, assert_reference, ms, reference_error, secs, within};
use crate::counter::{Counter, Refused, give_counter, keep_counter, new_counter};
use crate::functions::{Tracked, fresh, gone, leave, open, runs, taken};

/// A counter of worker 0, and a handle of worker 1's to it.
pub(crate) async fn counter(refs: &Refs) -> (RRef<Counter>, RRef<Counter>) {
    let mine = RRef::new(refs.registry(0), Counter::default());
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_counter, (ticket, mine.clone())).await.unwrap();
    (mine, taken(ticket))
}

#[tokio::test(start_paused = true)]
async fn methods_change_and_read_the_value_itself() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    assert_eq!(at_1.rpc_async().add(5).await.unwrap(), 5);
    assert_eq!(mine.rpc_async().add(2).await.unwrap(), 7);
    assert_eq!(at_1.rpc_async().value().await.unwrap(), 7);
    assert_eq!(at_1.to_here().await.unwrap(), Counter { n: 7 });
    assert_eq!(mine.local_value().await.unwrap().n, 7);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn methods_that_read_run_side_by_side() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gates = [fresh(), fresh(), fresh()];
    let reads: Vec<_> = gates.iter().map(|gate| at_1.rpc_async().value_at_gate(*gate)).collect();
    refs.settle().await;
    assert!(gates.iter().all(|gate| runs(*gate) == 1));
    assert_eq!(mine.local_value().await.unwrap().n, 0, "beside them");
    assert_eq!(at_1.to_here().await.unwrap().n, 0);
    for (gate, read) in gates.into_iter().zip(reads) {
        open(gate);
        assert_eq!(read.await.unwrap(), 0);
    }
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn methods_that_write_run_alone_and_in_the_order_of_the_calls() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gates: Vec<u64> = (0..5).map(|_| fresh()).collect();
    let adds: Vec<_> = gates.iter().map(|gate| at_1.rpc_async().add_at_gate(*gate, 1)).collect();
    // Opened from the last to the first: they run from the first to the last all the same.
    for gate in gates[1..].iter().rev() {
        open(*gate);
        refs.settle().await;
    }
    assert_eq!(gates.iter().map(|gate| runs(*gate)).collect::<Vec<_>>(), [1, 0, 0, 0, 0]);
    open(gates[0]);
    for (n, add) in (1..).zip(adds) {
        assert_eq!(add.await.unwrap(), n);
    }
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn who_reads_waits_behind_who_writes_and_the_other_way_round() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let (first, write, second) = (fresh(), fresh(), fresh());
    let reads = at_1.rpc_async().value_at_gate(first);
    let adds = at_1.rpc_async().add_at_gate(write, 1);
    let late = at_1.rpc_async().value_at_gate(second);
    let copy = at_1.to_here();
    let later = at_1.rpc_async().add(10);
    refs.settle().await;
    assert_eq!((runs(first), runs(write), runs(second)), (1, 0, 0));
    open(first);
    refs.settle().await;
    assert_eq!((runs(write), runs(second), copy.is_done()), (1, 0, false));
    open(write);
    refs.settle().await;
    assert_eq!((runs(second), copy.is_done(), later.is_done()), (1, true, false));
    open(second);
    assert_eq!(reads.await.unwrap(), 0);
    assert_eq!(adds.await.unwrap(), 1);
    assert_eq!(late.await.unwrap(), 1);
    assert_eq!(copy.await.unwrap().n, 1);
    assert_eq!(later.await.unwrap(), 11);
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// Many async methods that wait: no thread is there for any of them.
#[tokio::test(start_paused = true)]
async fn a_method_that_waits_holds_no_thread() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let adds: Vec<_> = (0..200).map(|_| at_1.rpc_async().add_after(100, 1)).collect();
    refs.settle().await;
    let info = refs.client(0).agent().debug_info();
    let threads = info.iter().find(|(key, _)| key == "threads").map(|(_, count)| count.clone());
    assert_eq!(threads.as_deref(), Some("0"));
    for add in adds {
        add.await.unwrap();
    }
    assert_eq!(mine.local_value().await.unwrap().n, 200);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_methods_own_error_arrives_as_what_it_is() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let error = at_1.rpc_async().refuse("not today".into()).await.unwrap_err();
    assert_eq!(error.handler_error(), Some(&Refused("not today".into())));
    assert_eq!(at_1.rpc_async().value().await.unwrap(), 1, "it ran");
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_panics_leaves_the_value_usable() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let panics = [at_1.rpc_async().panics().await, at_1.rpc_async().panics_later().await];
    for panicked in panics {
        let error = panicked.unwrap_err();
        let Some(Failure::Panicked { message, .. }) = error.failure() else { panic!("{error}") };
        assert!(message.contains("method that panics"), "{message}");
    }
    assert_eq!(within(ms(10), at_1.rpc_async().add(1)).await.unwrap(), 2);
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_cancelled_gives_the_value_free() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let running = at_1.rpc_async().add_at_gate(gate, 1);
    let queued = at_1.rpc_async().add_at_gate(gate, 1);
    refs.settle().await;
    queued.cancel();
    running.cancel();
    assert!(matches!(running.await.unwrap_err().failure(), Some(Failure::Cancelled { .. })));
    assert_eq!(within(ms(10), at_1.rpc_async().add(3)).await.unwrap(), 3);
    assert_eq!(runs(gate), 1, "one that waited for the value has not begun");
    drop((queued, mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_times_out_gives_the_value_free() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let running = at_1.rpc_async().add_at_gate(gate, 1).timeout(secs(1));
    let behind = at_1.rpc_async().add(3);
    let waits = at_1.rpc_async().value().timeout(ms(500));
    assert!(within(ms(510), waits).await.unwrap_err().is_timeout());
    assert!(running.await.unwrap_err().is_timeout());
    assert_eq!(within(ms(10), behind).await.unwrap(), 3);
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// Whoever waits behind one that gives up gets its turn.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_does_not_stop_those_behind_it() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let reads = at_1.rpc_async().value_at_gate(gate);
    refs.settle().await;
    let writes = at_1.rpc_async().add(1);
    let behind = [at_1.rpc_async().value(), at_1.rpc_async().value()];
    refs.settle().await;
    assert!(behind.iter().all(|read| !read.is_done()));
    writes.cancel();
    for read in behind {
        assert_eq!(within(ms(10), read).await.unwrap(), 0, "the reader that holds the value is no obstacle");
    }
    open(gate);
    reads.await.unwrap();
    drop((writes, mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn methods_take_and_give_references() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let (other, value) = refs.own(1);
    let (kept, given) = (fresh(), fresh());
    at_1.rpc_async().keep(kept, other.clone()).await.unwrap();
    let at_0: RRef<Tracked> = taken(kept);
    assert_eq!(at_0.to_here().await.unwrap().ticket(), value);
    leave(given, at_0);
    let back = at_1.rpc_async().give(given).await.unwrap();
    assert!(back == other && back.is_owner());
    drop(other);
    refs.settle().await;
    at_1.rpc_async().let_go(back).await.unwrap();
    gone(value).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// The value stays until a method that was called has ended, whoever drops what.
#[tokio::test(start_paused = true)]
async fn a_method_keeps_its_value_although_the_caller_drops_the_reference() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let add = at_1.rpc_async().add_at_gate(gate, 1);
    drop((mine, at_1));
    refs.settle().await;
    assert_eq!(runs(gate), 1);
    open(gate);
    assert_eq!(add.await.unwrap(), 1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_method_can_stay_where_it_is() {
    let refs = Refs::new(3).await;
    let (mine, at_1) = counter(&refs).await;
    at_1.rpc_async().add(7).await.unwrap();
    let text: RRef<String> = at_1.remote().text().unwrap();
    assert_eq!(text.owner_name(), "worker0");
    assert_eq!(text.to_here().await.unwrap(), "7");
    let refused: RRef<u64> = at_1.remote().refuse("no".into()).unwrap();
    let error = refused.to_here().await.unwrap_err();
    assert_eq!(reference_error(&error).creation_error::<Refused>(), Some(Refused("no".into())));
    let panicked: RRef<u64> = at_1.remote().panics().unwrap();
    let error = panicked.created().await.unwrap_err();
    assert!(error.to_string().contains("a method that panics"), "{error}");
    let own: RRef<String> = mine.remote().text().unwrap();
    assert_eq!(*own.local_value().await.unwrap(), "9");
    drop((mine, at_1, text, refused, panicked, own));
    refs.assert_empty().await;
}

/// `remote` of a method returns at once, and the value of which it is a method stays until it has run.
#[tokio::test(start_paused = true)]
async fn a_result_that_stays_is_made_although_the_value_is_dropped() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let sum: RRef<u64> = at_1.remote().add_at_gate(gate, 4).unwrap();
    drop((mine, at_1));
    refs.settle().await;
    open(gate);
    assert_eq!(sum.to_here().await.unwrap(), 4);
    drop(sum);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_waits_for_its_value_to_be_made() {
    let refs = Refs::new(2).await;
    let counter: RRef<Counter> = refs.registry(0).remote("worker1", new_counter, (10,)).unwrap();
    let sum = counter.rpc_async().add(5);
    assert_eq!(sum.await.unwrap(), 15);
    let text: RRef<String> = counter.remote().text().unwrap();
    assert_eq!(text.to_here().await.unwrap(), "15");
    drop((counter, text));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn methods_of_a_value_whose_owner_died_are_a_prompt_typed_error() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let running = at_1.rpc_async().add_at_gate(gate, 1);
    let queued = at_1.rpc_async().add(1);
    refs.settle().await;
    refs.kill(0);
    for under_way in [running, queued] {
        assert_reference!(within(secs(1), under_way).await, ReferenceError::OwnerLost { .. });
    }
    assert_reference!(at_1.rpc_async().value().await, ReferenceError::OwnerLost { .. });
    assert_reference!(at_1.remote().text(), ReferenceError::OwnerLost { .. });
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// The first one is not known yet when it is called.
#[tokio::test(start_paused = true)]
async fn the_first_method_after_the_owner_died_is_a_prompt_typed_error() {
    let refs = Refs::new(2).await;
    let (mine, at_1) = counter(&refs).await;
    refs.kill(0);
    assert_reference!(within(secs(1), at_1.rpc_async().value()).await, ReferenceError::OwnerLost { .. });
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_callers_method_is_stopped_and_gives_the_value_free() {
    let refs = Refs::new(3).await;
    let (mine, at_1) = counter(&refs).await;
    let gate = fresh();
    let running = at_1.rpc_async().add_at_gate(gate, 1);
    refs.settle().await;
    refs.kill(1);
    refs.settle().await;
    assert_eq!(within(ms(10), mine.rpc_async().add(2)).await.unwrap(), 2);
    drop((running, mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_with_a_reference_that_is_of_no_use_does_not_run() {
    let refs = Refs::new(3).await;
    let (mine, at_1) = counter(&refs).await;
    let (lost, _) = refs.own(2);
    let lost_at_1 = refs.pass(2, 1, &lost).await;
    refs.kill(2);
    refs.settle().await;
    let ticket = fresh();
    let result = at_1.rpc_async().keep(ticket, lost_at_1.clone()).await;
    assert_reference!(result, ReferenceError::OwnerLost { .. });
    assert_eq!(runs(ticket), 0);
    drop((mine, at_1, lost, lost_at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_of_an_opaque_value_works_and_a_copy_of_it_is_a_typed_error() {
    let refs = Refs::new(2).await;
    let mine = RRef::new_opaque(refs.registry(0), Counter { n: 3 });
    let ticket = fresh();
    leave(ticket, mine);
    let at_1 = refs.client(1).rpc_async("worker0", give_counter, (ticket,)).await.unwrap();
    assert_eq!(at_1.rpc_async().add(1).await.unwrap(), 4);
    assert_reference!(at_1.to_here().await, ReferenceError::NotCopyable { .. });
    assert_eq!(at_1.rpc_async().value().await.unwrap(), 4);
    drop(at_1);
    refs.assert_empty().await;
}
