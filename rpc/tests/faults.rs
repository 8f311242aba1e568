//! Workers under the faults of `rpc-testing`: over TCP, and over the in-memory network on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc::prelude::*;
use rpc::rpc_core::{Outcome, Response};
use rpc::{HandlerRan, MemoryStore, default_backends};
use rpc_testing::{Fault, Faults, Message, TestCluster};

const SHORT: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_millis(500);

/// Notes of what has run, by test; the workers of a test are in one process.
static NOTES: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());

/// Notes that it has run; returns how often something has been noted for `test`.
#[rpc::function(inline)]
fn note(test: String, value: u64) -> usize {
    let mut notes = NOTES.lock();
    notes.push((test.clone(), value));
    notes.iter().filter(|(of, _)| *of == test).count()
}

fn noted(test: &str) -> Vec<u64> {
    NOTES.lock().iter().filter(|(of, _)| of == test).map(|(_, value)| *value).collect()
}

#[rpc::function(inline)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[rpc::function]
async fn hang() {
    pending().await
}

#[rpc::function]
fn blocks(n: i64) -> i64 {
    n * 2
}

#[derive(Serialize, Deserialize)]
struct Tally(i64);

#[rpc::methods]
impl Tally {
    #[rpc(inline)]
    fn get(&self) -> i64 {
        self.0
    }
}

#[rpc::function(inline)]
fn new_tally(n: i64) -> Tally {
    Tally(n)
}

/// A reference in the answer.
#[rpc::function]
async fn tally_here(n: i64) -> RRef<Tally> {
    RRef::new(&Worker::current(), Tally(n))
}

#[rpc::function]
async fn read(tally: RRef<Tally>) -> Result<i64, CallError> {
    tally.rpc_async().get().await
}

async fn over(backend: &str, n: u32, faults: &Faults) -> TestCluster<Worker> {
    let store = Arc::new(MemoryStore::default());
    let cluster = TestCluster::builder(n).faults(faults);
    let cluster = if backend == "memory" { cluster } else { cluster.backends(default_backends()) };
    let start = |place: rpc_testing::Place| {
        let builder = Worker::builder_named_by_rank().rank(place.rank).world_size(place.world_size);
        let builder = builder.store(store.clone()).backends(place.backends).backend(backend);
        builder.local_links(false).variables(|_| None).init()
    };
    cluster.start(start).await.unwrap()
}

async fn in_memory(n: u32, faults: &Faults) -> TestCluster<Worker> {
    over("memory", n, faults).await
}

/// All leave together. Nothing may be lost or leaked, and every fault must have acted.
async fn leave(cluster: &TestCluster<Worker>) {
    cluster.faults().assert_fired();
    for report in cluster.all(|worker| async move { worker.shutdown().await }).await.unwrap() {
        assert_eq!((report.lost.len(), report.leaked()), (0, 0), "{report:?}");
    }
}

