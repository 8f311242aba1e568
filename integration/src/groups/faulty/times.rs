//! Calls, copies and methods whose messages are late.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc_testing::{Fault, Message};

use super::{DELAY, SHORT, once};
use crate::groups::rref::common::{LATE, new_tally, sum_of};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        once("faulty::rpc_builtin_timeout", 2, late_calls, rpc_timeout),
        once("faulty::rref_to_here_timeout", 2, late_fetches, to_here_timeout),
        once("faulty::rref_proxy_timeout", 2, late_methods, proxy_timeout),
        once("faulty::rpc_reply_delayed", 2, late_replies, rpc_timeout),
    ]
}

fn late_calls(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::delay(DELAY).function(sum_of)] } else { Vec::new() }
}

fn late_replies(rank: u32) -> Vec<Fault> {
    if rank == 0 { vec![Fault::delay(DELAY).replies().function(sum_of)] } else { Vec::new() }
}

fn late_fetches(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::delay(DELAY).on(Message::Fetch).first(4)] } else { Vec::new() }
}

fn late_methods(rank: u32) -> Vec<Fault> {
    if rank == 1 { vec![Fault::delay(DELAY).on(Message::Method).first(4)] } else { Vec::new() }
}

fn is_late<T, E>(outcome: Result<T, CallError<E>>) -> Result<()> {
    let Err(error) = outcome else { bail!("a value in place of a timeout") };
    ensure!(matches!(error.failure(), Some(Failure::TimedOut { .. })), "{:?}", error.failure());
    Ok(())
}

async fn rpc_timeout(worker: &Worker) -> Result<()> {
    let hasty = worker.with_timeout(SHORT);
    let args = (1, 2, 3);
    // Together, so that the delays are.
    let own = worker.rpc_async("worker1", sum_of, args).timeout(SHORT);
    let of_client = hasty.rpc_async("worker1", sum_of, args);
    let began = Instant::now();
    let for_ever = worker.rpc_async("worker1", sum_of, args).timeout(Duration::ZERO);
    let patient = hasty.rpc_async("worker1", sum_of, args).timeout(LATE);
    is_late(hasty.rpc_sync("worker1", sum_of, args))?;
    is_late(own.await)?;
    is_late(of_client.await)?;
    ensure!(for_ever.await? == 6 && patient.await? == 6);
    ensure!(began.elapsed() >= DELAY, "it came too early");
    Ok(())
}

async fn to_here_timeout(worker: &Worker) -> Result<()> {
    let value = worker.remote("worker1", new_tally, (5,))?;
    let early = [value.to_here().timeout(SHORT), value.to_here().timeout(SHORT)];
    let patient = value.to_here().timeout(LATE);
    is_late(value.to_here().timeout(SHORT).wait())?;
    for copy in early {
        is_late(copy.await)?;
    }
    ensure!(patient.await?.n == 5 && value.to_here().await?.n == 5);
    Ok(())
}

async fn proxy_timeout(worker: &Worker) -> Result<()> {
    let value = worker.remote("worker1", new_tally, (5,))?;
    value.created().await?;
    let early = [value.rpc_async().get().timeout(SHORT), value.rpc_async().get().timeout(SHORT)];
    let patient = value.rpc_async().add(2).timeout(LATE);
    is_late(value.rpc_async().get().timeout(SHORT).wait())?;
    for call in early {
        is_late(call.await)?;
    }
    ensure!(patient.await? == 7 && value.rpc_async().get().await? == 7);
    Ok(())
}
