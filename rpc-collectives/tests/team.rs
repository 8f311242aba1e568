//! Teams over engines in memory: what members get, and what they are told when somebody does not come.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rpc_collectives::{CollectiveError, Collectives, IncompleteCause, Team, TeamError};
use rpc_core::{CallError, Client, Failure, FunctionTable, Host, Shutdown, Tensor, WorkerName};
use rpc_rref::{RRef, Registry};
use rpc_testing::{Cluster, Rule};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

#[rpc_macros::function(inline, crate = "rpc_core")]
fn square(n: i64) -> i64 {
    n * n
}

/// Workers of one process, all but `without` with collectives.
struct Job {
    cluster: Cluster,
    hosts: Vec<Arc<Client>>,
    collectives: Vec<Option<Collectives>>,
}

impl Job {
    async fn new(workers: usize) -> Self {
        Self::without(workers, usize::MAX).await
    }

    async fn without(workers: usize, without: usize) -> Self {
        let cluster = Cluster::new(workers).await;
        let hosts: Vec<_> = (0..workers).map(|rank| Arc::new(cluster.client(rank as i64).clone())).collect();
        let start = |(rank, host): (usize, &Arc<Client>)| {
            let weak: Arc<dyn Host> = Arc::clone(host) as _;
            (rank != without).then(|| Collectives::start(host, Arc::downgrade(&weak)))
        };
        let collectives = hosts.iter().enumerate().map(start).collect();
        Self { cluster, hosts, collectives }
    }

    /// The team of `members` as worker `rank` has it.
    fn team(&self, rank: usize, members: &[i64]) -> Team {
        let collectives = self.collectives[rank].as_ref().expect("it has collectives");
        collectives.team(&self.hosts[rank], members.iter().copied()).expect("they exist")
    }

    fn everybody(&self, rank: usize) -> Team {
        self.collectives[rank].as_ref().expect("it has collectives").everybody(&self.hosts[rank])
    }
}

/// Names the workers that are `missing`.
fn assert_missing(error: &CollectiveError, missing: &[&str]) {
    let named: Vec<&str> = error.missing().iter().map(WorkerName::as_str).collect();
    assert_eq!(named, missing, "{error}");
    assert!(missing.iter().all(|worker| error.to_string().contains(worker)), "{error}");
}

fn cause(error: &CollectiveError) -> &IncompleteCause {
    match error {
        CollectiveError::Incomplete(incomplete) => &incomplete.cause,
        other => panic!("{other}"),
    }
}

async fn all<R>(operations: impl IntoIterator<Item = impl Future<Output = R>>) -> Vec<R> {
    let begun: Vec<_> = operations.into_iter().collect();
    let mut results = Vec::new();
    for operation in begun {
        results.push(operation.await);
    }
    results
}

