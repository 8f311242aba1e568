//! Leaks at shutdown.

use std::time::Duration;

use rpc_core::{PeerEvent, PeerWatcher, WorkerId};
use rpc_rref::report::Handles;
use rpc_rref::{LeakPolicy, RRef};
use rpc_testing::Rule;
use tokio::sync::Semaphore;

use crate::common::{Node, Refs, here, new_node, shelve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_references_are_dropped_nothing_leaks() {
    let refs = Refs::new(3).await;
    let a = refs.registry(0).remote("worker1", new_node, ()).unwrap();
    let b = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    a.rpc_async().put(b.clone()).await.unwrap();
    a.rpc_async().put(RRef::new(refs.registry(0), Node::default())).await.unwrap();
    drop((a, b));
    for report in refs.leave_all().await {
        assert_eq!(report.total(), 0, "{report}");
        report.judge(LeakPolicy::Error).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_another_program_keeps_is_told_with_both_lines() {
    let refs = Refs::new(2).await;
    let (kept, line) = (refs.registry(0).remote("worker1", new_node, ()).unwrap(), here());
    kept.created().await.unwrap();
    let reports = refs.leave_all().await;
    assert_eq!(reports[0].total(), 0);
    let [leak] = &reports[1].leaks[..] else { panic!("{}", reports[1]) };
    assert_eq!(leak.rref, kept.id());
    assert_eq!(leak.type_name, Some(std::any::type_name::<Node>()));
    let same_line = |place: &str| place.rsplit_once(':').unwrap().0 == line.rsplit_once(':').unwrap().0;
    assert!(same_line(&leak.created), "{leak}");
    let [holder] = &leak.holders[..] else { panic!("{leak}") };
    assert_eq!(holder.worker.name.as_str(), "worker0");
    let Handles::At(handles) = &holder.handles else { panic!("{leak}") };
    assert!(handles.len() == 1 && same_line(&handles[0].place) && handles[0].inside.is_none(), "{leak}");
    assert!(!leak.is_on_cycle());
    let error = reports[1].clone().judge(LeakPolicy::Error).unwrap_err().to_string();
    assert!(error.contains("worker1") && error.contains(&*leak.created), "{error}");
    assert_eq!(reports[1].clone().judge(LeakPolicy::Ignore).unwrap(), reports[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_inside_of_a_value_of_a_third_worker_is_told_with_that_value() {
    let refs = Refs::new(3).await;
    let (value, line) = (RRef::new(refs.registry(0), Node::default()), here());
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    shelf.rpc_async().put(value.clone()).await.unwrap();
    drop(value);
    let reports = refs.leave_all().await;
    let [leak] = &reports[0].leaks[..] else { panic!("{}", reports[0]) };
    assert!(leak.created.starts_with(line.rsplit_once(':').unwrap().0), "{leak}, not {line}");
    let [holder] = &leak.holders[..] else { panic!("{leak}") };
    assert_eq!(holder.worker.name.as_str(), "worker2");
    let Handles::At(handles) = &holder.handles else { panic!("{leak}") };
    assert_eq!(handles.len(), 1, "{leak}");
    assert_eq!(handles[0].inside, Some(shelf.id()), "{leak}");
    assert!(handles[0].place.contains("put"), "{leak}");
    let [leak] = &reports[2].leaks[..] else { panic!("{}", reports[2]) };
    assert_eq!(leak.rref, shelf.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owners_own_reference_leaks_too() {
    let refs = Refs::new(1).await;
    let (kept, line) = (RRef::new(refs.registry(0), 7_u64), here());
    let [report] = &refs.leave_all().await[..] else { panic!() };
    let [leak] = &report.leaks[..] else { panic!("{report}") };
    let Handles::At(handles) = &leak.holders[0].handles else { panic!("{leak}") };
    assert_eq!(leak.holders[0].worker.name.as_str(), "worker0");
    assert!(handles[0].place.starts_with(line.rsplit_once(':').unwrap().0), "{leak}");
    drop(kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_workers_were_leaving_is_told_with_its_place() {
    let refs = Refs::new(3).await;
    // As a worker does that only serves.
    refs.registry(2).begin_leaving();
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    let value = RRef::new(refs.registry(0), Node::default());
    refs.registry(0).client().rpc_async("worker1", shelve, (shelf.clone(), value.clone())).await.unwrap();
    drop(value);
    let reports = refs.leave_all().await;
    let [leak] = &reports[0].leaks[..] else { panic!("{}", reports[0]) };
    let [holder] = &leak.holders[..] else { panic!("{leak}") };
    let Handles::At(handles) = &holder.handles else { panic!("{leak}") };
    assert_eq!(handles[0].inside, Some(shelf.id()), "{leak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_killed_leaves_no_leak() {
    let refs = Refs::new(3).await;
    let value = RRef::new(refs.registry(0), Node::default());
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    shelf.rpc_async().put(value.clone()).await.unwrap();
    drop(value);
    assert_eq!(refs.registry(0).leaks().total(), 1, "it is held");
    refs.cluster.kill("worker2");
    for report in refs.leave(&[0, 1]).await {
        assert_eq!(report.total(), 0, "{report}");
    }
}

/// Until `release`, calls of this keep their workers from leaving.
static BUSY: Semaphore = Semaphore::const_new(0);

#[rpc_macros::function(crate = "rpc_core")]
async fn busy() {
    BUSY.acquire().await.unwrap().forget();
}

#[rpc_macros::function(crate = "rpc_core")]
async fn shelve_when_told(shelf: RRef<Node>, value: RRef<Node>) {
    TOLD.acquire().await.unwrap().forget();
    shelf.rpc_async().put(value).await.unwrap();
}

/// Until it has a permit, `shelve_when_told` waits.
static TOLD: Semaphore = Semaphore::const_new(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_all_have_told_is_told_as_it_comes() {
    let refs = Refs::new(3).await;
    let (early, late) = (RRef::new(refs.registry(0), 7_u64), RRef::new(refs.registry(0), Node::default()));
    let keeper = refs.registry(0).remote("worker2", keep, (early.clone(),)).unwrap();
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    keeper.created().await.unwrap();
    let args = (shelf.clone(), late.clone());
    let call = refs.registry(0).client().rpc_async("worker1", shelve_when_told, args);
    drop((early, late));
    for worker in 0..3 {
        refs.registry(worker).begin_leaving();
    }
    while !matches!(refs.registry(0).leaks().leaks[0].holders[0].handles, Handles::At(_)) {
        tokio::task::yield_now().await;
    }
    TOLD.add_permits(1);
    call.await.unwrap();
    let reports = refs.leave_all().await;
    let [_, leak] = &reports[0].leaks[..] else { panic!("{}", reports[0]) };
    let [holder] = &leak.holders[..] else { panic!("{leak}") };
    let Handles::At(handles) = &holder.handles else { panic!("{leak}") };
    assert_eq!(holder.worker.name.as_str(), "worker2");
    assert!(handles.len() == 1 && handles[0].place.contains("put"), "{leak}");
}

#[rpc_macros::function(crate = "rpc_core")]
fn keep(number: RRef<u64>) -> Vec<RRef<u64>> {
    vec![number]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_while_all_are_leaving_leaves_no_leak() {
    let refs = Refs::new(3).await;
    let value = RRef::new(refs.registry(0), Node::default());
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    shelf.rpc_async().put(value.clone()).await.unwrap();
    drop(value);
    let call = refs.registry(0).client().rpc_async("worker1", busy, ());
    for worker in 0..3 {
        refs.registry(worker).begin_leaving();
    }
    let told = || matches!(refs.registry(0).leaks().leaks[0].holders[0].handles, Handles::At(_));
    while !told() {
        tokio::task::yield_now().await;
    }
    refs.cluster.kill("worker2");
    BUSY.add_permits(1);
    for report in refs.leave(&[0, 1]).await {
        assert_eq!(report.total(), 0, "{report}");
    }
    call.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_left_alone_leaves_no_leak() {
    let refs = Refs::new(3).await;
    let value = RRef::new(refs.registry(0), Node::default());
    let shelf = refs.registry(0).remote("worker2", new_node, ()).unwrap();
    shelf.rpc_async().put(value.clone()).await.unwrap();
    drop(value);
    refs.registry(0).begin_leaving();
    refs.cluster.agent("worker2").shutdown(rpc_core::Shutdown::Immediate).await.unwrap();
    for report in refs.leave(&[0, 1]).await {
        assert_eq!(report.total(), 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_be_listed_is_counted() {
    let refs = Refs::new(2).await;
    let n = 1_500;
    let kept: Vec<_> = (0..n).map(|_| refs.registry(0).remote(1, new_node, ()).unwrap()).collect();
    for created in &kept {
        created.created().await.unwrap();
    }
    let reports = refs.leave_all().await;
    assert_eq!((reports[1].leaks.len(), reports[1].more), (1_024, n - 1_024));
    let error = reports[1].clone().judge(LeakPolicy::Error).unwrap_err().to_string();
    assert!(error.starts_with("1500 values of worker1 (rank 1) leaked"), "{error}");
    assert!(error.contains("And 1480 more") && error.len() < 10_000, "{error}");
}

/// Otherwise the death of a worker whose last answer has just come would show to nobody.
#[tokio::test(start_paused = true)]
async fn a_link_that_goes_down_under_a_batch_is_followed_by_another_batch() {
    let refs = Refs::new(2).await;
    let network = refs.cluster.network();
    let address = |worker: &str| refs.cluster.address(worker).to_owned();
    let settle = || tokio::time::sleep(Duration::from_millis(1));
    let value = refs.registry(0).remote(1, new_node, ()).unwrap();
    value.created().await.unwrap();
    settle().await;
    let batches = Rule::delay(Duration::ZERO).from(address("worker0")).to(address("worker1")).kind(0x12);
    let batches = network.add(batches);
    let receipts = network.add(Rule::hold().from(address("worker1")).replies());
    drop(value);
    settle().await;
    refs.registry(0).peer_event(WorkerId(1), PeerEvent::LinkDown { link: 0 });
    settle().await;
    assert_eq!(batches.hits(), 1, "one at a time");
    receipts.release();
    receipts.remove();
    settle().await;
    assert_eq!(batches.hits(), 2);
}
