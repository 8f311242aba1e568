//! Owners that are killed: their values are lost, and everybody who asks is told so.

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;

use crate::groups::rref::common::{
    LATE, Tally, all_gone, copy_of, leave_without, never, new_tally, not_made, owner_lost, reference_error,
    until,
};
use crate::groups::rref::lifecycle::{held, hold, let_go};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_killed::owner", 3, use_after).script(kill_when_held),
        Scenario::new("rref_killed::owner_in_use", 3, use_while).script(kill_in_use),
        Scenario::new("rref_killed::owner_before_creation", 3, create_after).script(kill_at_once),
        Scenario::new("rref_killed::owner_during_creation", 3, create_while).script(kill_while_it_creates),
        Scenario::new("rref_killed::owner_before_confirmation", 3, unconfirmed).script(kill_stopped),
    ]
}

/// Uses the reference in every way, more than once; each ends at once, with the owner's name.
pub(super) async fn is_lost(worker: &Worker, rref: &RRef<Tally>) -> Result<()> {
    let owner = rref.owner_name();
    for _ in 0..3 {
        owner_lost(rref.to_here().timeout(LATE).await, owner)?;
        owner_lost(rref.to_here().timeout(LATE).wait(), owner)?;
        owner_lost(rref.created().timeout(LATE).await, owner)?;
        owner_lost(rref.rpc_async().add(1).timeout(LATE).await, owner)?;
        owner_lost(rref.rpc_sync().get(), owner)?;
        owner_lost(rref.remote().get_later().map(|_| ()), owner)?;
        for info in worker.workers() {
            owner_lost(worker.rpc_async(info, copy_of, (rref.clone(),)).timeout(LATE).await, owner)?;
            owner_lost(worker.remote(info, copy_of, (rref.clone(),)).map(|_| ()), owner)?;
        }
        ensure!(!rref.confirmed_by_owner() && !rref.is_owner());
    }
    Ok(())
}

/// Rank 0 and 2 have references to values of worker1, for which nobody waits when it dies.
async fn use_after(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let rref = match part.rank {
        0 => {
            let rref = worker.remote("worker1", new_tally, (1,))?;
            rref.created().await?;
            worker.rpc_async("worker2", hold, (rref.clone(),)).await?;
            Some(rref)
        }
        2 => Some(held().await?),
        _ => None,
    };
    say("READY");
    part.told("KILLED").await?;
    let rref = rref.context("rank 1 is killed")?;
    is_lost(&worker, &rref).await?;
    say("LOST");
    part.told("LEAVE").await?;
    drop(rref);
    finish(&worker, &part).await
}

async fn kill_when_held(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    super::kill(stage, 1, &[0, 2], "LOST").await?;
    super::leave(stage, &[1]).await
}

/// Both wait for all kinds of answers when it dies.
async fn use_while(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let rref = match part.rank {
        0 => {
            let rref = worker.remote("worker1", new_tally, (1,))?;
            rref.created().await?;
            worker.rpc_async("worker2", hold, (rref.clone(),)).await?;
            rref
        }
        2 => held().await?,
        _ => std::future::pending().await,
    };
    let forever = worker.with_timeout(Duration::ZERO);
    let unmade = forever.remote("worker1", never, ())?;
    let (copy, created) =
        (unmade.to_here().timeout(Duration::ZERO), unmade.created().timeout(Duration::ZERO));
    let method = rref.rpc_async().hang().timeout(Duration::ZERO);
    let by_method = rref.remote().hang()?;
    let of_method = by_method.to_here().timeout(Duration::ZERO);
    say("READY");
    owner_lost(copy.await, "worker1")?;
    owner_lost(created.await, "worker1")?;
    owner_lost(method.await, "worker1")?;
    owner_lost(of_method.await, "worker1")?;
    part.told("KILLED").await?;
    is_lost(&worker, &rref).await?;
    is_lost(&worker, &unmade).await?;
    say("LOST");
    part.told("LEAVE").await?;
    drop((rref, unmade, by_method));
    finish(&worker, &part).await
}

async fn kill_in_use(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    for user in [0, 2] {
        stage.process(user)?.says("READY").await?;
    }
    // Three that hang for each of the two users.
    stage.process(1)?.says_times("RUNNING", 6).await?;
    super::kill(stage, 1, &[0, 2], "LOST").await?;
    super::leave(stage, &[1]).await
}

/// It is dead when it is asked; so it is the second and the third time.
async fn create_after(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    say("READY");
    part.told("KILLED").await?;
    for n in 0..3 {
        let rref = worker.remote("worker1", new_tally, (n,))?;
        owner_lost(rref.to_here().timeout(LATE).await, "worker1")?;
        is_lost(&worker, &rref).await?;
    }
    say("LOST");
    part.told("LEAVE").await?;
    finish(&worker, &part).await
}

async fn kill_at_once(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    super::kill(stage, 1, &[0, 2], "LOST").await?;
    super::leave(stage, &[1]).await
}

/// It dies while its function runs, and nobody asks for the value until later.
async fn create_while(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let unmade = (part.rank != 1).then(|| worker.remote("worker1", never, ())).transpose()?;
    part.told("KILLED").await?;
    let unmade = unmade.context("rank 1 is killed")?;
    // Until nobody answers at its address, all that is known is that the request was lost with its link.
    until("its owner is known to be gone", async || {
        let error = reference_error(unmade.to_here().timeout(LATE).await)?;
        ensure!(
            matches!(error, ReferenceError::OwnerLost { .. } | ReferenceError::NotCreated { .. }),
            "{error}"
        );
        Ok(matches!(error, ReferenceError::OwnerLost { .. }))
    })
    .await?;
    is_lost(&worker, &unmade).await?;
    say("LOST");
    part.told("LEAVE").await?;
    drop(unmade);
    finish(&worker, &part).await
}

async fn kill_while_it_creates(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(1)?.says_times("RUNNING", 2).await?;
    super::kill(stage, 1, &[0, 2], "LOST").await?;
    super::leave(stage, &[1]).await
}

/// It is stopped, and then dies, while worker2 waits to be told that it may begin.
async fn unconfirmed(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let rref = worker.remote("worker1", new_tally, (1,))?;
        rref.created().await?;
        say("READY");
        part.told("STOPPED").await?;
        let call = worker.rpc_async("worker2", copy_of, (rref.clone(),)).timeout(Duration::ZERO);
        let made = worker.remote("worker2", copy_of, (rref.clone(),))?;
        let value = made.to_here().timeout(Duration::ZERO);
        say("CALLED");
        owner_lost(call.await, "worker1")?;
        let error = not_made(value.await)?;
        ensure!(error.to_string().contains("worker1"), "{error}");
        drop(made);
        part.told("KILLED").await?;
        is_lost(&worker, &rref).await?;
        say("LOST");
    }
    part.told("LEAVE").await?;
    finish(&worker, &part).await
}

async fn kill_stopped(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let first = stage.process(0)?;
    first.says("READY").await?;
    stage.process(1)?.stop().await?;
    first.tell("STOPPED").await?;
    first.says("CALLED").await?;
    super::kill(stage, 1, &[0], "LOST").await?;
    super::leave(stage, &[1]).await
}

/// Rank 0 sees that nothing is left on the survivors; both leave.
async fn finish(worker: &Worker, part: &Part) -> Result<()> {
    if part.rank == 0 {
        worker.rpc_async("worker2", let_go, ()).await?;
        all_gone(worker, [0, 2]).await?;
    }
    leave_without(worker, &["worker1"]).await
}