async fn the_second_request_fails(backend: &str) {
    let faults = Faults::seeded(7);
    let cluster = over(backend, 2, &faults).await;
    let second = faults.add(Fault::fail().on(Message::Call).from("worker0").to("worker1").nth(2));
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    assert_eq!(error.handler_ran(), HandlerRan::No);
    assert_eq!(cluster[1].rpc_async("worker0", add, (1, 2)).await, Ok(3), "the other way is another pair");
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    assert_eq!(second.fired(), 1);
    leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_fails_over_tcp() {
    the_second_request_fails("tcp").await;
}

#[tokio::test(start_paused = true)]
async fn the_second_request_fails_over_the_in_memory_network() {
    the_second_request_fails("memory").await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_can_be_of_any_kind() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    faults.add(
        Fault::fail_with(Response::failed(Outcome::Panicked, &["boom", "a.rs:1:1"])).function(add).first(1),
    );
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(
        matches!(error.failure(), Some(Failure::Panicked { message, .. }) if message == "boom"),
        "{error}"
    );
    let late = faults.add(Fault::fail().replies().first(1));
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert_eq!((error.handler_ran(), late.fired()), (HandlerRan::Yes, 1), "{error}");
    leave(&cluster).await;
}

/// One at a time, each kind of message that a reference sends may fail once.
#[tokio::test(start_paused = true)]
async fn each_message_of_a_reference_can_fail_by_itself() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    let created = faults.add(Fault::fail().on(Message::Create).function(new_tally).nth(2));
    let tally = cluster[0].remote("worker1", new_tally, (5,)).unwrap();
    let lost = cluster[0].remote("worker1", new_tally, (5,)).unwrap();
    let error = lost.rpc_async().get().await.unwrap_err();
    assert!(error.to_string().contains("was not created"), "{error}");
    assert_eq!((tally.rpc_async().get().await, created.fired()), (Ok(5), 1));

    let called = faults.add(Fault::fail().on(Message::Method).first(1));
    assert_eq!(tally.rpc_async().get().await.unwrap_err().handler_ran(), HandlerRan::No);
    assert_eq!((tally.rpc_async().get().await, called.fired()), (Ok(5), 1));

    // Those are sent again by themselves.
    let told = faults.add(Fault::fail().on(Message::References).first(3));
    assert_eq!(cluster[1].rpc_async("worker0", read, (RRef::new(&cluster[1], Tally(7)),)).await, Ok(7));
    drop((tally, lost));
    told.until_fired(3).await;
    leave(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_times_out_and_one_with_more_time_does_not() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    faults.add(Fault::delay(LATE).on(Message::Call).first(2));
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).timeout(SHORT).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::TimedOut { .. })), "{error}");
    let began = tokio::time::Instant::now();
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    assert!(began.elapsed() >= LATE);
    leave(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_never_runs_and_a_dropped_reply_comes_too_late() {
    let test = "dropped";
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    let call = |value| cluster[0].rpc_async("worker1", note, (test.into(), value)).timeout(SHORT);
    let dropped = faults.add(Fault::drop().first(1));
    assert!(call(1).await.unwrap_err().is_timeout());
    assert_eq!((noted(test), dropped.fired()), (vec![], 1));
    faults.add(Fault::drop().replies().first(1));
    assert!(call(2).await.unwrap_err().is_timeout());
    assert_eq!(noted(test), [2]);
    assert_eq!(call(3).await, Ok(2));
    leave(&cluster).await;
}

/// A reference in an answer that is lost, or comes when nobody waits, is let go: `leave` would find it.
#[tokio::test(start_paused = true)]
async fn references_in_dropped_answers_are_let_go() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    faults.add(Fault::drop().replies().function(tally_here).first(1));
    faults.add(Fault::delay(LATE).replies().function(tally_here).skip(1).first(1));
    for _ in 0..2 {
        assert!(
            cluster[0].rpc_async("worker1", tally_here, (5,)).timeout(SHORT).await.unwrap_err().is_timeout()
        );
    }
    let kept = cluster[0].rpc_async("worker1", tally_here, (5,)).await.unwrap();
    assert_eq!(kept.rpc_async().get().await, Ok(5));
    drop(kept);
    leave(&cluster).await;
}

/// They arrive with the failure, and go: `leave` would find them.
#[tokio::test(start_paused = true)]
async fn references_in_failed_answers_are_let_go() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    let failed = faults.add(Fault::fail().replies().function(tally_here).first(1));
    for from in 0..2 {
        let error = cluster[from].rpc_async("worker1", tally_here, (5,)).await.unwrap_err();
        assert!(matches!(error.failure(), Some(Failure::BadResult { .. })), "{error}");
        let kept = cluster[from].rpc_async("worker1", tally_here, (5,)).await.unwrap();
        assert_eq!(kept.rpc_async().get().await, Ok(5));
    }
    assert_eq!((failed.fired(), failed.spared()), (2, 0));
    leave(&cluster).await;
}

