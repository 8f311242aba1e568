//! Leaving the group.

use std::time::Duration;

use rpc_core::{Failure, Shutdown, ShutdownError};
use rpc_testing::Cluster;

use crate::functions::*;

const GRACEFUL: Shutdown = Shutdown::Graceful { timeout: Some(Duration::from_secs(30)) };

fn names(workers: &[rpc_core::WorkerInfo]) -> Vec<&str> {
    workers.iter().map(|worker| worker.name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn all_workers_wait_for_work_that_is_under_way() {
    let cluster = Cluster::new(3).await;
    drop(cluster.client(0).rpc_async("worker1", sleep_ms, (10_000,))); // nobody waits for it but the shutdown
    let begin = tokio::time::Instant::now();
    let reports = cluster.shutdown().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(reports.iter().all(|report| report.lost.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_is_named_to_everybody() {
    let cluster = Cluster::new(3).await;
    let leader = tokio::spawn(cluster.agent(0).shutdown(GRACEFUL));
    let follower = tokio::spawn(cluster.agent(1).shutdown(GRACEFUL));
    for result in [leader.await.unwrap(), follower.await.unwrap()] {
        let Err(ShutdownError::TimedOut { missing, busy, .. }) = result else { panic!("{result:?}") };
        assert_eq!(names(&missing), ["worker2"]);
        assert!(busy.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_is_named() {
    let cluster = Cluster::new(2).await;
    let call = cluster.client(1).with_timeout(Duration::ZERO).rpc_async("worker0", hang, (7, None));
    until_hanging(7, 1).await;
    let results = [cluster.agent(0), cluster.agent(1)].map(|agent| tokio::spawn(agent.shutdown(GRACEFUL)));
    for result in results {
        let Err(ShutdownError::TimedOut { missing, busy, .. }) = result.await.unwrap() else {
            panic!("no error")
        };
        assert!(missing.is_empty(), "{missing:?}");
        assert!(!busy.is_empty());
    }
    assert!(call.await.is_err());
    until_hanging(7, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_reported_as_lost_and_the_rest_leave_together() {
    let cluster = Cluster::new(3).await;
    let followers = [1, 2].map(|rank| tokio::spawn(cluster.agent(rank).shutdown(GRACEFUL)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.kill(0);
    for follower in followers {
        assert_eq!(names(&follower.await.unwrap().unwrap().lost), ["worker0"]);
    }
}

#[tokio::test]
async fn calls_after_shutdown_are_errors_and_shutting_down_again_is_not() {
    let cluster = Cluster::new(2).await;
    cluster.shutdown().await.unwrap();
    let error = cluster.client(0).rpc_async("worker1", add, (1, 2)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::ShutDown));
    assert!(error.to_string().contains("this worker has been shut down"), "{error}");
    cluster.agent(0).shutdown(GRACEFUL).await.unwrap();
    cluster.agent(0).shutdown(Shutdown::Immediate).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn leaving_at_once_fails_what_is_in_flight_and_later_calls_of_the_others() {
    let cluster = Cluster::new(2).await;
    let mine = cluster.client(0).rpc_async("worker1", sleep_ms, (60_000,));
    let theirs = cluster.client(1).rpc_async("worker0", sleep_ms, (50_000,));
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.agent(0).shutdown(Shutdown::Immediate).await.unwrap();
    assert_eq!(mine.await.unwrap_err().failure(), Some(&Failure::ShutDown));
    let error = theirs.await.unwrap_err();
    assert!(
        matches!(error.failure(), Some(Failure::LinkLost { cause, .. }) if cause == "it has shut down"),
        "{error}"
    );
    let later = cluster.client(1).rpc_async("worker0", add, (1, 2)).await.unwrap_err();
    assert_eq!(later.failure(), Some(&Failure::Departed));
}

#[tokio::test(start_paused = true)]
async fn who_stays_can_still_shut_down_after_another_has_left_at_once() {
    let cluster = Cluster::new(3).await;
    cluster.agent(0).shutdown(Shutdown::Immediate).await.unwrap();
    let rest = [1, 2].map(|rank| tokio::spawn(cluster.agent(rank).shutdown(GRACEFUL)));
    for worker in rest {
        worker.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_left_before_there_was_a_link_says_so_to_who_dials() {
    let cluster = Cluster::new(2).await;
    cluster.agent(0).shutdown(Shutdown::Immediate).await.unwrap();
    let begin = tokio::time::Instant::now();
    let error = cluster.client(1).rpc_async("worker0", add, (1, 2)).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Departed));
    assert!(begin.elapsed() < Duration::from_secs(1), "promptly");
}

/// EN-1
#[test]
fn a_runtime_that_ends_first_fails_those_who_wait() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cluster = runtime.block_on(Cluster::new(2));
    let client = cluster.client(0).with_timeout(Duration::ZERO);
    let call = client.rpc_async("worker1", sleep_ms, (3_600_000,));
    let waiter = std::thread::spawn(move || call.wait());
    drop(runtime);
    // Whichever of the engine's tasks ended first.
    let error = waiter.join().unwrap().unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::ShutDown | Failure::LinkLost { .. })), "{error}");
    assert_eq!(client.rpc_sync("worker1", add, (1, 2)).unwrap_err().failure(), Some(&Failure::ShutDown));
}
