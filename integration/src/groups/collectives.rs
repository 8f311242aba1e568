//! What workers do together: values gathered, barriers, over all or some, and with members that do not come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::rpc_collectives::IncompleteCause;
use rpc::{CollectiveError, Shutdown, Team, TeamError, WorkerName};

const SHORT: Duration = Duration::from_millis(200);
/// Far above what anything here takes, and far below the default timeout.
const LATE: Duration = Duration::from_secs(20);

/// How many have come, on the worker that counts.
static CAME: AtomicU64 = AtomicU64::new(0);

#[rpc::function(inline)]
fn come() -> u64 {
    CAME.fetch_add(1, Ordering::SeqCst) + 1
}

#[rpc::function(inline)]
fn came() -> u64 {
    CAME.load(Ordering::SeqCst)
}

#[rpc::function(inline)]
fn odd_only(n: u32) -> Result<u32, String> {
    let rank = Worker::current().id().0;
    if rank % 2 == 1 { Ok(n * rank) } else { Err(format!("{rank} is even")) }
}

struct Tally(u64);

#[rpc::methods]
impl Tally {
    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("collectives::all_gather", 4, all_gather),
        Scenario::on_all("collectives::all_gather_references", 3, references),
        Scenario::on_all("collectives::all_gather_timeout", 3, timeout),
        Scenario::on_all("collectives::rpc_barrier_all", 4, barrier_all),
        Scenario::on_all("collectives::rpc_barrier_subset", 4, barrier_subset),
        Scenario::on_all("collectives::rpc_barrier_multithreaded", 3, barrier_multithreaded),
        Scenario::on_all("collectives::broadcast_call", 4, broadcast_call),
        Scenario::new("collectives::follower_killed", 3, survives).script(follower_killed),
        Scenario::new("collectives::follower_killed_while_leader_is_late", 3, survives)
            .script(leader_is_late),
        Scenario::new("collectives::leader_killed", 3, survives).script(leader_killed),
    ]
}

/// The names of workers `ranks`.
fn names(ranks: &[u32]) -> Vec<String> {
    ranks.iter().map(|rank| format!("worker{rank}")).collect()
}

fn team(worker: &Worker, ranks: &[u32]) -> Result<Team, TeamError> {
    worker.team(names(ranks).iter().map(String::as_str))
}

async fn all_gather(worker: &Worker) -> Result<()> {
    let me = worker.id().0;
    for round in 0..20 {
        let values = worker.all_gather((me, round)).await?;
        let expected: BTreeMap<_, _> =
            worker.workers().map(|info| (info.name.clone(), (info.id.0, round))).collect();
        ensure!(values == expected, "{values:?} in round {round}");
    }
    // Several at a time, of several teams, with more than fits beside a header.
    let large = |rank: u32| Tensor::from_vec(vec![rank as f32; 50_000], [50, 1_000]);
    let mut under_way = Vec::new();
    for ranks in [&[0, 1, 2, 3][..], &[1, 3], &[2, 1, 0], &[3]].iter().filter(|ranks| ranks.contains(&me)) {
        let team = team(worker, ranks)?;
        for _ in 0..3 {
            under_way.push((ranks.len(), team.all_gather(large(me)?)));
        }
    }
    for (members, gathered) in under_way {
        let values = gathered.await?;
        ensure!(values.len() == members);
        for (name, tensor) in values {
            let rank = worker.get_worker_info(&name)?.id.0;
            ensure!(tensor.shape() == [50, 1_000] && tensor.as_slice::<f32>()?[49_999] == rank as f32);
        }
    }
    Ok(())
}

/// References pass through the leader, which keeps none of them: the shutdown finds no leak.
async fn references(worker: &Worker) -> Result<()> {
    let own = RRef::new_opaque(worker, Tally(0));
    let tallies = worker.all_gather(own.clone()).await?;
    for (owner, tally) in &tallies {
        ensure!(tally.owner().name == *owner);
        tally.rpc_async().add(1).await?;
    }
    worker.barrier().await?;
    ensure!(own.rpc_async().add(0).await? == worker.world_size() as u64);
    drop((own, tallies));
    worker.barrier().await?;
    Ok(())
}

/// One does not come in time. All are told so in the same words, also those that come later.
async fn timeout(worker: &Worker) -> Result<()> {
    let everybody = worker.everybody()?;
    let began = Instant::now();
    if worker.id().0 == 2 {
        // When the others are done with it.
        worker.team(["worker1", "worker2"])?.barrier().await?;
    }
    let time = if worker.id().0 == 1 { SHORT } else { LATE };
    let error = everybody.with_timeout(time).all_gather(1).await.err().context("one is missing")?;
    let CollectiveError::Incomplete(incomplete) = &error else { bail!("{error}") };
    let IncompleteCause::TimedOut { worker: by, after } = &incomplete.cause else { bail!("{error}") };
    ensure!(&**by == "worker1" && *after == SHORT, "{error}");
    ensure!(error.missing().contains(&WorkerName::new("worker2")?), "{error}");
    ensure!(error.to_string().contains("worker2 had not come"), "{error}");
    ensure!(began.elapsed() < LATE);
    if worker.id().0 == 1 {
        worker.team(["worker1", "worker2"])?.barrier().await?;
    }
    // The next one is none the worse for it.
    ensure!(everybody.all_gather(2).await?.len() == 3);
    Ok(())
}

