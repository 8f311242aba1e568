//! T13 and T14: a user dies, the owner dies.

use rpc_core::{Failure, ReferenceError};
use rpc_testing::Rule;

use crate::common::{CONTROL, FETCH, Refs, assert_reference, reference_error, secs, within};
use crate::functions::{fresh, gone, hold_at_gate, keep, leave, read, runs, tracked, tracked_at_gate};

#[tokio::test(start_paused = true)]
async fn t13_what_a_dead_user_held_is_let_go() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let held = (refs.pass(0, 2, &mine).await, refs.pass(0, 2, &mine).await);
    drop(mine);
    refs.settle().await;
    refs.kill(2);
    within(secs(1), async {
        refs.assert_empty().await;
        gone(value).await;
    })
    .await;
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn t13_a_user_that_dies_with_handles_on_their_way_to_it_lets_their_senders_go() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.rule(2, 0, Rule::hold().kind(CONTROL));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1));
    refs.settle().await;
    refs.kill(2);
    assert!(matches!(call.await.unwrap_err().failure(), Some(Failure::LinkLost { .. })));
    within(secs(1), refs.assert_empty()).await;
    gone(value).await;
}

/// Worker 1 gives a reference to 2 in a result, and 2 dies before it comes.
#[tokio::test(start_paused = true)]
async fn t13_a_user_that_dies_before_its_result_comes_lets_the_callee_go() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let ticket = fresh();
    leave(ticket, refs.pass(0, 1, &mine).await);
    drop(mine);
    refs.rule(1, 2, Rule::hold().replies());
    let call = refs.client(2).rpc_async("worker1", crate::functions::give, (ticket,));
    refs.cluster.network().until_held(1).await;
    refs.kill(2);
    within(secs(1), refs.assert_empty()).await;
    gone(value).await;
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn t13_a_creator_that_dies_while_its_function_runs_leaves_nothing() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked_at_gate, (value,)).unwrap();
    refs.settle().await;
    assert_eq!(runs(value), 1);
    refs.kill(1);
    within(secs(1), refs.assert_empty()).await;
    gone(value).await;
    drop(at_1);
}

#[tokio::test(start_paused = true)]
async fn t13_what_others_hold_outlives_the_creator() {
    let refs = Refs::new(3).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked, (value,)).unwrap();
    let at_2 = refs.pass(1, 2, &at_1).await;
    refs.kill(1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

/// What hung on the owner when it died: two calls that wait there.
#[tokio::test(start_paused = true)]
async fn t14_a_dead_owner_is_a_prompt_typed_error_in_what_is_under_way() {
    let refs = Refs::new(3).await;
    let made = refs.registry(1).remote("worker0", tracked_at_gate, (fresh(),)).unwrap();
    let (copy, created) = (made.to_here(), made.created());
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    refs.rule(1, 0, Rule::hold().kind(FETCH));
    let unsent = at_1.to_here();
    refs.settle().await;
    refs.kill(0);
    within(secs(1), async {
        for under_way in [copy, unsent] {
            let error = under_way.await.unwrap_err();
            let reference = reference_error(&error);
            assert!(matches!(reference, ReferenceError::OwnerLost { .. }), "{reference:?}");
        }
        assert_reference!(created.await, ReferenceError::OwnerLost { .. });
    })
    .await;
    drop((mine, made, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t14_a_dead_owner_is_a_prompt_typed_error_in_what_begins_later() {
    let refs = Refs::new(3).await;
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    refs.kill(0);
    // Before anybody has heard of it, and after.
    for _ in 0..2 {
        within(secs(1), async {
            for at in [&at_1, &at_2] {
                assert_reference!(at.to_here().await, ReferenceError::OwnerLost { .. });
                assert_reference!(at.created().await, ReferenceError::OwnerLost { .. });
                assert!(!at.confirmed_by_owner());
            }
            let call = refs.client(1).rpc_async("worker2", read, (at_1.clone(),)).await;
            assert_reference!(call, ReferenceError::OwnerLost { .. });
        })
        .await;
        tokio::time::sleep(secs(1)).await;
    }
    assert_eq!(at_1.owner_name(), "worker0", "who it was is known");
    // Dropping does nothing and says nothing.
    let said = refs.count_all(CONTROL);
    drop((mine, at_1, at_2));
    refs.settle().await;
    assert_eq!(said.hits(), 0);
    refs.assert_empty().await;
}

/// Worker 2 has never spoken with the owner: it hears of the death when it registers.
#[tokio::test(start_paused = true)]
async fn t14_a_call_that_carries_a_reference_to_a_dead_owner_fails_at_a_callee_that_does_not_know_it_either()
{
    let refs = Refs::new(3).await;
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let (to_1, to_2) = (refs.rule(0, 1, Rule::hold()), refs.rule(1, 0, Rule::hold()));
    let ticket = fresh();
    // The call leaves before worker 1 hears of the death.
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1.clone()));
    refs.kill(0);
    assert_reference!(within(secs(1), call).await, ReferenceError::OwnerLost { .. });
    assert_eq!(runs(ticket), 0);
    to_1.remove();
    to_2.remove();
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t14_a_function_that_runs_with_a_reference_finds_its_owner_dead() {
    let refs = Refs::new(3).await;
    let (mine, _) = refs.own(0);
    let ticket = fresh();
    let call = refs.client(0).rpc_async("worker1", hold_at_gate, (ticket, mine.clone()));
    refs.settle().await;
    assert_eq!(runs(ticket), 1);
    let at_2 = refs.pass(0, 2, &mine).await;
    refs.kill(0);
    assert_reference!(at_2.to_here().await, ReferenceError::OwnerLost { .. });
    drop((call, at_2, mine));
    refs.assert_empty().await; // the function was stopped, and its handle with it
}

/// A value whose creation is asked of a worker that is dead.
#[tokio::test(start_paused = true)]
async fn t14_a_value_asked_of_a_dead_worker_is_a_typed_error() {
    let refs = Refs::new(2).await;
    refs.kill(0);
    for _ in 0..2 {
        let at_1 = refs.registry(1).remote("worker0", tracked, (fresh(),)).unwrap();
        let error = within(secs(1), at_1.to_here()).await.unwrap_err();
        let reference = reference_error(&error);
        assert!(
            matches!(reference, ReferenceError::OwnerLost { .. } | ReferenceError::NotCreated { .. }),
            "{reference:?}"
        );
        assert!(!at_1.confirmed_by_owner());
        drop(at_1);
        refs.assert_empty().await;
    }
}
