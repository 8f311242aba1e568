//! Threads that wait, and what is told of who waits.

use std::time::Duration;

use rpc_collectives::CollectiveError;
use rpc_core::{ByFunction, Failure};

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

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_is_told_by_name() {
    let job = Job::new(2).await;
    let info = |rank: usize| {
        let mut info = job.hosts[rank].agent().info();
        let collectives = job.collectives[rank].as_ref().unwrap();
        info.name_functions(|kind, method| collectives.name_of(kind, method));
        info
    };
    let names = |functions: ByFunction| -> Vec<String> {
        functions.listed.into_iter().map(|count| count.function.name).collect()
    };
    let barrier = job.everybody(1).barrier();
    assert_eq!(names(info(1).calls), ["barrier"]);
    let values = job.everybody(1).all_gather(1);
    assert_eq!(names(info(1).calls), ["all_gather or barrier"], "the requests do not tell which is which");
    tokio::time::sleep(Duration::from_secs(1)).await; // both are at the leader, whose program has not come
    assert_eq!(names(info(0).serving), ["all_gather or barrier"]);
    let (met, given) = tokio::join!(job.everybody(0).barrier(), barrier);
    assert_eq!((met, given), (Ok(()), Ok(())));
    assert_eq!(names(info(1).calls), ["all_gather"]);
    assert!(job.everybody(0).all_gather(0).await.is_ok() && values.await.is_ok());
}

/// On the leader with who is missing, on the others with who knows.
#[tokio::test(start_paused = true)]
async fn operations_under_way_are_told_with_team_tag_and_who_is_missing() {
    let job = Job::new(3).await;
    let info = |rank: usize| job.collectives[rank].as_ref().unwrap().info();
    assert!(info(0).is_empty());
    let tagged = job.everybody(1).tagged("epoch").unwrap();
    let (first, second) = (tagged.barrier(), tagged.barrier());
    let values = job.team(2, &[1, 2]).all_gather(1);
    tokio::time::sleep(Duration::from_secs(1)).await; // all are at their leaders
    let flat = |rank: usize| -> Vec<String> {
        let flat = info(rank).into_iter().enumerate().flat_map(|(nth, operation)| operation.flat(nth));
        flat.map(|(name, value)| format!("{name}={value}")).collect()
    };
    let leader = info(0);
    assert_eq!(leader.len(), 2);
    for (nth, operation) in leader.iter().enumerate() {
        assert_eq!((&*operation.operation, &*operation.tag), ("barrier", "epoch"));
        assert_eq!((operation.count, operation.waits_here), (nth as u64, false));
        assert_eq!(operation.team.len(), 3);
        let missing = operation.missing.as_ref().unwrap();
        assert_eq!(missing.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["worker0", "worker2"]);
    }
    assert!(flat(0).contains(&"collectives.1.missing=worker0, worker2".to_owned()), "{:?}", flat(0));

    let [gather, first_barrier, _] = &info(1)[..] else { panic!("{:?}", info(1)) };
    assert_eq!((&*gather.operation, &*gather.leader, gather.waits_here), ("all_gather", "worker1", false));
    assert_eq!(gather.missing.as_ref().map(Vec::len), Some(1));
    assert_eq!((first_barrier.waits_here, &first_barrier.missing), (true, &None));
    let expected = [
        "operation=barrier",
        "team=worker0, worker1, worker2",
        "tag=epoch",
        "count=0",
        "leader=worker0",
        "waits_here=true",
        "missing=known to worker0",
    ];
    assert_eq!(flat(1)[7..14], expected.map(|line| format!("collectives.1.{line}")));

    drop((first, second, values));
    tokio::time::sleep(Duration::from_secs(1)).await; // all have heard of it
    assert!((0..3).all(|rank| info(rank).is_empty()));
}

#[tokio::test]
async fn waiting_where_it_would_stop_the_runtime_is_an_error() {
    let job = Job::new(2).await;
    assert_eq!(job.everybody(0).barrier().wait(), Err(CollectiveError::WouldBlock));
    let results = job.everybody(0).broadcast_call(square, (3,)).wait();
    assert!(matches!(results["worker1"].as_ref().unwrap_err().failure(), Some(Failure::WouldBlock)));
}
