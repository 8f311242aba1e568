//! Members that come late, or not at all.

use std::sync::Arc;
use std::time::Duration;

use rpc_collectives::{CollectiveError, IncompleteCause};
use rpc_core::{CallContext, Shutdown, WorkerId, WorkerName};
use rpc_testing::Rule;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::common::{Job, all, assert_missing, cause, square};

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

/// Because worker 2 is dead.
fn assert_killed_2(error: &CollectiveError) {
    let is_so = matches!(cause(error), IncompleteCause::Died { worker, .. } if &**worker == "worker2");
    assert!(is_so, "{error}");
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
        assert_killed_2(&error);
        assert_missing(&error, &["worker2", "worker3"]);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "long before its time");
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_ends_it_though_the_leader_has_not_come() {
    let job = Job::new(4).await;
    let began = Instant::now();
    let early = job.everybody(1).barrier();
    tokio::time::sleep(Duration::from_secs(1)).await; // of the paused clock: it is at the leader's worker
    job.cluster.kill("worker2");
    let error = early.await.unwrap_err();
    assert_killed_2(&error);
    assert_missing(&error, &["worker0", "worker2", "worker3"]);
    assert!(began.elapsed() < Duration::from_secs(20), "long before its time");
    for late in [3, 0] {
        assert_eq!(job.everybody(late).barrier().await.unwrap_err(), error);
    }
}

/// The first one that waits looks for the missing; when its request ends with its worker, the next one does.
#[tokio::test(start_paused = true)]
async fn a_death_is_noticed_also_when_who_looked_for_it_is_dead_itself() {
    let job = Job::new(4).await;
    let began = Instant::now();
    let first = job.everybody(1).barrier();
    tokio::time::sleep(Duration::from_secs(1)).await; // it looks
    let second = job.everybody(3).barrier();
    tokio::time::sleep(Duration::from_secs(1)).await;
    job.cluster.kill("worker1");
    tokio::time::sleep(Duration::from_secs(1)).await; // it has come, so that this ends nothing
    job.cluster.kill("worker2");
    let error = second.await.unwrap_err();
    assert_killed_2(&error);
    assert_missing(&error, &["worker0", "worker2"]);
    assert!(began.elapsed() < Duration::from_secs(20), "long before its time");
    drop(first);
}

/// The leader remembers so many failures; its own program has been there all the same.
#[tokio::test(start_paused = true)]
async fn who_comes_when_the_end_is_forgotten_is_told_that_the_leader_is_past_it() {
    let job = Job::new(2).await;
    for _ in 0..100 {
        drop(job.everybody(0).barrier());
    }
    tokio::time::sleep(Duration::from_secs(1)).await; // it has heard of itself
    let began = Instant::now();
    let error = job.everybody(1).barrier().await.unwrap_err();
    assert!(matches!(cause(&error), IncompleteCause::GaveUp { worker } if &**worker == "worker0"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1), "long before its time");
    job.cluster.assert_idle().await;
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

/// Their time is that of the handler, less what the leader needs to say who is missing.
#[tokio::test(start_paused = true)]
async fn in_a_handler_it_ends_before_the_handler_does() {
    let job = Job::new(3).await; // worker2 does not come
    let team = job.everybody(1);
    let handler = CallContext::new(WorkerId(0), Some(Duration::from_secs(10)));
    let error = handler.run(|| team.barrier()).await.unwrap_err();
    let IncompleteCause::TimedOut { after, .. } = cause(&error) else { panic!("{error}") };
    assert_eq!(*after, Duration::from_secs(9));

    // The others hear of one whose handler is cancelled, though what the handler calls is cancelled with it.
    let handler = CallContext::new(WorkerId(0), None);
    let (waits, doomed) = (job.everybody(0).all_gather(1), handler.run(|| team.all_gather(2)));
    handler.cancel();
    handler.run(|| drop(doomed));
    let error = waits.await.unwrap_err();
    assert!(matches!(cause(&error), IncompleteCause::GaveUp { worker } if &**worker == "worker1"), "{error}");
}
