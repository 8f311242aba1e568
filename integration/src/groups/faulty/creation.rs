//! Values whose creation fails, gets lost or is late on its way: to another worker, and to the worker itself, which takes
//! no link.

use anyhow::{Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc_testing::{Fault, Message};

use super::{DELAY, SHORT, once};
use crate::groups::rref::common::{LATE, Tally, copy_of, new_tally, not_made, quiet_tally, until};

/// As [`new_tally`], as a task.
#[rpc::function]
async fn udf_tally(n: i64) -> Tally {
    tokio::task::yield_now().await;
    Tally::new(n)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        once("faulty::remote_message_dropped_pickle", 3, creation_fails, async |worker| {
            dropped_pickle(worker, "worker1").await
        }),
        once("faulty::remote_message_dropped_pickle_to_self", 3, own_fails, async |worker| {
            dropped_pickle(worker, "worker0").await
        }),
        once("faulty::builtin_remote_message_dropped_timeout_to_self", 3, own_lost, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker0", || Ok(hasty.remote("worker0", quiet_tally, (1,))?)).await
        }),
        once("faulty::udf_remote_message_dropped_timeout_to_self", 3, own_lost, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker0", || Ok(hasty.remote("worker0", udf_tally, (1,))?)).await
        }),
        once("faulty::builtin_remote_message_dropped_timeout", 3, creation_lost, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker1", || Ok(hasty.remote("worker1", quiet_tally, (1,))?)).await
        }),
        once("faulty::udf_remote_message_dropped_timeout", 3, creation_lost, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker1", || Ok(hasty.remote("worker1", udf_tally, (1,))?)).await
        }),
        once("faulty::builtin_remote_message_delay_timeout", 3, creation_late, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker1", || Ok(hasty.remote("worker1", quiet_tally, (1,))?)).await
        }),
        once("faulty::udf_remote_message_delay_timeout", 3, creation_late, async |worker| {
            let hasty = worker.with_timeout(SHORT);
            never_made(worker, "worker1", || Ok(hasty.remote("worker1", udf_tally, (1,))?)).await
        }),
        once("faulty::remote_reply_dropped", 2, reply_lost, reply_dropped),
    ]
}

fn creation_fails(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::fail().on(Message::Create).first(2)] } else { Vec::new() }
}

fn creation_lost(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::drop().on(Message::Create).first(2)] } else { Vec::new() }
}

fn creation_late(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::delay(DELAY).on(Message::Create).first(2)] } else { Vec::new() }
}

fn own_fails(rank: u32) -> Vec<Fault> {
    if rank == 0 { vec![Fault::fail().on(Message::Create).from("worker0").first(2)] } else { Vec::new() }
}

fn own_lost(rank: u32) -> Vec<Fault> {
    if rank == 0 { vec![Fault::drop().on(Message::Create).from("worker0").first(2)] } else { Vec::new() }
}

fn reply_lost(rank: u32) -> Vec<Fault> {
    match rank {
        0 => vec![Fault::drop().replies().on(Message::Create).from("worker1").first(2)],
        _ => Vec::new(),
    }
}

/// Refused: everybody who uses the reference, or gets it from who has it, is told so.
async fn dropped_pickle(worker: &Worker, owner: &str) -> Result<()> {
    for _ in 0..2 {
        let rref = match worker.remote(owner, new_tally, (1,)) {
            Ok(rref) => rref,
            // The refusal was here before there was a reference.
            Err(error) => {
                ensure!(matches!(error.failure(), Some(Failure::Overloaded { .. })), "{error}");
                continue;
            }
        };
        not_made(rref.to_here().await)?;
        for to in ["worker1", "worker2"] {
            is_told(worker.rpc_async(to, copy_of, (rref.clone(),)).await)?;
        }
    }
    ensure!(worker.remote(owner, new_tally, (1,))?.to_here().await?.n == 1, "the third is made");
    Ok(())
}

/// That it was not made: as the sender knows, or as the receiver was told.
fn is_told(outcome: Result<i64, CallError<CallError>>) -> Result<()> {
    match outcome {
        Err(CallError::Handler { error, .. }) => not_made(Err::<(), _>(error)).map(drop),
        other => not_made(other).map(drop),
    }
}

/// Twice the value is not there when its creator has given up, and then it never is; the third time it is. The creator's
/// timeout is the creation's, so its own use of the reference ends with that.
async fn never_made(worker: &Worker, owner: &str, create: impl Fn() -> Result<RRef<Tally>>) -> Result<()> {
    for _ in 0..2 {
        let rref = create()?;
        not_made(rref.to_here().timeout(LATE).await)?;
        not_made(rref.rpc_async().get().timeout(LATE).await)?;
        is_told(worker.rpc_async("worker2", copy_of, (rref.clone(),)).timeout(LATE).await)?;
        until("its failure is known", async || Ok(rref.created().await.is_err())).await?;
    }
    // With more time than a busy machine takes, which `create` does not give it.
    ensure!(worker.remote(owner, new_tally, (1,))?.to_here().await?.n == 1);
    Ok(())
}

/// The value is made, and goes when its creator has not heard of it in time. Whoever asks the owner has heard of it; a
/// function that gets the reference waits for the owner's word, and asks nobody.
async fn reply_dropped(worker: &Worker) -> Result<()> {
    let hasty = worker.with_timeout(SHORT);
    for _ in 0..2 {
        let rref = hasty.remote("worker1", new_tally, (1,))?;
        is_told(worker.rpc_async("worker0", copy_of, (rref.clone(),)).timeout(LATE).await)?;
        not_made(rref.created().await)?;
        not_made(rref.to_here().await)?;
    }
    ensure!(worker.remote("worker1", new_tally, (1,))?.to_here().await?.n == 1);
    Ok(())
}
