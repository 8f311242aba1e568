//! Operations that end well: values of all kinds, many teams at a time.

use std::sync::Arc;
use std::time::Duration;

use rpc_collectives::CollectiveError;
use rpc_core::{CallScope, Client, Codec, CodecError, Codecs, FunctionTable, Host, JSON, Json, Read, Tensor};
use rpc_rref::{RRef, Registry};

use crate::common::{Job, all};

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

/// A codec that only some members have is no business of the leader's.
#[derive(Debug)]
struct Reversed;

impl Codec for Reversed {
    fn id(&self) -> u8 {
        64
    }

    fn name(&self) -> &str {
        "reversed"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Json.encode(value, out)?;
        out.reverse();
        Ok(())
    }

    fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
        let bytes: Vec<u8> = bytes.iter().rev().copied().collect();
        Json.decode(&bytes, read)
    }
}

#[tokio::test(start_paused = true)]
async fn values_travel_in_the_codecs_of_their_givers() {
    let job = Job::new(3).await;
    let value = |rank: usize| (rank, Tensor::from_vec(vec![rank as f32; 4], [4]).unwrap());
    // For one operation, and for all of a worker.
    let json = CallScope::new().codec(JSON).run(|| job.everybody(2).all_gather(value(2)));
    let codecs = Codecs::default().with_default(Arc::new(Reversed));
    let client = Client::new(Arc::clone(job.cluster.agent(1)), Arc::new(codecs));
    let reversed = job.collectives[1].as_ref().unwrap().everybody(&client).all_gather(value(1));
    let error = job.everybody(0).all_gather(value(0)).await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Decode { worker, .. } if &**worker == "worker1"), "{error}");
    assert!(error.to_string().contains("codec 64"), "{error}");
    assert!(json.await.is_err(), "nor has this one that codec");
    assert_eq!(reversed.await.unwrap()["worker2"], value(2));
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
async fn values_of_different_types_are_an_error_that_names_whose() {
    let job = Job::new(2).await;
    let (number, text) = (job.everybody(0).all_gather(1_u8), job.everybody(1).all_gather("text".to_owned()));
    let error = number.await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Decode { worker, .. } if &**worker == "worker1"), "{error}");
    let error = text.await.unwrap_err();
    assert!(matches!(&error, CollectiveError::Decode { worker, .. } if &**worker == "worker0"), "{error}");
}
