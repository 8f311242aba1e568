//! Many references at once, until nothing is left of any.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;

use super::common::{LATE, Tally, after, all_gone, is_idle, leave_without, on_all, quiet_tally, until};

/// References of one round.
const MANY: i64 = 1_000;
/// How long rounds go on.
const LASTS: Duration = Duration::from_secs(2);

/// Reads some of what is sent here, and passes one in ten on.
#[rpc::function]
async fn take(rrefs: Vec<RRef<Tally>>, left: u32) -> Result<usize, String> {
    let worker = Worker::current();
    for rref in rrefs.iter().step_by(100) {
        rref.rpc_async().get().await.map_err(|error| error.to_string())?;
    }
    let passed: Vec<_> = rrefs.iter().step_by(10).cloned().collect();
    if left > 0 {
        worker
            .rpc_async(after(&worker, 1), take, (passed, left - 1))
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(rrefs.len())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_all("rref_stress::thousands_shared_by_all_and_dropped", 4, rounds).script(count_rounds),
        Scenario::new("rref_stress::a_user_dies_between", 4, rounds_with_a_death).script(kill_one),
    ]
}

/// References to new values of all workers.
fn made(worker: &Worker) -> Result<Vec<RRef<Tally>>> {
    let made: Result<Vec<_>, _> = (0..MANY)
        .map(|n| match n % 4 {
            0 => Ok(RRef::new(worker, Tally::quiet(n))),
            _ => worker.remote(after(worker, 1), quiet_tally, (n,)),
        })
        .collect();
    Ok(made?)
}

/// Each worker makes values, shares them with all others, and drops them, again and again.
async fn rounds(worker: &Worker) -> Result<()> {
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < LASTS {
        let rrefs = made(worker)?;
        let calls: Vec<_> = (0..worker.world_size() as i64)
            .map(|to| worker.rpc_async(to, take, (rrefs.clone(), 2)).timeout(LATE))
            .collect();
        drop(rrefs);
        for call in calls {
            ensure!(call.await? == MANY as usize);
        }
        rounds += 1;
    }
    say(format_args!("ROUNDS {rounds}"));
    Ok(())
}

async fn count_rounds(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let mut rounds = 0;
    for process in stage.processes() {
        rounds += process.says("ROUNDS").await?.parse::<i64>()?;
    }
    stage.note(format!("{} references", rounds * MANY));
    stage.all_succeed().await
}

/// Rank 3 dies somewhere in a round. The others lose what was on its way through it, and nothing else.
async fn rounds_with_a_death(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let mut rounds = 0;
    let mut told = false;
    while !told {
        let rrefs = made_without(&worker, 3)?;
        let calls: Vec<_> =
            (0..4).map(|to| (to, worker.rpc_async(to, take, (rrefs.clone(), 2)).timeout(LATE))).collect();
        drop(rrefs);
        for (to, call) in calls {
            match call.await {
                Ok(count) => ensure!(count == MANY as usize),
                // The chains of all go through worker3.
                Err(error) => ensure!(error.to_string().contains("worker3"), "at worker{to}: {error}"),
            }
        }
        rounds += 1;
        if rounds == 2 {
            say("BUSY");
        }
        told = part.is_told("KILLED")?;
    }
    until("nothing is left", async || Ok(is_idle(&worker))).await?;
    say("IDLE");
    part.told("LEAVE").await?;
    if part.rank == 0 {
        all_gone(&worker, 0..3).await?;
    }
    leave_without(&worker, &["worker3"]).await
}

/// As [`made`], of workers other than `not`.
fn made_without(worker: &Worker, not: i64) -> Result<Vec<RRef<Tally>>> {
    let next = Some(after(worker, 1)).filter(|next| *next != not).unwrap_or(0);
    let made: Result<Vec<_>, _> = (0..MANY).map(|n| worker.remote(next, quiet_tally, (n,))).collect();
    Ok(made?)
}

async fn kill_one(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("BUSY").await?;
    let doomed = stage.process(3).context("worker3")?;
    doomed.kill()?;
    doomed.ended().await?;
    for survivor in [0, 1, 2] {
        stage.process(survivor)?.tell("KILLED").await?;
    }
    for survivor in [0, 1, 2] {
        stage.process(survivor)?.says("IDLE").await?;
    }
    for survivor in [0, 1, 2] {
        stage.process(survivor)?.tell("LEAVE").await?;
    }
    stage.these_succeed(|at| at != 3).await
}
