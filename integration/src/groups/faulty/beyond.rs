//! What torch's agent cannot do to messages: lose answers, repeat, reorder, end links, part workers, end processes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc_testing::{Fault, Faults, Message};

use super::{SEED, SHORT, anywhere, finish, once, start, under};
use crate::groups::rref::common::{
    LATE, Tally, copy_of, is_confirmed, leave_without, new_tally, owner_lost, sum_of, until,
};

/// How often [`count`] has run in this process.
static RUNS: AtomicI64 = AtomicI64::new(0);

#[rpc::function(inline)]
fn count() -> i64 {
    RUNS.fetch_add(1, Ordering::SeqCst) + 1
}

/// Holds a value of this worker's, and gives a reference to it.
#[rpc::function]
async fn tally_here(n: i64) -> RRef<Tally> {
    RRef::new(&Worker::current(), Tally::new(n))
}

/// Has the next worker read what is behind the reference, and that one the next, so many times.
#[rpc::function]
async fn read_far_away(tally: RRef<Tally>, steps: u32) -> Result<i64, String> {
    let worker = Worker::current();
    let error = |error: CallError| error.to_string();
    if steps == 0 {
        return Ok(tally.to_here().await.map_err(error)?.n);
    }
    let next = i64::from(worker.id().0 + 1) % worker.world_size() as i64;
    let far = worker.rpc_async(next, read_far_away, (tally, steps - 1)).await;
    far.map_err(|error| error.to_string())
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        once("faulty::answers_with_references_lost", 2, losing_answers, answers_lost),
        once("faulty::request_served_twice", 2, repeating, served_twice),
        under("faulty::references_late_and_overtaken", 4, jumbled, far_readers),
        under("faulty::links_end_among_references", 3, cutting, among_cuts),
        Scenario::new("faulty::parted_and_healed", 2, parted).script(part_and_heal),
        anywhere(Scenario::new("faulty::process_ends_at_a_message", 3, survives).script(one_ends)),
    ]
}

fn losing_answers(rank: u32) -> Vec<Fault> {
    if rank == 0 { vec![Fault::drop().replies().function(tally_here).first(2)] } else { Vec::new() }
}

/// Nobody ever gets the reference, so the value goes.
async fn answers_lost(worker: &Worker) -> Result<()> {
    for _ in 0..2 {
        let Err(error) = worker.rpc_async("worker1", tally_here, (1,)).timeout(SHORT).await else {
            bail!("the answer was lost")
        };
        ensure!(error.is_timeout(), "{error}");
    }
    let kept = worker.rpc_async("worker1", tally_here, (1,)).await?;
    ensure!(kept.to_here().await?.n == 1);
    Ok(())
}

fn repeating(rank: u32) -> Vec<Fault> {
    match rank {
        1 => vec![
            Fault::duplicate().function(count).nth(2),
            // Batches of the control stream have numbers, and are taken once.
            Fault::duplicate().on(Message::References),
        ],
        0 => vec![Fault::duplicate().replies()],
        _ => Vec::new(),
    }
}

async fn served_twice(worker: &Worker) -> Result<()> {
    for runs in [1, 3, 4] {
        ensure!(worker.rpc_async("worker1", count, ()).await? == runs, "{runs}");
    }
    for n in 0..10 {
        let value = worker.remote("worker1", new_tally, (n,))?;
        ensure!(worker.rpc_async("worker1", copy_of, (value,)).await? == n);
    }
    Ok(())
}

/// Every message about references, in any order that the link allows.
fn jumbled(_: u32) -> Vec<Fault> {
    let at_most = Duration::from_millis(5);
    vec![
        Fault::delay_between(Duration::ZERO, at_most).on(Message::References),
        Fault::reorder().on(Message::Call).function(read_far_away).first(1),
        Fault::delay_between(Duration::ZERO, at_most)
            .replies()
            .on(Message::Call)
            .function(read_far_away)
            .probability(0.5),
    ]
}

