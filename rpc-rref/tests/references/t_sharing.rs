//! T1 to T5: how handles travel, and what is said about them.
//!
//! Worker 0 owns the value; 1 has a handle and sends it on to 2.

use rpc_core::Outcome;
use rpc_rref::RRef;
use rpc_rref::proto::Msg;
use rpc_testing::Rule;

use crate::common::{CONTROL, Refs, ms, secs, within};
use crate::functions::{Tracked, alive, dropped, fresh, gone, is_left, keep, runs, taken};
use crate::raw::send_batch;

/// The owner's value, and a handle of worker 1's to it.
async fn shared_with_1(refs: &Refs) -> (RRef<Tracked>, u64) {
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.settle().await;
    assert_eq!(alive(value), 1);
    (at_1, value)
}

#[tokio::test(start_paused = true)]
async fn t01_a_parent_that_drops_its_handle_right_away_waits_for_its_child() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let registration = refs.rule(2, 0, Rule::hold().kind(CONTROL));
    let said_by_1 = refs.count(1, 0, CONTROL);
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1));
    refs.cluster.network().until_held(1).await;
    refs.settle().await;
    assert_eq!(said_by_1.hits(), 0, "a release before the child is adopted");
    assert_eq!((runs(ticket), alive(value)), (0, 1));

    registration.remove();
    call.await.unwrap();
    refs.settle().await;
    assert_eq!(said_by_1.hits(), 1, "the release");
    let at_2: RRef<Tracked> = taken(ticket);
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop(at_2);
    refs.assert_empty().await;
    gone(value).await;
}

/// The release of the parent and the registration of the child reach the owner in either order, by far.
#[tokio::test(start_paused = true)]
async fn t01_a_late_release_of_the_parent_does_not_touch_the_child() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let release = refs.rule(1, 0, Rule::delay(secs(3)).kind(CONTROL));
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(at_1);
    tokio::time::sleep(secs(10)).await;
    assert!(release.hits() >= 1);
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop(at_2);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t01_a_child_that_is_gone_before_the_release_of_its_parent_frees_nothing() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(at_2);
    refs.settle().await;
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

/// Within a link nothing comes twice; a registration does when its receipt is lost.
#[tokio::test(start_paused = true)]
async fn t02_a_registration_whose_receipt_is_lost_counts_once() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let receipt = refs.rule(0, 2, Rule::drop().replies().times(1));
    let at_2 = within(secs(1), refs.pass(1, 2, &at_1)).await;
    assert_eq!(receipt.hits(), 1);
    let said_by_2 = refs.count(2, 0, CONTROL);
    tokio::time::sleep(secs(10)).await;
    assert_eq!(said_by_2.hits(), 1, "the same batch again, and no other");
    drop(at_1);
    drop(at_2);
    refs.assert_empty().await; // two entries for worker 2 would leave one
    gone(value).await;
    assert_eq!(dropped(value), 1);
}

#[tokio::test(start_paused = true)]
async fn t02_a_registration_that_is_lost_is_sent_again() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    refs.rule(2, 0, Rule::drop().kind(CONTROL).times(1));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1));
    refs.settle().await;
    assert!(!is_left(ticket), "it is not confirmed");
    within(secs(6), call).await.unwrap();
    assert_eq!((runs(ticket), alive(value)), (1, 1));
    drop(taken::<RRef<Tracked>>(ticket));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t02_a_registration_that_goes_down_with_its_link_is_sent_again_at_once() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let registration = refs.rule(2, 0, Rule::hold().kind(CONTROL).times(1));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1));
    refs.cluster.network().until_held(1).await;
    assert_eq!(refs.cut(0, 2), 1);
    within(secs(1), call).await.unwrap();
    assert_eq!((registration.hits(), runs(ticket)), (1, 1));
    drop(taken::<RRef<Tracked>>(ticket));
    refs.assert_empty().await;
    gone(value).await;
}

/// The registration is taken, and the link goes down with the receipt, again and again.
#[tokio::test(start_paused = true)]
async fn t02_a_receipt_that_goes_down_with_its_link_is_given_again() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let receipt = refs.rule(0, 2, Rule::fail().replies().times(3));
    let at_2 = within(secs(2), refs.pass(1, 2, &at_1)).await;
    drop(at_1);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(receipt.hits(), 3);
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop(at_2);
    refs.assert_empty().await;
    gone(value).await;
}

