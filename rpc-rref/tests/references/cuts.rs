//! Links go down, and nobody dies.

use rpc_core::{Failure, ReferenceError};
use rpc_rref::RRef;
use rpc_testing::Rule;

use crate::common::{CONTROL, Refs, assert_reference, ms, secs, within};
use crate::counter::Counter;
use crate::functions::{
    Tracked, alive, fresh, give_at_gate, gone, keep, leave, open, runs, taken, tracked, tracked_at_gate,
};

#[tokio::test(start_paused = true)]
async fn a_cut_while_nothing_happens_changes_nothing() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(mine);
    for _ in 0..5 {
        refs.settle().await;
        assert!(refs.cut(0, 1) + refs.cut(0, 2) + refs.cut(1, 2) > 0);
    }
    tokio::time::sleep(secs(1)).await;
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

/// Each frame of each kind, one after another, takes its link down.
#[tokio::test(start_paused = true)]
async fn a_link_lost_at_any_frame_of_a_hand_over_loses_the_call_or_nothing() {
    let mut lost = 0;
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            for skip in 0..4 {
                let refs = Refs::new(3).await;
                let (mine, value) = refs.own(0);
                let at_1 = refs.pass(0, 1, &mine).await;
                drop(mine);
                refs.settle().await;
                let rule = refs.rule(from, to, Rule::fail().skip(skip).times(1));
                let ticket = fresh();
                let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1.clone()));
                let result = within(secs(7), call).await;
                tokio::time::sleep(secs(1)).await;
                lost += rule.hits();
                rule.remove();
                assert_eq!(at_1.to_here().await.map(|copy| copy.ticket()).ok(), Some(value));
                drop(at_1);
                if crate::functions::is_left(ticket) {
                    let at_2: RRef<Tracked> = taken(ticket);
                    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
                } else {
                    let error = result.unwrap_err();
                    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
                }
                refs.assert_empty().await;
                gone(value).await;
            }
        }
    }
    assert!(lost >= 8, "only {lost} frames were there to be lost");
}

/// A result brings a reference; the link of the request goes down before it is there.
#[tokio::test(start_paused = true)]
async fn a_result_that_is_made_after_its_link_went_down_takes_its_reference_back() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    leave(ticket, mine);
    let call = refs.client(1).rpc_async("worker0", give_at_gate, (ticket,));
    refs.settle().await;
    assert_eq!(runs(ticket), 1);
    refs.cut(0, 1);
    assert!(call.await.is_err());
    open(ticket);
    refs.settle().await;
    if crate::functions::is_left(ticket) {
        drop(taken::<RRef<Tracked>>(ticket)); // the function was stopped at its gate
    }
    refs.assert_empty().await;
    gone(value).await;
}

/// A fetch that was lost with its link is the caller's to repeat: it says so, and the reference is good.
#[tokio::test(start_paused = true)]
async fn a_fetch_lost_with_its_link_is_no_loss_of_the_owner() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    at_1.created().await.unwrap();
    let replies = refs.rule(0, 1, Rule::hold().replies().times(1));
    let copy = at_1.to_here();
    refs.cluster.network().until_held(1).await;
    refs.cut(0, 1);
    let error = within(secs(1), copy).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    assert!(at_1.confirmed_by_owner());
    replies.remove();
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn a_method_lost_with_its_link_ends_and_gives_the_value_free() {
    let refs = Refs::new(2).await;
    let counter = RRef::new(refs.registry(0), Counter::default());
    let ticket = fresh();
    leave(ticket, counter.clone());
    let at_1 = refs.client(1).rpc_async("worker0", crate::counter::give_counter, (ticket,)).await.unwrap();
    let gate = fresh();
    let add = at_1.rpc_async().add_at_gate(gate, 5);
    refs.settle().await;
    assert_eq!(runs(gate), 1);
    refs.cut(0, 1);
    let error = within(secs(1), add).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    assert_eq!(within(ms(10), at_1.rpc_async().add(1)).await.unwrap(), 1);
    drop((counter, at_1));
    refs.assert_empty().await;
}

/// The function is stopped with the link that it came on, so the value will not be there.
#[tokio::test(start_paused = true)]
async fn a_creation_whose_link_goes_down_fails_for_all_with_a_typed_error() {
    let refs = Refs::new(3).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked_at_gate, (value,)).unwrap();
    let at_2 = refs.pass(1, 2, &at_1).await;
    let copy = at_2.to_here();
    refs.settle().await;
    refs.cut(0, 1);
    tokio::time::sleep(ms(100)).await;
    assert_reference!(at_1.to_here().await, ReferenceError::NotCreated { .. });
    assert_reference!(within(secs(1), copy).await, ReferenceError::CreationFailed { .. });
    assert_reference!(at_2.created().await, ReferenceError::CreationFailed { .. });
    drop((at_1, at_2));
    refs.assert_empty().await;
    assert_eq!(alive(value), 0);
}

/// A link that dies at every batch for a while; the last word gets through.
#[tokio::test(start_paused = true)]
async fn links_that_die_again_and_again_delay_and_lose_nothing() {
    let refs = Refs::new(2).await;
    let (of_0, first) = refs.own(0);
    let (of_1, second) = refs.own(1);
    let (at_1, at_0) = (refs.pass(0, 1, &of_0).await, refs.pass(1, 0, &of_1).await);
    drop((of_0, of_1));
    refs.settle().await;
    let rules = [
        refs.rule(1, 0, Rule::fail().kind(CONTROL).times(6)),
        refs.rule(0, 1, Rule::fail().kind(CONTROL).times(3)),
        refs.rule(0, 1, Rule::fail().replies().times(2)),
        refs.rule(1, 0, Rule::fail().replies().times(2)),
    ];
    drop((at_0, at_1));
    refs.assert_empty().await;
    gone(first).await;
    gone(second).await;
    let hits = rules.map(|rule| rule.hits());
    assert_eq!(hits, [6, 3, 2, 2]);
}