async fn far_readers(worker: &Worker) -> Result<()> {
    for n in 0..4 {
        let value = worker.remote(n, new_tally, (n,))?;
        let readers: Vec<_> =
            (0..4).map(|to| worker.rpc_async(to, read_far_away, (value.clone(), 3))).collect();
        drop(value);
        for reader in readers {
            ensure!(reader.timeout(LATE).await? == n);
        }
    }
    Ok(())
}

/// Worker1's links end when it is told about references, and when it is asked for one.
fn cutting(rank: u32) -> Vec<Fault> {
    match rank {
        1 => vec![
            Fault::cut().on(Message::References).from("worker0").first(2),
            Fault::cut().on(Message::Fetch).from("worker2").first(2),
        ],
        _ => Vec::new(),
    }
}

/// What was under way fails; what was made stays, and nothing leaks.
async fn among_cuts(worker: &Worker) -> Result<()> {
    let kept = worker.remote("worker1", new_tally, (1,))?;
    // Until then a link that ends takes the answer to its creation along, and so the reference.
    is_confirmed(&kept).await?;
    for n in 0..4 {
        let value = worker.remote("worker1", new_tally, (n,))?;
        // Lost with its link, or read.
        let passed = worker.rpc_async("worker2", copy_of, (value.clone(),)).timeout(LATE).await;
        ensure!(passed.as_ref().ok().is_none_or(|read| *read == n), "{passed:?}");
        drop(value.to_here().timeout(LATE).await);
    }
    let read = async || Ok(worker.rpc_async("worker2", copy_of, (kept.clone(),)).await == Ok(1));
    until("what is left can be read", read).await
}

/// From the first call on the two are apart, as worker1 sees it.
async fn parted(mut part: Part) -> Result<()> {
    let faults = Faults::seeded(SEED);
    let parting = (part.rank == 1).then(|| faults.add(Fault::partition().function(sum_of).first(1)));
    let worker = start(&part, &faults).await?;
    match parting {
        Some(parting) => {
            parting.until_fired(1).await;
            say("PARTED");
            part.told("HEAL").await?;
            faults.heal();
        }
        None => {
            let held = worker.rpc_async("worker1", sum_of, (1, 2, 3));
            part.told("PARTED").await?;
            let Err(error) = worker.rpc_async("worker1", sum_of, (1, 2, 3)).timeout(SHORT).await else {
                bail!("they are apart")
            };
            ensure!(error.is_timeout() && !held.is_done(), "{error}");
            say("APART");
            ensure!(held.await? == 6, "it arrives when they are healed");
        }
    }
    finish(&worker, &faults).await
}

async fn part_and_heal(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(1)?.says("PARTED").await?;
    stage.process(0)?.tell("PARTED").await?;
    stage.process(0)?.says("APART").await?;
    stage.process(1)?.tell("HEAL").await?;
    stage.all_succeed().await
}

/// Worker1's process ends at the second value that it is to make.
async fn survives(part: Part) -> Result<()> {
    let faults = Faults::seeded(SEED);
    if part.rank == 1 {
        faults.add(Fault::abort().on(Message::Create).from("worker0").nth(2));
    }
    let worker = start(&part, &faults).await?;
    if part.rank == 0 {
        let first = worker.remote("worker1", new_tally, (1,))?;
        ensure!(first.to_here().await?.n == 1);
        let second = worker.remote("worker1", new_tally, (2,))?;
        let Err(error) = second.to_here().timeout(LATE).await else { bail!("its process has ended") };
        ensure!(error.failure().is_some(), "{error}");
        until("the owner is known to be gone", async || {
            Ok(owner_lost(first.to_here().await, "worker1").is_ok())
        })
        .await?;
        ensure!(worker.rpc_async("worker2", sum_of, (1, 2, 3)).await? == 6);
    }
    leave_without(&worker, &["worker1"]).await
}

async fn one_ends(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let ended = stage.process(1)?.ended().await.context("worker1")?;
    ensure!(!ended.success(), "it ends by itself");
    stage.these_succeed(|at| at != 1).await
}
