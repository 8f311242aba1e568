//! Two workers cannot reach each other: for a while, or until one of them takes the other for dead.

use rpc_core::{Failure, ReferenceError};
use rpc_testing::{Cluster, MemoryNetwork};

use crate::common::{CONTROL, Refs, assert_reference, id, ms, reference_error, secs, within};
use crate::functions::{fresh, gone, keep, nothing, read, tracked};

/// Links that are silent go down after 2 s instead of 30.
async fn impatient(workers: usize) -> Refs {
    let network = MemoryNetwork::builder().silence_max(secs(2)).build();
    let names = (0..workers).map(|worker| format!("worker{worker}"));
    Refs::over(Cluster::builder().workers(names).network(network).build().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_heals_before_anybody_gives_up_changes_nothing() {
    let refs = impatient(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(1, 2, &at_1).await;
    drop(mine);
    refs.cluster.partition(id(0), id(1));
    drop(at_2);
    let copy = at_1.to_here();
    tokio::time::sleep(secs(1)).await;
    refs.cluster.heal(id(0), id(1));
    assert_eq!(within(secs(1), copy).await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

/// The links go down, and are made anew: nobody was taken for dead.
#[tokio::test(start_paused = true)]
async fn a_partition_that_heals_while_links_are_made_anew_changes_nothing() {
    let refs = impatient(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    refs.cluster.partition(id(0), id(1));
    tokio::time::sleep(secs(5)).await;
    refs.cluster.heal(id(0), id(1));
    tokio::time::sleep(secs(20)).await;
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop(at_1);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_lasts_is_a_death_for_both_sides() {
    let refs = impatient(2).await;
    let (at_0, of_0) = refs.own(0);
    let (at_1, of_1) = refs.own(1);
    let (there, here) = (refs.pass(0, 1, &at_0).await, refs.pass(1, 0, &at_1).await);
    drop((at_0, at_1));
    refs.cluster.partition(id(0), id(1));
    let (copy, other) = (there.to_here(), here.to_here());
    for copy in [copy, other] {
        let error = within(secs(15), copy).await.unwrap_err();
        assert!(matches!(error.failure(), Some(Failure::Reference(_) | Failure::LinkLost { .. })), "{error}");
    }
    tokio::time::sleep(secs(30)).await;
    gone(of_0).await;
    gone(of_1).await;
    for rref in [&there, &here] {
        assert_reference!(rref.to_here().await, ReferenceError::OwnerLost { .. });
    }

    // What comes after the healing is new, and the dead stay dead.
    refs.cluster.heal(id(0), id(1));
    refs.client(0).rpc_async("worker1", nothing, ()).await.unwrap();
    assert_reference!(there.to_here().await, ReferenceError::OwnerLost { .. });
    let (new, value) = refs.own(0);
    assert!(refs.client(0).rpc_async("worker1", keep, (fresh(), new.clone())).await.is_err());
    drop((there, here, new));
    refs.assert_empty().await;
    gone(value).await;
}

/// Worker 0 takes worker 1 for dead, and worker 1 has not noticed anything.
async fn taken_for_dead(refs: &Refs, dead: usize, by: usize) {
    let delay = secs(3);
    let network = refs.cluster.network();
    network.refuse(refs.address(dead));
    network.set_delay(refs.address(dead), refs.address(by), delay);
    refs.cut(dead, by);
    refs.settle().await;
    network.admit(refs.address(dead));
    network.set_delay(refs.address(dead), refs.address(by), ms(0));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_took_a_user_for_dead_tells_it_so() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    taken_for_dead(&refs, 1, 0).await;
    gone(value).await;
    assert_reference!(within(secs(10), at_1.to_here()).await, ReferenceError::OwnerLost { .. });
    assert_reference!(at_1.created().await, ReferenceError::OwnerLost { .. });
    drop(at_1);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_that_took_its_owner_for_dead_is_let_go() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    drop(mine);
    taken_for_dead(&refs, 0, 1).await;
    assert_reference!(at_1.to_here().await, ReferenceError::OwnerLost { .. });
    tokio::time::sleep(secs(10)).await;
    gone(value).await;
    drop(at_1);
    refs.assert_empty().await;
}

/// Others are not touched by it.
#[tokio::test(start_paused = true)]
async fn two_that_hold_each_other_for_dead_are_both_alive_to_a_third() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let at_2 = refs.pass(0, 2, &mine).await;
    taken_for_dead(&refs, 1, 0).await;
    tokio::time::sleep(secs(10)).await;
    assert_reference!(at_1.to_here().await, ReferenceError::OwnerLost { .. });
    assert_eq!(at_2.to_here().await.unwrap().ticket(), value);

    // Worker 2 passes it on to worker 1, for whom its owner is dead.
    let call = within(secs(10), refs.client(2).rpc_async("worker1", keep, (fresh(), at_2.clone()))).await;
    assert_reference!(call, ReferenceError::OwnerLost { .. });
    let read_by_1 = refs.client(2).rpc_async("worker1", read, (at_2.clone(),)).await;
    assert_reference!(read_by_1, ReferenceError::OwnerLost { .. });
    drop((mine, at_1, at_2));
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_asks_of_another_that_holds_it_for_dead_is_a_typed_error() {
    let refs = Refs::new(2).await;
    let (mine, _) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    taken_for_dead(&refs, 1, 0).await;
    let value = fresh();
    let made = refs.registry(1).remote("worker0", tracked, (value,));
    if let Ok(made) = &made {
        let error = within(secs(10), made.to_here()).await.unwrap_err();
        let reference = reference_error(&error);
        assert!(
            matches!(reference, ReferenceError::OwnerLost { .. } | ReferenceError::NotCreated { .. }),
            "{reference:?}"
        );
    }
    let call = refs.client(1).rpc_async("worker0", keep, (fresh(), at_1.clone())).await;
    assert!(call.is_err());
    // Calls without references are not concerned.
    refs.client(1).rpc_async("worker0", nothing, ()).await.unwrap();
    drop((mine, at_1, made));
    refs.assert_empty().await;
    gone(value).await;
    let said = refs.count_all(CONTROL);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(said.hits(), 0, "nobody goes on speaking");
}

/// One direction only: what 0 sends is lost, what 1 sends arrives.
#[tokio::test(start_paused = true)]
async fn a_partition_of_one_direction_ends_in_agreement() {
    let refs = impatient(2).await;
    let (at_0, of_0) = refs.own(0);
    let (at_1, of_1) = refs.own(1);
    let (there, here) = (refs.pass(0, 1, &at_0).await, refs.pass(1, 0, &at_1).await);
    drop((at_0, at_1));
    refs.cluster.network().partition_one_way(refs.address(0), refs.address(1));
    tokio::time::sleep(secs(60)).await;
    refs.cluster.heal(id(0), id(1));
    for copy in [there.to_here(), here.to_here()] {
        assert!(within(secs(20), copy).await.is_err());
    }
    tokio::time::sleep(secs(20)).await;
    drop((there, here));
    refs.assert_empty().await;
    gone(of_0).await;
    gone(of_1).await;
}
