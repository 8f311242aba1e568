//! What a reference is: its owner's own value, an id, and nothing that costs a message.

use std::collections::HashSet;

use rpc_core::ReferenceError;
use rpc_rref::RRef;

use crate::common::{CONTROL, CREATE, FETCH, Refs};
use crate::counter::{Counter, give_counter, keep_counter};
use crate::functions::{fresh, gone, leave, nothing, taken, text_of, tracked};

#[tokio::test(start_paused = true)]
async fn the_owner_gets_its_own_value_back_and_not_a_copy() {
    let refs = Refs::new(2).await;
    let mine = RRef::new(refs.registry(0), Counter { n: 1 });
    // There and back, as an argument and as a result.
    let ticket = fresh();
    refs.client(0).rpc_async("worker1", keep_counter, (ticket, mine.clone())).await.unwrap();
    let at_1: RRef<Counter> = taken(ticket);
    refs.client(1).rpc_async("worker0", keep_counter, (ticket, at_1.clone())).await.unwrap();
    let as_argument: RRef<Counter> = taken(ticket);
    leave(ticket, at_1);
    let as_result = refs.client(0).rpc_async("worker1", give_counter, (ticket,)).await.unwrap();
    assert!(as_argument.is_owner() && as_result.is_owner());
    as_argument.local_value_mut().await.unwrap().n += 10;
    as_result.local_value_mut().await.unwrap().n += 100;
    assert_eq!(mine.local_value().await.unwrap().n, 111);
    drop((mine, as_argument, as_result));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_clone_and_its_drop_cost_no_message() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    refs.settle().await;
    let said: Vec<_> = (0x10..=0x20).map(|kind| refs.count_all(kind)).collect();
    let clones: Vec<_> = (0..1_000).map(|n| if n % 2 == 0 { mine.clone() } else { at_1.clone() }).collect();
    refs.settle().await;
    drop(clones);
    refs.settle().await;
    assert_eq!(said.iter().map(|rule| rule.hits()).sum::<u64>(), 0);
    drop((mine, at_1));
    refs.settle().await;
    assert_eq!(said.iter().map(|rule| rule.hits()).sum::<u64>(), 1, "the release");
    refs.assert_empty().await;
    gone(value).await;
}

/// A second handle from a worker that is listed already asks nobody.
#[tokio::test(start_paused = true)]
async fn another_handle_to_a_value_that_is_known_is_not_registered_again() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    refs.settle().await;
    let to_owner = refs.count(2, 0, CONTROL);
    let again = refs.pass(1, 2, &at_1).await;
    refs.settle().await;
    assert_eq!(to_owner.hits(), 0);
    drop((mine, at_1, at_2, again));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn references_are_equal_if_they_refer_to_the_same_value() {
    let refs = Refs::new(3).await;
    let (mine, _) = refs.own(0);
    let (other, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    assert!(mine == at_1 && at_1 == at_2 && mine == mine.clone());
    assert_ne!(mine, other);
    let set: HashSet<_> = [mine.clone(), at_1.clone(), at_2.clone(), other.clone()].into();
    assert_eq!(set.len(), 2);
    assert!(set.contains(&at_2));
    drop((mine, other, at_1, at_2, set));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_shows_its_type_and_its_id() {
    let refs = Refs::new(2).await;
    let text: RRef<String> = refs.registry(0).remote("worker1", text_of, (1,)).unwrap();
    assert_eq!(text.id().to_string(), "0:0@1");
    assert_eq!(format!("{text}"), "RRef<alloc::string::String>(0:0@1)");
    assert_eq!(format!("{text:?}"), format!("{text}"));
    let weak = text.downgrade();
    assert_eq!(format!("{weak:?}"), "WeakRRef<alloc::string::String>(0:0@1)");
    drop(text);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_weak_reference_keeps_nothing_alive() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    let (weak, too) = (at_1.downgrade(), at_1.clone().downgrade());
    let strong = weak.upgrade().unwrap();
    assert_eq!(strong, at_1);
    drop(at_1);
    assert_eq!(too.clone().upgrade().unwrap().to_here().await.unwrap().ticket(), value);
    let id = strong.id();
    drop(strong);
    assert!(weak.upgrade().is_none() && too.upgrade().is_none());
    assert_eq!(weak.id(), id);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_asks_itself_for_a_value() {
    let refs = Refs::new(2).await;
    let value = fresh();
    let mine = refs.registry(0).remote("worker0", tracked, (value,)).unwrap();
    assert!(mine.is_owner());
    mine.created().await.unwrap();
    assert!(mine.confirmed_by_owner());
    assert_eq!(mine.local_value().await.unwrap().ticket(), value);
    assert_eq!(mine.to_here().await.unwrap().ticket(), value);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

/// What `remote` and `to_here` of a value cost: a request each, and a release.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_asked_for_read_and_dropped_takes_three_requests() {
    let refs = Refs::new(2).await;
    refs.client(0).rpc_async("worker1", nothing, ()).await.unwrap();
    let said: Vec<_> = [CREATE, FETCH, CONTROL].map(|kind| refs.count_all(kind)).into();
    let text: RRef<String> = refs.registry(0).remote("worker1", text_of, (1,)).unwrap();
    text.to_here().await.unwrap();
    drop(text);
    refs.assert_empty().await;
    assert_eq!(said.iter().map(|rule| rule.hits()).collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_reference_knows_its_owner_and_whether_it_is_here() {
    let refs = Refs::new(2).await;
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    for rref in [&mine, &at_1] {
        assert_eq!(rref.owner_name(), "worker0");
        assert_eq!(rref.owner().id.0, 0);
    }
    assert!(mine.is_owner() && !at_1.is_owner());
    let error = at_1.local_value_mut().await.unwrap_err();
    assert!(matches!(&error, ReferenceError::NotOwner { owner, .. } if owner.contains("worker0")), "{error}");
    drop((mine, at_1));
    refs.assert_empty().await;
}
