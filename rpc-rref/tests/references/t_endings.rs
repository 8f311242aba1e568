//! T16 and T17: shutdown, and starting again in one process.

use rpc_core::{Failure, ReferenceError};
use rpc_rref::RRef;
use rpc_testing::Rule;

use crate::common::{CONTROL, LONG, Refs, assert_reference, ms, secs, within};
use crate::functions::{Tracked, alive, fresh, gone, keep, nothing, tracked, tracked_after};

#[tokio::test(start_paused = true)]
async fn t16_a_shutdown_with_live_users_ends_and_their_handles_are_of_no_use() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let (at_1, at_2) = (refs.pass(0, 1, &mine).await, refs.pass(0, 2, &mine).await);
    within(secs(5), refs.cluster.shutdown()).await.unwrap();
    for worker in 0..3 {
        refs.registry(worker).close();
    }
    gone(value).await;
    for at in [&mine, &at_1, &at_2] {
        assert_reference!(within(secs(1), at.to_here()).await, ReferenceError::ShutDown { .. });
        assert!(!at.confirmed_by_owner());
    }
    drop((mine, at_1, at_2));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t16_a_shutdown_waits_for_releases_that_are_on_their_way() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let (at_1, at_2) = (refs.pass(0, 1, &mine).await, refs.pass(0, 2, &mine).await);
    drop(mine);
    refs.rule(1, 0, Rule::delay(secs(3)).kind(CONTROL));
    refs.rule(2, 0, Rule::fail().kind(CONTROL).times(2));
    drop((at_1, at_2));
    within(LONG, refs.cluster.shutdown()).await.unwrap();
    // Nobody has closed a registry: what was to be released has been.
    gone(value).await;
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t16_a_shutdown_waits_for_a_value_that_is_being_made() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let at_1 = refs.registry(1).remote("worker0", tracked_after, (3_000, value)).unwrap();
    drop(at_1);
    within(LONG, refs.cluster.shutdown()).await.unwrap();
    gone(value).await;
    assert_eq!(crate::functions::dropped(value), 1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t16_a_shutdown_ends_although_a_user_has_died() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(mine);
    refs.kill(2);
    drop(at_1);
    within(LONG, refs.cluster.shutdown()).await.unwrap();
    gone(value).await;
    refs.assert_empty().await;
    drop(at_2);
}

/// A worker that leaves alone takes its values along, and what it held is let go.
#[tokio::test(start_paused = true)]
async fn t16_a_worker_that_leaves_early_is_as_good_as_dead_to_the_others() {
    let refs = Refs::new(2).await;
    let (at_0, of_0) = refs.own(0);
    let (at_1, _of_1) = refs.own(1);
    let (here, there) = (refs.pass(1, 0, &at_1).await, refs.pass(0, 1, &at_0).await);
    drop(at_0);
    refs.client(1).agent().shutdown(rpc_core::Shutdown::Immediate).await.unwrap();
    refs.settle().await;
    gone(of_0).await;
    assert_reference!(within(secs(1), here.to_here()).await, ReferenceError::OwnerLost { .. });
    let error = refs.client(0).rpc_async("worker1", nothing, ()).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Departed)), "{error}");
    drop((here, there, at_1));
    refs.registry(1).close();
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t17_a_second_group_in_the_process_has_nothing_to_do_with_the_first() {
    let first = Refs::new(2).await;
    let (old, old_value) = first.own(0);
    let old_at_1 = first.pass(0, 1, &old).await;
    within(secs(5), first.cluster.shutdown()).await.unwrap();
    for worker in 0..2 {
        first.registry(worker).close();
    }
    gone(old_value).await;

    let second = Refs::new(2).await;
    let (new, value) = second.own(0);
    let new_at_1 = second.pass(0, 1, &new).await;
    drop(new);
    assert_eq!(new_at_1.id(), old.id(), "the same number in another group");
    drop((old, old_at_1));
    drop(first);
    second.settle().await;
    assert_eq!(alive(value), 1);
    assert_eq!(new_at_1.to_here().await.unwrap().ticket(), value);
    drop(new_at_1);
    second.assert_empty().await;
    gone(value).await;
}

/// Without an orderly end: the first group is simply dropped, with requests on their way.
#[tokio::test(start_paused = true)]
async fn t17_handles_of_a_group_that_is_gone_are_of_no_use_and_harmless() {
    let first = Refs::new(2).await;
    let (old, old_value) = first.own(0);
    let old_at_1 = first.pass(0, 1, &old).await;
    let made = first.registry(0).remote("worker1", tracked_after, (60_000, fresh())).unwrap();
    let waits = made.to_here();
    drop(first);
    gone(old_value).await;
    let second = Refs::new(2).await;
    for rref in [&old, &old_at_1, &made] {
        assert_reference!(rref.to_here().await, ReferenceError::Foreign { .. });
        assert_reference!(rref.created().await, ReferenceError::Foreign { .. });
        assert!(rref.local_value().await.is_err());
        assert!(!rref.is_owner() && !rref.confirmed_by_owner());
        let sent = second.client(0).rpc_async("worker1", keep, (fresh(), rref.clone())).await;
        assert_reference!(sent, ReferenceError::Foreign { .. });
    }
    assert!(within(secs(100), waits).await.is_err());
    drop((old, old_at_1, made));
    second.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t17_two_groups_at_once_do_not_meet() {
    let (first, second) = (Refs::new(2).await, Refs::new(2).await);
    let values = [fresh(), fresh()];
    let of_first: RRef<Tracked> = first.registry(0).remote("worker1", tracked, (values[0],)).unwrap();
    let of_second: RRef<Tracked> = second.registry(0).remote("worker1", tracked, (values[1],)).unwrap();
    assert_eq!(of_first.id(), of_second.id());
    assert_eq!(of_first.to_here().await.unwrap().ticket(), values[0]);
    assert_eq!(of_second.to_here().await.unwrap().ticket(), values[1]);
    drop(of_first);
    first.assert_empty().await;
    gone(values[0]).await;
    tokio::time::sleep(ms(100)).await;
    assert_eq!(of_second.to_here().await.unwrap().ticket(), values[1]);
    drop(of_second);
    second.assert_empty().await;
}
