//! Links that are lost on the way.

use std::fmt::Debug;
use std::time::Duration;

use rpc_collectives::{Collective, CollectiveError, IncompleteCause};
use rpc_testing::Rule;

use crate::common::{Job, all, cause};

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

/// The leader's answer to worker1 is lost with its link, when the operation has ended well for itself.
async fn lose_the_answer<T>(
    job: &Job,
    first: Collective<T>,
    second: Collective<T>,
) -> Result<T, CollectiveError>
where
    T: PartialEq + Debug + Send + 'static,
{
    let second = tokio::spawn(second);
    let held = job.cluster.network().add(Rule::hold().replies().to(job.cluster.address("worker1")));
    first.await.expect("nothing of its own is lost");
    job.cluster.network().until_held(1).await;
    held.remove();
    job.cluster.cut("worker0", "worker1");
    second.await.expect("it does not panic")
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_given_again_or_known_to_be_lost() {
    let job = Job::new(2).await;
    let (first, second) = (job.everybody(0), job.everybody(1));
    lose_the_answer(&job, first.barrier(), second.barrier()).await.unwrap();
    let small = lose_the_answer(&job, first.all_gather(1), second.all_gather(2)).await.unwrap();
    assert_eq!(small.into_values().collect::<Vec<_>>(), [1, 2]);
    let large = || vec![7_u8; 100_000];
    let error =
        lose_the_answer(&job, first.all_gather(large()), second.all_gather(large())).await.unwrap_err();
    assert!(matches!(error, CollectiveError::ResultLost { .. }), "{error}");
    job.cluster.assert_idle().await;
}

/// Links come and go while many operations are under way, and some members give up. Whoever gets values gets those of all
/// members, of the operation in question, and whoever does not is told why.
#[tokio::test(start_paused = true)]
async fn in_a_storm_nobody_gets_some_of_the_values() {
    for seed in 0..20 {
        let job = Job::new(4).await;
        let mut dice = Dice(seed);
        let mut under_way = Vec::new();
        for round in 0..30_u64 {
            for rank in 0..4 {
                let gathered = job.everybody(rank).all_gather((rank, round));
                match dice.roll(50) {
                    0 => drop(gathered),
                    _ => under_way.push((round, tokio::spawn(gathered))),
                }
            }
            let (a, b) = (dice.roll(4) as i64, dice.roll(4) as i64);
            if dice.roll(3) == 0 && a != b {
                job.cluster.cut(a, b);
            }
            tokio::time::sleep(Duration::from_millis(dice.roll(3))).await;
        }
        let (mut whole, mut given_up) = (0, 0);
        for (round, gathered) in under_way {
            match gathered.await.unwrap() {
                Ok(values) => {
                    let values: Vec<(usize, u64)> = values.into_values().collect();
                    assert_eq!(values, (0..4).map(|rank| (rank, round)).collect::<Vec<_>>());
                    whole += 1;
                }
                Err(error) => {
                    assert!(matches!(cause(&error), IncompleteCause::GaveUp { .. }), "{error}");
                    given_up += 1;
                }
            }
        }
        assert!(whole > 40 && given_up < 60, "{whole} and {given_up}, seed {seed}");
        job.cluster.assert_idle().await;
    }
}

/// Numbers that are the same for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
