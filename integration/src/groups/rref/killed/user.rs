//! Users that are killed: the owner takes back what they held, and goes on.

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;

use crate::groups::rref::common::{
    LATE, Tally, all_gone, copy_of, is_idle, leave_without, live_tallies, never, new_tally, not_made, until,
};
use crate::groups::rref::lifecycle::{held, hold, let_go};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_killed::user", 3, only_user).script(kill_user),
        Scenario::new("rref_killed::one_of_two_users", 3, one_of_two).script(kill_one_of_two),
        Scenario::new("rref_killed::user_in_a_method", 3, in_a_method).script(kill_in_a_method),
        Scenario::new("rref_killed::creator_of_a_shared_value", 3, creator).script(kill_creator),
        Scenario::new("rref_killed::creator_while_the_function_runs", 3, creating).script(kill_creator),
        Scenario::new("rref_killed::two_users_at_once", 4, two_of_three).script(kill_two),
    ]
}

/// Rank 2 has 50 values of worker1 made, and dies. Its handles are all that there are.
async fn only_user(mut part: Part) -> Result<()> {
    const VALUES: i64 = 50;
    let worker = part.init().await?;
    if part.rank == 2 {
        let made: Result<Vec<_>, _> =
            (0..VALUES).map(|n| worker.remote("worker1", new_tally, (n,))).collect();
        for rref in &made? {
            rref.created().await?;
            worker.rpc_async("worker0", hold, (rref.clone(),)).await?;
        }
        worker.rpc_async("worker0", let_go, ()).await?;
        worker.rpc_async("worker0", hold, (RRef::new(&worker, Tally::new(0)),)).await?;
        say("READY");
        return std::future::pending().await;
    }
    part.told("KILLED").await?;
    if part.rank == 1 {
        until("all values are dropped", async || Ok(live_tallies() == 0 && is_idle(&worker))).await?;
        say("RECLAIMED");
    }
    part.told("LEAVE").await?;
    if part.rank == 0 {
        worker.rpc_async("worker0", let_go, ()).await?;
        all_gone(&worker, [0, 1]).await?;
    }
    leave_without(&worker, &["worker2"]).await
}

async fn kill_user(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(2)?.says("READY").await?;
    stage.process(0)?.tell("KILLED").await?;
    super::kill(stage, 2, &[1], "RECLAIMED").await?;
    super::leave(stage, &[2]).await
}

/// Rank 0 holds on to the value of worker1 that rank 2 has died with, and then lets it go.
async fn one_of_two(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let rref = worker.remote("worker1", new_tally, (1,))?;
            worker.rpc_async("worker2", hold, (rref.clone(),)).await?;
            say("READY");
            part.told("KILLED").await?;
            // Until the owner has noticed, and for as long as that takes, there is no other answer.
            for n in 2..200 {
                ensure!(rref.rpc_async().add(1).await? == n);
            }
            ensure!(worker.rpc_async("worker1", copy_of, (rref.clone(),)).await? == 199);
            say("USED");
            part.told("LEAVE").await?;
            ensure!(worker.rpc_async("worker1", live_tallies, ()).await? == 1);
            drop(rref);
            all_gone(&worker, [0, 1]).await?;
        }
        1 => part.told("LEAVE").await?,
        _ => std::future::pending().await,
    }
    leave_without(&worker, &["worker2"]).await
}

async fn kill_one_of_two(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.says("READY").await?;
    super::kill(stage, 2, &[0], "USED").await?;
    super::leave(stage, &[2]).await
}

/// Rank 2 dies in a method that has the value for itself: others get their turn.
async fn in_a_method(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let own = RRef::new(&worker, Tally::new(1));
            let there = worker.remote("worker1", new_tally, (1,))?;
            worker.rpc_async("worker2", hold, (own.clone(),)).await?;
            worker.rpc_async("worker2", hold, (there.clone(),)).await?;
            part.told("HANGS").await?;
            let waiting = [own.rpc_async().add(1), there.rpc_async().add(1)];
            say("READY");
            for call in waiting {
                ensure!(call.timeout(LATE).await? == 2);
            }
            part.told("KILLED").await?;
            say("FREE");
            drop((own, there));
            part.told("LEAVE").await?;
            all_gone(&worker, [0, 1]).await?;
        }
        1 => part.told("LEAVE").await?,
        _ => {
            let (first, second) = (held().await?, held().await?);
            let forever = Duration::ZERO;
            let calls = (
                first.rpc_async().hang_alone().timeout(forever),
                second.rpc_async().hang_alone().timeout(forever),
            );
            calls.0.await?;
            calls.1.await?;
        }
    }
    leave_without(&worker, &["worker2"]).await
}