/// Of a worker to itself: as between two workers, as far as there is no link in it.
#[tokio::test(start_paused = true)]
async fn what_a_worker_asks_of_itself_meets_faults_too() {
    let test = "own";
    let faults = Faults::seeded(7);
    let cluster = in_memory(1, &faults).await;
    let worker = &cluster[0];
    let call = |value| worker.rpc_async("worker0", note, (test.into(), value)).timeout(SHORT);

    let failed = faults.add(Fault::fail().function(note).first(1));
    let error = call(1).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
    faults.add(Fault::drop().first(1));
    assert!(call(2).await.unwrap_err().is_timeout());
    assert_eq!((noted(test), failed.fired()), (vec![], 1));

    faults.add(Fault::duplicate().first(1));
    assert_eq!(call(3).await, Ok(2));
    faults.add(Fault::fail().replies().first(1));
    assert_eq!(call(4).await.unwrap_err().handler_ran(), HandlerRan::Yes);
    faults.add(Fault::drop().replies().first(1));
    assert!(call(5).await.unwrap_err().is_timeout());
    assert_eq!(noted(test), [3, 3, 4, 5]);

    let began = tokio::time::Instant::now();
    faults.add(Fault::delay(LATE).first(1));
    assert!(call(6).await.unwrap_err().is_timeout());
    assert!(began.elapsed() < LATE);
    faults.add(Fault::delay(LATE).replies().first(1));
    assert_eq!(call(7).timeout(LATE * 2).await, Ok(5));
    assert!(began.elapsed() >= LATE);

    faults.add(Fault::reorder().first(1));
    let (passed, passes) = (call(8), call(9));
    assert_eq!((passes.await, passed.await), (Ok(6), Ok(7)));
    assert_eq!(noted(test)[4..], [7, 9, 8]);
    leave(&cluster).await;
}

