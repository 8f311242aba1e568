//! One function on many workers.

use rpc_core::{CallError, Failure, WorkerName};

use crate::common::{Job, square};

#[tokio::test(start_paused = true)]
async fn one_function_on_many_workers_gives_results_by_name() {
    let job = Job::new(3).await;
    job.cluster.kill("worker1");
    let results = job.everybody(0).broadcast_call(square, (3,)).await;
    assert_eq!((&results["worker0"], &results["worker2"]), (&Ok(9), &Ok(9)));
    let error = results["worker1"].as_ref().unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
    // Who is no member may call, too.
    let results = job.team(0, &[2]).broadcast_call(square, (4,)).await;
    assert_eq!(results.into_iter().collect::<Vec<(WorkerName, Result<i64, CallError>)>>().len(), 1);
}