async fn barrier_all(worker: &Worker) -> Result<()> {
    let size = worker.world_size() as u64;
    for round in 1..=10 {
        worker.rpc_async("worker1", come, ()).await?;
        worker.barrier().await?;
        let here = worker.rpc_async("worker1", came, ()).await?;
        ensure!(here == round * size, "{here} have come, in round {round}");
        worker.barrier().await?;
    }
    Ok(())
}

/// Teams that overlap have nothing to do with each other, and who is in none is not waited for.
async fn barrier_subset(worker: &Worker) -> Result<()> {
    let me = worker.id().0;
    for ranks in [&[0, 1, 2][..], &[1, 2], &[2, 1, 0], &[0, 2]] {
        let team = team(worker, ranks)?;
        if team.is_member() {
            ensure!(ranks.contains(&me));
            team.barrier().await?;
        } else {
            let error = team.barrier().await.err().context("it is no member")?;
            ensure!(matches!(error, CollectiveError::NotAMember { .. }), "{error}");
        }
    }
    ensure!(team(worker, &[1, 1]).is_err() && worker.team(["nobody"]).is_err());
    Ok(())
}

/// Threads that run at the same time, and come in different orders on different workers.
async fn barrier_multithreaded(worker: &Worker) -> Result<()> {
    const THREADS: usize = 8;
    let mut threads = Vec::new();
    for n in 0..THREADS {
        let team =
            worker.everybody()?.tagged(&format!("thread {}", (n + worker.id().0 as usize) % THREADS))?;
        threads.push(std::thread::spawn(move || (0..10).try_for_each(|_| team.barrier().wait())));
    }
    for thread in threads {
        let passed = tokio::task::spawn_blocking(|| thread.join()).await?;
        passed.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(())
}

async fn broadcast_call(worker: &Worker) -> Result<()> {
    for results in
        [worker.broadcast_call(odd_only, (10,)).await, worker.broadcast_call(odd_only, (10,)).wait()]
    {
        let names: Vec<&str> = results.keys().map(WorkerName::as_str).collect();
        ensure!(names == ["worker0", "worker1", "worker2", "worker3"]);
        ensure!(results["worker1"] == Ok(10) && results["worker3"] == Ok(30));
        let error = results["worker2"].as_ref().err().context("2 is even")?;
        ensure!(matches!(error, CallError::Handler { error, .. } if error == "2 is even"), "{error}");
    }
    ensure!(team(worker, &[1, 3])?.broadcast_call(odd_only, (1,)).await.values().all(Result::is_ok));
    Ok(())
}

/// Waits for workers of which one is killed, and says what it was told.
async fn survives(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    worker.barrier().await?;
    say("READY");
    part.told("GATHER").await?;
    let gathered = worker.all_gather(part.rank);
    say("GATHERING");
    let error = gathered.await.err().context("one is dead")?;
    say(format_args!("TOLD {error}"));
    part.told("LEAVE").await?;
    worker.shutdown_with(Shutdown::Graceful { timeout: Some(LATE) }).await?;
    Ok(())
}

async fn follower_killed(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    for rank in [0, 1] {
        stage.process(rank)?.tell("GATHER").await?;
        stage.process(rank)?.says("GATHERING").await?;
    }
    stage.process(2)?.kill()?;
    for rank in [0, 1] {
        let told = stage.process(rank)?.says("TOLD").await?;
        ensure!(
            told.contains("worker2 cannot be reached") && told.contains("worker2 had not come"),
            "{told}"
        );
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 2).await
}

/// The leader's program comes when all is over. Its worker finds out who is dead, so that nobody waits for it to come.
async fn leader_is_late(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    stage.process(1)?.tell("GATHER").await?;
    stage.process(1)?.says("GATHERING").await?;
    stage.process(2)?.kill()?;
    let told = stage.process(1)?.says("TOLD").await?;
    ensure!(
        told.contains("worker2 cannot be reached") && told.contains("worker0, worker2 had not come"),
        "{told}"
    );
    stage.process(0)?.tell("GATHER").await?;
    let later = stage.process(0)?.says("TOLD").await?;
    ensure!(later == told, "{later} where the other was told {told}");
    for rank in [0, 1] {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 2).await
}

async fn leader_killed(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    for rank in [1, 2] {
        stage.process(rank)?.tell("GATHER").await?;
        stage.process(rank)?.says("GATHERING").await?;
    }
    stage.process(0)?.kill()?;
    for rank in [1, 2] {
        let told = stage.process(rank)?.says("TOLD").await?;
        ensure!(told.contains("its leader worker0 does not answer"), "{told}");
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 0).await
}