#[tokio::test(start_paused = true)]
async fn everybody_gets_the_values_of_all_by_name() {
    let job = Job::new(3).await;
    let gathered = all((0..3).map(|rank| job.everybody(rank).all_gather(format!("from {rank}")))).await;
    for values in gathered {
        let values: Vec<(String, String)> =
            values.unwrap().into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let expected = (0..3).map(|rank| (format!("worker{rank}"), format!("from {rank}")));
        assert_eq!(values, expected.collect::<Vec<_>>());
    }
    job.cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_team_of_one_is_done_at_once() {
    let job = Job::new(2).await;
    assert_eq!(job.team(1, &[1]).all_gather(7_u8).await.unwrap()["worker1"], 7);
    job.team(1, &[1]).barrier().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tensors_and_long_texts_arrive_as_they_were() {
    let job = Job::new(3).await;
    let value = |rank: usize| {
        let small = Tensor::from_vec(vec![rank as f32; 10], [2, 5]).unwrap();
        let large = Tensor::from_vec(vec![rank as i64; 20_000], [20_000]).unwrap();
        (small, "x".repeat(1_000 * (rank + 1)), vec![large; rank])
    };
    for values in all((0..3).map(|rank| job.everybody(rank).all_gather(value(rank)))).await {
        let values = values.unwrap();
        for rank in 0..3 {
            assert_eq!(values[&*format!("worker{rank}")], value(rank));
        }
    }
}

struct Counter(u64);

#[rpc_macros::methods(crate = "rpc_rref")]
impl Counter {
    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }
}

/// The leader forwards references that are others', to workers that have none yet, and keeps none of them.
#[tokio::test]
async fn references_in_values_can_be_used_by_all_members() {
    let job = Job::new(3).await;
    let functions = Arc::new(FunctionTable::linked().unwrap());
    let registries: Vec<Arc<Registry>> = (0..3)
        .map(|rank| {
            let host: Arc<dyn Host> = Arc::clone(&job.hosts[rank]) as _;
            Registry::start(&job.hosts[rank], Arc::clone(&functions), Arc::downgrade(&host)).unwrap()
        })
        .collect();
    let gathered = all((0..3).map(|rank| {
        let counter = RRef::new_opaque(&registries[rank], Counter(rank as u64));
        job.everybody(rank).all_gather(vec![(rank, counter)])
    }))
    .await;
    let mut sum = 0;
    for counters in &gathered {
        for pair in counters.as_ref().unwrap().values().flatten() {
            sum += pair.1.rpc_async().add(10).await.unwrap();
        }
    }
    // Each of three counters is at 10, 20 and 30 above its rank.
    assert_eq!(sum, (1 + 2) * 3 + 60 * 3);
    drop(gathered);
    let reports = job.cluster.shutdown().await.unwrap();
    assert_eq!(reports.len(), 3);
    for registry in &registries {
        let leaks = registry.leaks();
        assert!(leaks.judge(rpc_rref::LeakPolicy::Error).is_ok(), "the leader keeps nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_a_time_over_many_teams_never_mix() {
    let job = Job::new(4).await;
    let teams: [&[i64]; 5] = [&[0, 1, 2, 3], &[3, 1], &[1, 2, 3], &[2, 0], &[0, 1, 2, 3]];
    let mut under_way = Vec::new();
    for rank in [2, 0, 3, 1] {
        for (n, members) in teams.iter().enumerate().filter(|(_, members)| members.contains(&(rank as i64))) {
            let team = job.team(rank, members).tagged(&n.to_string()).unwrap();
            for round in 0..30 {
                under_way.push((n, members.len(), round, team.all_gather((n, round))));
            }
        }
    }
    for (team, members, round, gathered) in under_way {
        let values = gathered.await.unwrap();
        assert_eq!(values.len(), members);
        assert!(values.values().all(|value| *value == (team, round)), "{values:?}");
    }
    job.cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_a_barrier_before_all_are_there() {
    let job = Job::new(3).await;
    let mut early = tokio::spawn(all([job.everybody(0).barrier(), job.everybody(1).barrier()]));
    let waited = tokio::time::timeout(Duration::from_secs(30), &mut early).await;
    assert!(waited.is_err(), "one is missing");
    job.everybody(2).barrier().await.unwrap();
    assert!(early.await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_who_is_missing_and_so_is_who_comes_later() {
    let job = Job::new(4).await;
    let began = Instant::now();
    let patient = job.everybody(3).barrier();
    let hasty = job.everybody(1).with_timeout(Duration::from_secs(3)).barrier();
    let error = hasty.await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 3);
    let expected = IncompleteCause::TimedOut {
        worker: WorkerName::new("worker1").unwrap(),
        after: Duration::from_secs(3),
    };
    assert_eq!(*cause(&error), expected);
    assert!(error.is_timeout());
    assert_missing(&error, &["worker0", "worker2"]);
    assert_eq!(patient.await.unwrap_err(), error, "nobody has a result");
    for late in [0, 2] {
        assert_eq!(job.everybody(late).barrier().await.unwrap_err(), error);
    }
    assert_eq!(began.elapsed().as_secs(), 3, "at once");
    // The next one meets.
    assert!(all((0..4).map(|rank| job.everybody(rank).barrier())).await.iter().all(Result::is_ok));
    job.cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn the_default_time_is_that_of_calls() {
    let job = Job::new(2).await;
    let began = Instant::now();
    assert_missing(&job.everybody(1).all_gather(1).await.unwrap_err(), &["worker0"]);
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_ends_it_as_soon_as_the_leader_is_there() {
    let job = Job::new(4).await;
    job.cluster.kill("worker2");
    let began = Instant::now();
    let early = job.everybody(1).all_gather(1);
    let leader = job.everybody(0).all_gather(0);
    for gathered in [leader, early] {
        let error = gathered.await.unwrap_err();
        assert!(
            matches!(cause(&error), IncompleteCause::Died { worker, .. } if &**worker == "worker2"),
            "{error}"
        );
        assert_missing(&error, &["worker2", "worker3"]);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "long before its time");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_dies_meanwhile_ends_it_too_but_not_after_it_has_come() {
    let job = Job::new(3).await;
    let waiting = [job.everybody(0).barrier(), job.everybody(1).barrier()];
    tokio::time::sleep(Duration::from_secs(5)).await;
    job.cluster.kill("worker2");
    for error in all(waiting).await {
        let error = error.unwrap_err();
        assert!(matches!(cause(&error), IncompleteCause::Died { .. }), "{error}");
        assert_missing(&error, &["worker2"]);
    }

    let job = Job::new(3).await;
    let (came, first) = (job.everybody(2).all_gather(2), job.everybody(0).all_gather(0));
    tokio::time::sleep(Duration::from_secs(5)).await; // its value is there
    job.cluster.kill("worker2");
    drop(came);
    let values = all([first, job.everybody(1).all_gather(1)]).await;
    assert!(values.iter().all(|values| values.as_ref().unwrap().len() == 3));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_left_or_serves_no_collectives_ends_it() {
    let job = Job::without(3, 2).await;
    let errors = all([job.everybody(0).barrier(), job.everybody(1).barrier()]).await;
    for error in errors.into_iter().map(Result::unwrap_err) {
        assert!(matches!(cause(&error), IncompleteCause::NotServed { .. }), "{error}");
        assert_missing(&error, &["worker2"]);
    }
    let agent = Arc::clone(job.cluster.agent("worker2"));
    agent.shutdown(Shutdown::Immediate).await.unwrap();
    let errors = all([job.everybody(0).barrier(), job.everybody(1).barrier()]).await;
    for error in errors.into_iter().map(Result::unwrap_err) {
        let is_gone =
            matches!(cause(&error), IncompleteCause::Departed { .. } | IncompleteCause::Died { .. });
        assert!(is_gone, "{error}");
        assert_missing(&error, &["worker2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_collectives_or_without_life_is_an_error_that_says_so() {
    let job = Job::without(2, 0).await;
    let error = job.everybody(1).barrier().await.unwrap_err();
    assert!(matches!(&error, CollectiveError::NotServed { leader, .. } if &**leader == "worker0"), "{error}");

    let job = Job::new(3).await;
    let waiting = job.everybody(1).all_gather(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    job.cluster.kill("worker0");
    let error = waiting.await.unwrap_err();
    let CollectiveError::LeaderLost { leader, others_may_have_it, .. } = &error else { panic!("{error}") };
    assert!(&**leader == "worker0" && *others_may_have_it, "{error}");
    let error = job.everybody(2).all_gather(1).await.unwrap_err();
    assert!(matches!(&error, CollectiveError::LeaderLost { others_may_have_it: false, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_silent_ends_it_for_others_by_their_own_time() {
    let job = Job::new(2).await;
    job.team(1, &[0, 1]).broadcast_call(square, (2,)).await; // there is a link
    job.cluster.network().add(Rule::hold().to(job.cluster.address("worker0")));
    let began = Instant::now();
    let error = job.everybody(1).with_timeout(Duration::from_secs(3)).barrier().await.unwrap_err();
    assert!(error.is_timeout() && matches!(error, CollectiveError::LeaderLost { .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), 5, "two more for the leader's own answer");
}

/// Gives up between its own coming and that of the last one.
#[tokio::test(start_paused = true)]
async fn the_others_are_told_who_has_given_up() {
    let job = Job::new(3).await;
    let began = Instant::now();
    let (waits, given_up) = (job.everybody(0).barrier(), job.everybody(1).barrier());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(given_up);
    let error = waits.await.unwrap_err();
    assert!(matches!(cause(&error), IncompleteCause::GaveUp { worker } if &**worker == "worker1"), "{error}");
    assert_missing(&error, &["worker2"]);
    assert_eq!(job.everybody(2).barrier().await.unwrap_err(), error);
    assert_eq!(began.elapsed().as_secs(), 1, "nobody has waited");
    job.cluster.assert_idle().await;
}

/// Its value cannot be written, so it takes no part; the others need not wait for it.
#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_encoded_is_a_giving_up() {
    #[derive(Deserialize, Debug)]
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("expected"))
        }
    }
    let job = Job::new(2).await;
    let waits = job.everybody(0).all_gather(1);
    let error = job.everybody(1).all_gather(Unwritable).await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Encode { .. }), "{error}");
    let error = waits.await.unwrap_err();
    assert!(matches!(cause(&error), IncompleteCause::GaveUp { worker } if &**worker == "worker1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn values_of_different_types_are_an_error_that_names_whose() {
    let job = Job::new(2).await;
    let (number, text) = (job.everybody(0).all_gather(1_u8), job.everybody(1).all_gather("text".to_owned()));
    let error = number.await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Decode { worker, .. } if &**worker == "worker1"), "{error}");
    let error = text.await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Decode { worker, .. } if &**worker == "worker0"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_made_up_for() {
    let job = Job::new(3).await;
    let early = [1, 2].map(|rank| tokio::spawn(job.everybody(rank).all_gather(rank)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        job.cluster.cut("worker0", "worker1");
        job.cluster.cut("worker0", "worker2");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let values = job.everybody(0).all_gather(0).await.unwrap();
    assert_eq!(values.values().copied().collect::<Vec<_>>(), [0, 1, 2]);
    for other in all(early).await {
        assert_eq!(other.unwrap().as_ref(), Ok(&values));
    }
    job.cluster.assert_idle().await;
}

/// The leader's answer is lost with its link, when the operation has ended well.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_known_to_be_one() {
    let job = Job::new(2).await;
    for (is_barrier, round) in [(true, 0), (false, 1)] {
        let held = job.cluster.network().add(Rule::hold().replies().to(job.cluster.address("worker1")));
        let (first, second) = (job.everybody(0), job.everybody(1));
        if is_barrier {
            let waits = second.barrier();
            first.barrier().await.unwrap();
            job.cluster.network().until_held(1).await;
            held.remove();
            job.cluster.cut("worker0", "worker1");
            waits.await.unwrap();
        } else {
            let waits = second.all_gather(round);
            first.all_gather(round).await.unwrap();
            job.cluster.network().until_held(1).await;
            held.remove();
            job.cluster.cut("worker0", "worker1");
            let error = waits.await.unwrap_err();
            assert!(matches!(error, CollectiveError::ResultLost { .. }), "{error}");
        }
    }
    job.cluster.assert_idle().await;
}

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
