//! Workers that leave with references: what is on its way is drained, what is left is let go, and what is kept
//! is of no use afterwards, and says so.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::Shutdown;
use rpc::prelude::*;

use super::common::{
    LATE, Tally, after, all_gone, copy_of, is_idle, live_tallies, new_tally, owner_lost, reference_error,
    sum_of, until,
};
use super::lifecycle::{held, hold};

/// Copies that [`read_later`] has got in this process.
static READ: AtomicU64 = AtomicU64::new(0);

/// Passes the reference on `left` times, then reads it.
#[rpc::function]
async fn read_later(rref: RRef<Tally>, left: u32) -> Result<(), CallError> {
    let worker = Worker::current();
    if left > 0 {
        // Nobody waits for it but the shutdown.
        drop(worker.rpc_async(after(&worker, 1), read_later, (rref, left - 1)));
        return Ok(());
    }
    rref.to_here().await?;
    READ.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_leaving::use_rref_after_shutdown", 2, use_after_shutdown),
        Scenario::new("rref_leaving::shutdown_with_live_references", 3, live_references),
        Scenario::new("rref_leaving::shutdown_with_references_in_flight", 3, in_flight),
        Scenario::new("rref_leaving::reinit", 3, reinit),
        Scenario::new("rref_leaving::user_leaves_alone", 3, leaves_alone).script(user_first),
        Scenario::new("rref_leaving::owner_leaves_alone", 3, leaves_alone).script(owner_first),
        Scenario::new("rref_leaving::references_outlive_the_worker", 2, outlive_the_worker),
    ]
}

/// Leaves together with all others, with references that are still held.
async fn leave_with_references(worker: &Worker) -> Result<()> {
    let report = worker.shutdown_with(Shutdown::Graceful { timeout: Some(LATE) }).await?;
    ensure!(report.lost.is_empty(), "lost on the way: {:?}", report.lost);
    ensure!(report.leaked() > 0, "who is left with references is told so");
    Ok(())
}

/// Checks that nothing can be done with `rref` any more, nor with its worker, and that each attempt says so.
async fn is_over(rref: &RRef<Tally>) -> Result<()> {
    for _ in 0..2 {
        let mut errors = vec![
            reference_error(rref.to_here().await)?,
            reference_error(rref.to_here().wait())?,
            reference_error(rref.created().await)?,
            reference_error(rref.rpc_async().get().await)?,
            reference_error(rref.rpc_sync().add(1))?,
            reference_error(rref.remote().get().map(|_| ()))?,
        ];
        errors.extend(rref.local_value().await.err());
        errors.extend(rref.local_value_mut().wait().err());
        ensure!(errors.len() == 8, "its value cannot be borrowed any more");
        for error in errors {
            let expected = matches!(
                error,
                ReferenceError::ShutDown { .. }
                    | ReferenceError::Foreign { .. }
                    | ReferenceError::NotOwner { .. }
            );
            ensure!(expected, "{error}");
        }
        ensure!(!rref.confirmed_by_owner());
    }
    ensure!(!rref.owner_name().is_empty() && rref.clone() == *rref, "what was known is still known");
    Ok(())
}

async fn use_after_shutdown(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let rrefs = [worker.remote(after(&worker, 1), new_tally, (1,))?, RRef::new(&worker, Tally::new(2))];
    let waiting = worker.remote(after(&worker, 1), new_tally, (1,))?;
    waiting.created().await?;
    leave_with_references(&worker).await?;
    for rref in &rrefs {
        is_over(rref).await?;
        ensure!(worker.rpc_async("worker0", copy_of, (rref.clone(),)).await.is_err());
    }
    ensure!(worker.remote("worker0", new_tally, (1,)).is_err());
    until("the values are dropped", async || Ok(live_tallies() == 0)).await
}

/// All hold on to each other's values, and none lets go before the end.
async fn live_references(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let mut kept = vec![RRef::new(&worker, Tally::new(0))];
    for to in 0..3 {
        let rref = worker.remote(to, new_tally, (to,))?;
        for holder in 0..3 {
            worker.rpc_async(holder, hold, (rref.clone(),)).await?;
        }
        kept.push(rref);
    }
    leave_with_references(&worker).await?;
    until("the values are dropped", async || Ok(live_tallies() == 0)).await?;
    for rref in &kept {
        is_over(rref).await?;
    }
    Ok(())
}

/// References are on their way in calls that nobody waits for, and are passed on while all are leaving.
async fn in_flight(part: Part) -> Result<()> {
    const VALUES: i64 = 50;
    const STEPS: u32 = 6;
    let worker = part.init().await?;
    for n in 0..VALUES {
        let rref = worker.remote(after(&worker, 1), new_tally, (n,))?;
        drop(worker.rpc_async(after(&worker, 2), read_later, (rref, STEPS)));
        drop(worker.remote(after(&worker, 2), new_tally, (n,))?);
    }
    leave(&worker).await?;
    let read = READ.load(Ordering::SeqCst);
    // The chains of all three are equally long, so each of them ends at another worker.
    ensure!(read == VALUES as u64, "{read} of {VALUES} values were read");
    until("the values are dropped", async || Ok(live_tallies() == 0)).await
}

