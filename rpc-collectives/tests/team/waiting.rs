//! Threads that wait.

use rpc_collectives::CollectiveError;
use rpc_core::Failure;

use crate::common::{Job, square};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_wait_for_operations_as_for_calls() {
    let job = Job::new(3).await;
    let waiting: Vec<_> = (1..3)
        .map(|rank| {
            let team = job.everybody(rank);
            std::thread::spawn(move || {
                (0..20).map(|n| team.all_gather(n).wait().unwrap().len()).sum::<usize>()
            })
        })
        .collect();
    let team = job.everybody(0);
    for n in 0..20 {
        team.all_gather(n).await.unwrap();
    }
    for thread in waiting {
        assert_eq!(tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap(), 60);
    }
    assert_eq!(job.team(0, &[1, 2]).broadcast_call(square, (3,)).wait().len(), 2);
}

#[tokio::test]
async fn waiting_where_it_would_stop_the_runtime_is_an_error() {
    let job = Job::new(2).await;
    assert_eq!(job.everybody(0).barrier().wait(), Err(CollectiveError::WouldBlock));
    let results = job.everybody(0).broadcast_call(square, (3,)).wait();
    assert!(matches!(results["worker1"].as_ref().unwrap_err().failure(), Some(Failure::WouldBlock)));
}
