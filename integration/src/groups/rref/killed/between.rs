//! Users that are killed when they have just passed a reference on, and the owner does not know yet.
//!
//! The owner is stopped meanwhile, so that it surely does not.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::prelude::*;

use crate::groups::rref::common::{
    LATE, Tally, all_gone, copy_of, is_idle, leave_without, reference_error, until,
};
use crate::groups::rref::lifecycle::{held, hold, let_go};

/// What worker1 hands out.
static OFFERED: Mutex<Option<RRef<Tally>>> = Mutex::new(None);

#[rpc::function(inline)]
fn taken() -> Option<RRef<Tally>> {
    OFFERED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[rpc::function(inline)]
fn ping() {}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_killed::sender_of_a_result", 3, async |part: Part| result_of(part, true).await)
            .script(kill_between),
        Scenario::new("rref_killed::sender_with_the_only_reference", 3, async |part: Part| {
            result_of(part, false).await
        })
        .script(kill_between),
        Scenario::new("rref_killed::sender_of_a_call", 3, arguments_of).script(kill_between),
    ]
}

/// Rank 2 gets a reference to a value of rank 0 from worker1, which dies. Whether the value lives on is up
/// to rank 0: if it is `kept` there, it is as good as any, and otherwise perhaps lost, and then says so.
async fn result_of(mut part: Part, kept: bool) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let own = RRef::new(&worker, Tally::new(1));
            worker.rpc_async("worker1", hold, (own.clone(),)).await?;
            let own = kept.then_some(own);
            say("READY");
            part.told("RESUMED").await?;
            part.told("DONE").await?;
            drop(own);
            all_gone(&worker, [0, 2]).await?;
        }
        1 => {
            *OFFERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(held().await?);
            say("READY");
            std::future::pending::<()>().await;
        }
        _ => {
            for to in [0, 1] {
                worker.rpc_async(to, ping, ()).await?;
            }
            say("READY");
            part.told("TAKE").await?;
            let rref = worker.rpc_async("worker1", taken, ()).await?.context("it is offered")?;
            ensure!(!rref.confirmed_by_owner(), "the owner is stopped");
            let copy = rref.to_here().timeout(Duration::ZERO);
            say("TOOK");
            part.told("RESUMED").await?;
            match copy.await {
                Ok(copy) => ensure!(copy.n == 1),
                other => sender_lost(other, kept)?,
            }
            match worker.rpc_async("worker0", copy_of, (rref.clone(),)).timeout(LATE).await {
                Ok(n) => ensure!(n == 1),
                other => sender_lost(other, kept)?,
            }
            drop(rref);
            say("DONE");
        }
    }
    part.told("LEAVE").await?;
    leave_without(&worker, &["worker1"]).await
}

fn sender_lost<T, E>(outcome: Result<T, CallError<E>>, kept: bool) -> Result<()>
where
    CallError<E>: std::fmt::Display,
{
    let error = reference_error(outcome)?;
    ensure!(!kept && matches!(error, ReferenceError::SenderLost { .. }), "{error}");
    Ok(())
}

/// Worker1 calls rank 2 with a reference to a value of rank 0, and dies before that may begin.
async fn arguments_of(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    match part.rank {
        0 => {
            let own = RRef::new(&worker, Tally::new(1));
            worker.rpc_async("worker1", hold, (own.clone(),)).await?;
            drop(own);
            say("READY");
            part.told("RESUMED").await?;
            part.told("DONE").await?;
            all_gone(&worker, [0, 2]).await?;
        }
        1 => {
            let rref = held().await?;
            worker.rpc_async("worker2", ping, ()).await?;
            say("READY");
            part.told("TAKE").await?;
            worker.rpc_async("worker2", hold, (rref,)).timeout(Duration::ZERO).await?;
        }
        _ => {
            worker.rpc_async("worker0", ping, ()).await?;
            say("READY");
            part.told("TAKE").await?;
            until("the reference has come", async || Ok(!is_idle(&worker))).await?;
            say("TOOK");
            part.told("RESUMED").await?;
            // It may have begun nevertheless, if the owner's word was here before that of the death.
            until("it is let go", async || {
                let_go();
                Ok(is_idle(&worker))
            })
            .await?;
            say("DONE");
        }
    }
    part.told("LEAVE").await?;
    leave_without(&worker, &["worker1"]).await
}

/// Stops rank 0, has worker1 pass its reference on to rank 2, kills worker1, and lets rank 0 go on.
async fn kill_between(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    stage.all_say("READY").await?;
    let (owner, sender, receiver) = (stage.process(0)?, stage.process(1)?, stage.process(2)?);
    owner.stop().await?;
    // One of the two asks the other.
    sender.tell("TAKE").await?;
    receiver.tell("TAKE").await?;
    receiver.says("TOOK").await?;
    sender.kill()?;
    sender.ended().await?;
    owner.resume()?;
    owner.tell("RESUMED").await?;
    receiver.tell("RESUMED").await?;
    receiver.says("DONE").await?;
    owner.tell("DONE").await?;
    super::leave(stage, &[1]).await
}