/// Workers follow each other in one process. References of earlier ones stay what they are, of no use, and
/// do no harm to later ones, whose values have the same numbers.
async fn reinit(part: Part) -> Result<()> {
    let mut old: Vec<RRef<Tally>> = Vec::new();
    for round in 0..3 {
        let worker = part.init().await?;
        let mut new = Vec::new();
        for to in 0..3 {
            let rref = worker.remote(to, new_tally, (round,))?;
            ensure!(rref.to_here().await?.n == round);
            ensure!(rref.rpc_async().add(1).await? == round + 1);
            ensure!(worker.rpc_async(after(&worker, 1), copy_of, (rref.clone(),)).await? == round + 1);
            for rref in &old {
                is_over(rref).await?;
                for to in 0..3 {
                    reference_error(worker.rpc_async(to, copy_of, (rref.clone(),)).await)?;
                    reference_error(worker.remote(to, copy_of, (rref.clone(),)).map(|_| ()))?;
                }
            }
            // Half of the old ones go now.
            old.truncate(old.len() / 2);
            ensure!(rref.to_here().await?.n == round + 1, "others were dropped, not this one");
            new.push(rref);
        }
        leave_with_references(&worker).await?;
        old.append(&mut new);
    }
    for rref in &old {
        is_over(rref).await?;
    }
    until("the values are dropped", async || Ok(live_tallies() == 0)).await
}

/// Rank 1 has a value that rank 2 uses; one of the two leaves while the other and rank 0 go on.
async fn leaves_alone(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let rref = match part.rank {
        0 => None,
        1 => {
            let own = RRef::new(&worker, Tally::new(1));
            worker.rpc_async("worker2", hold, (own.clone(),)).await?;
            Some(own)
        }
        _ => {
            let rref = held().await?;
            rref.rpc_async().add(1).await?;
            Some(rref)
        }
    };
    say("READY");
    match part.rank {
        0 => {}
        rank => {
            let word = if rank == 1 { "OWNER" } else { "USER" };
            let first = std::env::var("FIRST").unwrap_or_default() == word;
            part.told("GO").await?;
            let rref = rref.context("rank 1 and 2 have one")?;
            if first {
                worker.shutdown_with(Shutdown::Immediate).await?;
                is_over(&rref).await?;
                drop(rref);
                until("the value is dropped", async || Ok(live_tallies() == 0)).await?;
                say("LEFT");
                return Ok(());
            }
            if rank == 1 {
                drop(rref);
                until("the value is dropped", async || Ok(live_tallies() == 0)).await?;
            } else {
                for _ in 0..3 {
                    owner_lost(rref.to_here().timeout(LATE).await, "worker1")?;
                    owner_lost(rref.rpc_async().get().timeout(LATE).await, "worker1")?;
                    owner_lost(worker.rpc_async("worker0", copy_of, (rref.clone(),)).await, "worker1")?;
                }
                drop(rref);
            }
            until("nothing is left", async || Ok(is_idle(&worker))).await?;
            say("DONE");
        }
    }
    part.told("LEAVE").await?;
    ensure!(worker.remote(worker.id(), sum_of, (1, 2, 3))?.to_here().await? == 6);
    if part.rank == 0 {
        let other = if std::env::var("FIRST").is_ok_and(|first| first == "OWNER") { 2 } else { 1 };
        all_gone(&worker, [0, other]).await?;
    }
    // Whether one that left alone is missed depends on who knows of it.
    worker.shutdown_with(Shutdown::Graceful { timeout: Some(LATE) }).await?;
    Ok(())
}

async fn user_first(stage: &mut Stage) -> Result<()> {
    one_first(stage, "USER", 2, 1).await
}

async fn owner_first(stage: &mut Stage) -> Result<()> {
    one_first(stage, "OWNER", 1, 2).await
}

async fn one_first(stage: &mut Stage, first: &str, leaves: usize, stays: usize) -> Result<()> {
    for rank in 0..stage.world_size() {
        let mut command = stage.launched(rank).await?;
        stage.spawn(rank, command.env("FIRST", first))?;
    }
    stage.all_say("READY").await?;
    stage.process(leaves)?.tell("GO").await?;
    stage.process(leaves)?.says("LEFT").await?;
    stage.process(stays)?.tell("GO").await?;
    stage.process(stays)?.says("DONE").await?;
    for rank in [0, stays] {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.all_succeed().await
}

/// The last handle to a worker goes while references of its live, in other threads too.
async fn outlive_the_worker(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let rrefs = [worker.remote(after(&worker, 1), new_tally, (1,))?, RRef::new(&worker, Tally::new(2))];
    rrefs[0].created().await?;
    leave_with_references(&worker).await?;
    drop(worker);
    for rref in &rrefs {
        is_over(rref).await?;
    }
    let thread = std::thread::spawn(move || drop(rrefs));
    ensure!(thread.join().is_ok(), "dropping does nothing");
    until("the values are dropped", async || Ok(live_tallies() == 0)).await
}
