//! Bytes from hostile peers: they get a closed link, and cost bounded memory and time.
//!
//! In every scenario worker0 is the victim, and worker1 calls it all the time: those calls have to go on.
//! The attacks speak TCP by hand, as strangers from the runner's process ([`stranger`]), or as a worker of
//! the job that goes bad after the handshake ([`member`]). Attacks in mass have a process of their own, and
//! what they cost is measured ([`siege`]).

mod attacker;
mod member;
mod probe;
mod replay;
mod siege;
mod stranger;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::process::Process;
use integration::runner::security::Security;
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// For who introduces itself by hand and has to be believed.
const OPEN: &[Security] = &[Security::Open];
/// How long the victim may take to close a link that has broken the protocol.
const CLOSED_AT_ONCE: Duration = Duration::from_secs(2);
/// How long it may take to close one that says nothing: `handshake_timeout`, 5 s, and slack.
const CLOSED_IN_TIME: Duration = Duration::from_secs(10);
/// How long a call of worker1 may take meanwhile.
const CALL: Duration = Duration::from_secs(5);
/// How much memory an attack may cost.
const MEMORY: u64 = 48 << 20;

#[rpc::function]
async fn echo(data: Vec<u8>) -> Vec<u8> {
    data
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    [stranger::scenarios(), member::scenarios(), replay::scenarios(), siege::scenarios()].concat()
}

/// The victim and the worker that calls it; ranks from 2 on do what the scenario wants of them.
async fn victim_and_caller(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        let own = worker.agent().group().get(worker.id()).context("a member")?;
        say(format_args!("LISTENS {}", own.address));
        // Until then the victim itself has no reason to speak to anybody.
        part.told("ENOUGH").await?;
        return leave(&worker).await;
    }
    worker.rpc_async("worker0", echo, (vec![1; 10],)).await?;
    say("CALLING");
    let calls = go_on_calling(&worker);
    tokio::select! {
        failed = calls => failed?,
        told = part.told("ENOUGH") => told?,
    }
    leave(&worker).await
}

/// Ends only by an error. Paced, so that other scenarios get their share of the machine.
async fn go_on_calling(worker: &Worker) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for n in 0_u64.. {
        pace.tick().await;
        let data = n.to_le_bytes().repeat(100);
        let echoed = worker.rpc_async("worker0", echo, (data.clone(),)).timeout(CALL).await;
        ensure!(echoed.context("a call beside the attack")? == data);
    }
    Ok(())
}

/// Starts all workers, and has `attack` happen between the first and the last of worker1's calls.
async fn attacked(stage: &mut Stage, attack: impl AsyncFn(&Stage, &str) -> Result<()>) -> Result<()> {
    stage.start().await?;
    let (victim, caller) = (stage.process(0)?, stage.process(1)?);
    let address = victim.says("LISTENS").await?;
    caller.says("CALLING").await?;
    let before = victim.resident_bytes();
    attack(stage, &address).await?;
    let cost = memory_cost(victim, before);
    ensure!(cost.is_none_or(|bytes| bytes < MEMORY), "the attack cost {cost:?} bytes");
    for process in [victim, caller] {
        process.tell("ENOUGH").await?;
    }
    stage.all_succeed().await?;
    if let Some(bytes) = cost {
        stage.note(format!("cost {} KiB", bytes >> 10));
    }
    Ok(())
}

/// How far memory has ever gone above `before`.
fn memory_cost(victim: &Process, before: Option<u64>) -> Option<u64> {
    Some(victim.resident_bytes_peak()?.saturating_sub(before?))
}

/// Waits until the other side has closed `link`, and throws away what it says before that.
async fn closed(link: &mut TcpStream, within: Duration) -> Result<()> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(within, link.read_to_end(&mut rest)).await;
    // Closing with bytes unread resets the connection, which is as good.
    let _end_or_reset = read.with_context(|| format!("the link is still open after {within:?}"))?;
    Ok(())
}