/// The answer to a registration is a message of the owner's own stream.
#[tokio::test(start_paused = true)]
async fn t02_an_answer_that_is_lost_is_sent_again() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let answer = refs.rule(0, 2, Rule::drop().kind(CONTROL).times(1));
    let at_2 = within(secs(6), refs.pass(1, 2, &at_1)).await;
    assert_eq!(answer.hits(), 1);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

/// The first batch of worker 2 to the owner, in which it registered, comes once more after it has released.
#[tokio::test(start_paused = true)]
async fn t03_a_registration_that_is_repeated_after_its_release_counts_for_nothing() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let rref = at_1.id();
    drop(refs.pass(1, 2, &at_1).await);
    refs.settle().await;
    let again = Msg::Register { rref, id: rpc_rref::proto::Registration(0) };
    assert_eq!(send_batch(&refs, 2, 0, 0, &[again]).await, Outcome::Ok);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t04_a_release_whose_receipt_is_lost_frees_once() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let receipt = refs.rule(0, 1, Rule::drop().replies().times(2));
    drop(at_1);
    refs.settle().await;
    gone(value).await;
    assert_eq!(receipt.hits(), 1);
    refs.assert_empty().await;
    assert_eq!((receipt.hits(), dropped(value)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn t04_a_release_that_comes_late_frees_late() {
    let refs = Refs::new(2).await;
    let (at_1, value) = shared_with_1(&refs).await;
    refs.rule(1, 0, Rule::delay(secs(4)).kind(CONTROL));
    drop(at_1);
    tokio::time::sleep(ms(3_900)).await;
    assert_eq!(alive(value), 1);
    tokio::time::sleep(ms(200)).await;
    gone(value).await;
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t04_a_release_is_no_reason_to_refuse_a_new_registration() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    // Worker 2 gets a handle again and again while its last release is on its way.
    refs.rule(2, 0, Rule::delay(ms(50)).kind(CONTROL));
    for _ in 0..5 {
        drop(refs.pass(1, 2, &at_1).await);
    }
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(at_1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop(at_2);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t04_a_forged_second_release_takes_nothing_from_others() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    // Worker 2 has never been listed.
    let forged = Msg::Release { rref: at_1.id() };
    assert_eq!(send_batch(&refs, 2, 0, 0, &[forged, forged]).await, Outcome::Ok);
    refs.settle().await;
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn t05_an_adoption_whose_receipt_is_lost_counts_once() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    let receipt = refs.rule(1, 2, Rule::drop().replies().times(1));
    let adoption = refs.count(2, 1, CONTROL);
    let at_2 = refs.pass(1, 2, &at_1).await;
    let another = refs.pass(1, 2, &at_1).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(receipt.hits(), 1);
    assert!(adoption.hits() >= 2);
    drop((at_1, at_2, another));
    refs.assert_empty().await;
    gone(value).await;
    assert_eq!(dropped(value), 1);
}

#[tokio::test(start_paused = true)]
async fn t05_an_adoption_that_comes_after_its_parent_has_died_is_ignored() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    refs.rule(2, 1, Rule::hold().kind(CONTROL));
    let at_2 = refs.pass(1, 2, &at_1).await;
    refs.cluster.network().until_held(1).await;
    refs.kill(1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);
    drop((at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn t05_a_forged_adoption_unpins_nothing() {
    let refs = Refs::new(3).await;
    let (at_1, value) = shared_with_1(&refs).await;
    refs.rule(2, 0, Rule::hold().kind(CONTROL).times(1));
    let ticket = fresh();
    let call = refs.client(1).rpc_async("worker2", keep, (ticket, at_1));
    refs.cluster.network().until_held(1).await;
    // The owner was sent nothing by worker 1 and adopts, and worker 2 adopts what is numbered otherwise.
    let forged = Msg::Adopted { transfer: rpc_rref::proto::Transfer(0) };
    let _ = send_batch(&refs, 0, 1, 1, &[forged]).await;
    let _ = send_batch(&refs, 2, 1, 0, &[Msg::Adopted { transfer: rpc_rref::proto::Transfer(7) }]).await;
    refs.settle().await;
    assert_eq!(alive(value), 1);
    drop(call);
    refs.kill(2);
    refs.assert_empty().await;
    gone(value).await;
}
