//! Who may take part, and the places that there are.

use std::time::Duration;

use rpc_collectives::{CollectiveError, TeamError};
use rpc_core::{CallError, Failure, Kind, RequestHead, WorkerId, WorkerName};
use rpc_testing::Rule;

use crate::common::{Job, all};

#[tokio::test(start_paused = true)]
async fn teams_are_made_of_different_workers_that_exist_and_used_by_members() {
    let job = Job::new(3).await;
    let collectives = job.collectives[0].as_ref().unwrap();
    let team = |names: &[&str]| collectives.team(&job.hosts[0], names.iter().copied());
    assert_eq!(team(&[]).unwrap_err(), TeamError::Empty);
    assert!(matches!(team(&["worker1", "worker1"]), Err(TeamError::Twice { .. })));
    assert!(matches!(team(&["worker9"]), Err(TeamError::Unknown(_))));
    let others = team(&["worker2", "worker1"]).unwrap();
    assert_eq!(others.members().map(WorkerName::as_str).collect::<Vec<_>>(), ["worker1", "worker2"]);
    assert_eq!(&**others.leader(), "worker1");
    assert!(matches!(others.tagged(&"x".repeat(128)), Err(TeamError::TagTooLong { bytes: 128 })));
    let error = others.barrier().await.unwrap_err();
    assert!(
        matches!(&error, CollectiveError::NotAMember { worker, .. } if &**worker == "worker0"),
        "{error}"
    );
}

/// Members that have died, and whose last words were lost, hold places at their leader; not for ever.
#[tokio::test(start_paused = true)]
async fn places_that_nobody_waits_at_are_given_to_others() {
    let job = Job::new(2).await;
    let (leader, member) = (job.everybody(0), job.everybody(1));
    let began: Vec<_> = (0..256).map(|_| member.barrier()).collect();
    let error = member.tagged("one more").unwrap().barrier().await.unwrap_err();
    assert!(matches!(error, CollectiveError::TooMany { limit: 256, .. }), "{error}");
    let lost = job.cluster.network().add(Rule::drop().kind(0x1a).from(job.cluster.address("worker1")));
    drop(began);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(lost.hits(), 256);
    lost.remove();
    let (leader, member) = (leader.tagged("later").unwrap(), member.tagged("later").unwrap());
    assert!(all([member.barrier(), leader.barrier()]).await.iter().all(Result::is_ok));
}

/// What a member sends is checked before it counts.
#[tokio::test(start_paused = true)]
async fn requests_of_no_team_are_refused() {
    let job = Job::new(3).await;
    let head = |method| RequestHead {
        kind: Kind(0x1a),
        method,
        operation: "all_gather",
        function: "all_gather",
        signature: "",
    };
    // Operation (count, line), time, value; as the wire has them.
    let join = |to: u32, members: Vec<u32>, tag: String| {
        let join = ((0_u64, (1_u8, members, tag)), 1_000_000_u64, None::<u8>);
        let asked =
            job.hosts[1].request::<Vec<u8>, CollectiveError, _>(WorkerId(to), head(0), &join, |_| Ok(None));
        async { asked.await.unwrap_err() }
    };
    let refused = [
        (0, vec![0, 2], String::new()),    // it is no member
        (2, vec![1, 2], String::new()),    // worker1 would be the leader
        (0, vec![1, 0], String::new()),    // in another order
        (0, vec![0, 1, 1], String::new()), // twice
        (0, vec![0, 1, 9], String::new()), // nobody
        (0, vec![], String::new()),        // no team
        (0, vec![0, 1], "x".repeat(128)),  // too long
    ];
    for (to, members, tag) in refused {
        let error = join(to, members.clone(), tag).await;
        assert!(matches!(error.failure(), Some(Failure::BadArguments { .. })), "{members:?}: {error}");
    }
    let late = join(0, vec![0, 1], String::new()).await;
    assert!(
        matches!(late, CallError::Handler { error: CollectiveError::Incomplete(_), .. }),
        "this one counts: {late}"
    );
    let unknown = job.hosts[1].request::<(), CollectiveError, _>(WorkerId(0), head(9), &(), |_| Ok(None));
    assert!(matches!(unknown.await.unwrap_err().failure(), Some(Failure::UnknownKind)));
    job.cluster.assert_idle().await;
}