async fn kill_in_a_method(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    for owner in [0, 1] {
        stage.process(owner)?.says("RUNNING").await?;
    }
    stage.process(0)?.tell("HANGS").await?;
    stage.process(0)?.says("READY").await?;
    super::kill(stage, 2, &[0], "FREE").await?;
    super::leave(stage, &[2]).await
}

/// Rank 2 has worker1 make a value, gives it to rank 0, and dies. It is rank 0's now.
async fn creator(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let rref = held().await?;
            part.told("KILLED").await?;
            ensure!(rref.rpc_async().add(1).timeout(LATE).await? == 2);
            ensure!(rref.to_here().await?.n == 2);
            ensure!(worker.rpc_async("worker1", copy_of, (rref.clone(),)).await? == 2);
            say("USED");
            part.told("LEAVE").await?;
            drop(rref);
            worker.rpc_async("worker0", let_go, ()).await?;
            all_gone(&worker, [0, 1]).await?;
        }
        1 => part.told("LEAVE").await?,
        _ => {
            let rref = worker.remote("worker1", new_tally, (1,))?;
            rref.created().await?;
            worker.rpc_async("worker0", hold, (rref,)).await?;
            say("READY");
            std::future::pending::<()>().await;
        }
    }
    leave_without(&worker, &["worker2"]).await
}

/// As [`creator`], but the value is not there yet, and will never be: requests end with who made them.
async fn creating(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let rref = held().await?;
            let asked = rref.to_here().timeout(Duration::ZERO);
            part.told("KILLED").await?;
            not_made(asked.await)?;
            for _ in 0..3 {
                not_made(rref.to_here().timeout(LATE).await)?;
                not_made(rref.rpc_async().get().timeout(LATE).await)?;
            }
            say("USED");
            part.told("LEAVE").await?;
            drop(rref);
            worker.rpc_async("worker0", let_go, ()).await?;
            all_gone(&worker, [0, 1]).await?;
        }
        1 => part.told("LEAVE").await?,
        _ => {
            let rref = worker.with_timeout(Duration::ZERO).remote("worker1", never, ())?;
            worker.rpc_async("worker0", hold, (rref,)).await?;
            say("READY");
            std::future::pending::<()>().await;
        }
    }
    leave_without(&worker, &["worker2"]).await
}

async fn kill_creator(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(2)?.says("READY").await?;
    stage.process(0)?.says("HOLDS").await?;
    super::kill(stage, 2, &[0], "USED").await?;
    super::leave(stage, &[2]).await
}

/// Of three users of a value of rank 0, two die; the third has what they changed.
async fn two_of_three(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let own = RRef::new(&worker, Tally::new(0));
            for to in 1..4 {
                worker.rpc_async(to, hold, (own.clone(),)).await?;
            }
            let weak = own.downgrade();
            drop(own);
            say("READY");
            part.told("KILLED").await?;
            until("the last user has used it", async || Ok(live_tallies() == 0)).await?;
            ensure!(weak.upgrade().is_none());
            say("DONE");
            part.told("LEAVE").await?;
            all_gone(&worker, [0, 3]).await?;
        }
        _ => {
            let rref = held().await?;
            rref.rpc_async().add(1).await?;
            say("USED");
            part.told("KILLED").await?;
            ensure!(rref.rpc_async().add(1).timeout(LATE).await? == 4);
            worker.rpc_async(worker.id(), let_go, ()).await?;
            drop(rref);
            part.told("LEAVE").await?;
        }
    }
    leave_without(&worker, &["worker1", "worker2"]).await
}

async fn kill_two(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.process(0)?.says("READY").await?;
    for user in [1, 2, 3] {
        stage.process(user)?.says("USED").await?;
    }
    let second = stage.process(2).context("worker2")?;
    second.kill()?;
    stage.process(3)?.tell("KILLED").await?;
    super::kill(stage, 1, &[0], "DONE").await?;
    super::leave(stage, &[1, 2]).await
}