/// With references in them there is one answer, and it is not kept back; what blocks runs on a thread.
#[tokio::test]
async fn own_requests_with_references_in_them_keep_their_counts() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(1, &faults).await;
    let worker = &cluster[0];
    let twice = faults.add(Fault::duplicate());
    let late = faults.add(Fault::drop().replies().function(tally_here));
    let tally = worker.rpc_async("worker0", tally_here, (5,)).await.unwrap();
    assert_eq!(worker.rpc_async("worker0", read, (tally.clone(),)).await, Ok(5));
    assert!(twice.spared() > 0 && late.spared() == 1, "{twice:?} and {late:?}");
    twice.remove();
    late.remove();
    faults.add(Fault::fail().on(Message::Create).first(1));
    let lost = worker.remote("worker0", new_tally, (5,)).unwrap();
    assert!(lost.rpc_async().get().await.unwrap_err().to_string().contains("was not created"));
    let own_thread = faults.add(Fault::delay(Duration::ZERO).replies().function(blocks).first(1));
    assert_eq!(worker.rpc_async("worker0", blocks, (4,)).await, Ok(8));
    assert_eq!(own_thread.fired(), 1);
    drop((tally, lost));
    leave(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_request_runs_twice_and_is_answered_once() {
    let test = "duplicated";
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    let twice = faults.add(Fault::duplicate().first(1));
    faults.add(Fault::duplicate().replies().first(3));
    assert_eq!(cluster[0].rpc_async("worker1", note, (test.into(), 1)).await, Ok(2));
    assert_eq!(cluster[0].rpc_async("worker1", note, (test.into(), 2)).await, Ok(3));
    assert_eq!((noted(test), twice.spared()), (vec![1, 1, 2], 0));
    let created = faults.add(Fault::duplicate().on(Message::Create));
    let told = faults.add(Fault::duplicate().on(Message::References));
    assert_eq!(cluster[0].remote("worker1", new_tally, (5,)).unwrap().rpc_async().get().await, Ok(5));
    assert_eq!((created.fired(), created.spared()), (0, 1));
    told.until_fired(1).await;
    created.remove();
    leave(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_reordered_request_is_overtaken() {
    let test = "reordered";
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    faults.add(Fault::reorder().first(1));
    let calls = [1, 2, 3].map(|value| cluster[0].rpc_async("worker1", note, (test.into(), value)));
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(noted(test), [2, 1, 3]);
    leave(&cluster).await;
}

async fn a_cut_link_is_made_anew(backend: &str) {
    let faults = Faults::seeded(7);
    let cluster = over(backend, 2, &faults).await;
    let at_third = faults.add(Fault::cut().function(add).nth(3));
    let waiting = cluster[0].rpc_async("worker1", hang, ());
    for _ in 0..2 {
        assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    }
    for error in [
        cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err().to_string(),
        waiting.await.unwrap_err().to_string(),
    ] {
        assert!(error.contains("the link went down"), "{error}");
    }
    assert_eq!(at_third.fired(), 1);
    let waiting = cluster[0].rpc_async("worker1", hang, ());
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    cluster.cut("worker0", "worker1");
    let error = waiting.await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_is_made_anew_over_tcp() {
    a_cut_link_is_made_anew("tcp").await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_is_made_anew_over_the_in_memory_network() {
    a_cut_link_is_made_anew("memory").await;
}

async fn a_killed_worker_is_lost_to_the_others(backend: &str) {
    let faults = Faults::seeded(7);
    let cluster = over(backend, 3, &faults).await;
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    faults.add(Fault::kill_receiver().on(Message::Call).to("worker1").from("worker2"));
    let error = cluster[2].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    for other in [0, 2] {
        let error = cluster[other].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
        assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
    }
    assert_eq!(cluster[0].rpc_async("worker2", add, (1, 2)).await, Ok(3));
    let (first, second) = tokio::join!(cluster[0].shutdown(), cluster[2].shutdown());
    for report in [first.unwrap(), second.unwrap()] {
        assert_eq!(report.lost.iter().map(|lost| lost.name.as_str()).collect::<Vec<_>>(), ["worker1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_is_lost_to_the_others_over_tcp() {
    a_killed_worker_is_lost_to_the_others("tcp").await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_is_lost_to_the_others_over_the_in_memory_network() {
    a_killed_worker_is_lost_to_the_others("memory").await;
}

async fn a_partition_holds_up_messages_and_dials_until_it_is_healed(backend: &str) {
    let faults = Faults::seeded(7);
    let cluster = over(backend, 3, &faults).await;
    assert_eq!(cluster[0].rpc_async("worker1", add, (1, 2)).await, Ok(3));
    cluster.partition(&["worker0"], &["worker1", "worker2"]);
    let (linked, dialled) =
        (cluster[0].rpc_async("worker1", add, (1, 2)), cluster[0].rpc_async("worker2", add, (1, 2)));
    assert_eq!(cluster[1].rpc_async("worker2", add, (1, 2)).await, Ok(3), "they are on one side");
    let error = cluster[1].rpc_async("worker0", add, (1, 2)).timeout(SHORT).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(!linked.is_done() && !dialled.is_done());
    cluster.heal();
    assert_eq!((linked.await, dialled.await), (Ok(3), Ok(3)));
    leave(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_holds_up_messages_and_dials_until_it_is_healed_over_tcp() {
    a_partition_holds_up_messages_and_dials_until_it_is_healed("tcp").await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_up_messages_and_dials_until_it_is_healed_over_the_in_memory_network() {
    a_partition_holds_up_messages_and_dials_until_it_is_healed("memory").await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_lasts_ends_links_and_dials() {
    let faults = Faults::seeded(7).silence_max(Duration::from_secs(5));
    let cluster = in_memory(2, &faults).await;
    faults.add(Fault::partition().on(Message::Call));
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::LinkLost { .. })), "{error}");
    let error = cluster[0].rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
}

/// FT-1, over sockets and threads: what is done one after another meets the same faults every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_fixes_what_happens() {
    let run = async |seed| {
        let faults = Faults::seeded(seed);
        let cluster = over("tcp", 2, &faults).await;
        faults.add(Fault::fail().on(Message::Call).probability(0.3));
        faults.add(Fault::delay_between(Duration::ZERO, Duration::from_millis(1)).probability(0.3));
        for n in 0..40 {
            let _ = cluster[n % 2].rpc_async(i64::from(n % 2 == 0), add, (1, 2)).await;
        }
        leave(&cluster).await;
        let mut injected = faults.injected();
        injected.sort();
        injected
    };
    let (once, again, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(once, again);
    assert_ne!(once, other);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_did_not_happen_and_a_worker_that_is_not_there_are_named() {
    let faults = Faults::seeded(7);
    let cluster = in_memory(2, &faults).await;
    faults.add(Fault::drop().on(Message::Fetch).from("worker0").to("worker1"));
    assert_eq!(
        faults.unfired(),
        ["fault 0 (drops fetch from worker0 to worker1) never acted; it has picked 0 messages"]
    );
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| cluster.kill("worker9"))).unwrap_err();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert_eq!(text, "no worker is called worker9; there are worker0, worker1");
}
