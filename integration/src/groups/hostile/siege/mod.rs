//! Attacks in mass, by a process of their own, and what they cost the honest.
//!
//! worker0 is the victim. worker1 has a link to it and measures its calls before and during the attack. worker2
//! has none, and makes its first call in the middle of it. The attacker is no member of the job. It runs at a
//! low priority, so that it takes from the victim's machine what a machine of its own would not: the time that
//! the victim spends on it is the victim's, and is part of what is measured.
//!
//! In each of them (but those of [`store`], where a job meets meanwhile)
//! - nothing of the attacker's is decoded or reaches a handler ([`Counts`]),
//! - the victim's memory stays below a bound that follows from the places it has for handshakes,
//! - so does the number of its open files,
//! - worker1's calls take no more than twice as long, where the machine is quiet enough to tell ([`Latency`]), and
//! - worker2 gets through.

mod certificates;
mod datagrams;
mod floods;
mod measure;
mod store;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::process::Process;
use integration::runner::security::forget;
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};

use tokio::process::Command;

pub(super) use self::floods::request;
use self::measure::Latency;
use super::attacker::{Attacker, Target};
use super::probe::{BYTES, Counts, Probe, probe};

/// Which rank's part the attacker plays, beyond those of the job.
const ATTACKER: u32 = 3;

/// Places for links in their handshake (`EngineConfig::handshakes_max`), and as many again for those that are
/// still in the transport's own.
const PLACES: u64 = 2 * 1024;
/// What a place may cost: the link with its buffers, its task, and its share of the allocator's waste.
const PLACE_BYTES: u64 = 48 << 10;
/// How much memory an attack may cost.
const MEMORY: u64 = PLACES * PLACE_BYTES;
/// Files that a worker has open beside those places.
const FILES: u64 = PLACES + 256;
/// How long the newcomer's first call may take: a lost SYN, or a lost first packet, is sent again after a second.
const NEWCOMER: Duration = Duration::from_secs(8);

pub(super) fn scenarios() -> Vec<Scenario> {
    let groups = [floods::scenarios(), certificates::scenarios(), datagrams::scenarios(), store::scenarios()];
    groups.concat()
}

/// `attack` goes on until it is over by itself or told so. It has to say when it is
/// [under way](Attacker::under_way). `equip` gives the attacker what it has in its hands.
fn siege(
    name: &'static str,
    attack: impl AsyncFn(&Attacker) -> Result<()> + Copy + 'static,
    equip: fn(&Stage, &mut Command) -> Result<()>,
) -> Scenario {
    let role = async move |part: Part| match part.rank {
        0 => is_besieged(part).await,
        1 => measures(part).await,
        2 => comes_late(part).await,
        _ => attacks(part, attack).await,
    };
    Scenario::new(name, 3, role).script(async move |stage: &mut Stage| besieged(stage, equip).await).alone()
}

/// The attacker has no secret of anybody's.
fn nothing(_: &Stage, _: &mut Command) -> Result<()> {
    Ok(())
}

async fn is_besieged(mut part: Part) -> Result<()> {
    super::attacker::raise_file_limit()?;
    let worker = part.init().await?;
    say(format_args!("TARGET {}", serde_json::to_string(&Target::of(&worker)?)?));
    part.told("COUNT").await?;
    say(format_args!("COUNTS {}", serde_json::to_string(&Counts::of(&worker)?)?));
    part.told("LEAVE").await?;
    leave(&worker).await
}

async fn measures(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    let mut calls = measure::latency(&worker).await?.calls; // connects, and warms up
    for _ in 0..2 {
        say("READY");
        part.told("MEASURE").await?;
        let latency = measure::latency(&worker).await?;
        calls += latency.calls;
        say(format_args!("MEASURED {}", serde_json::to_string(&latency)?));
    }
    say(format_args!("CALLED {calls}"));
    part.told("LEAVE").await?;
    leave(&worker).await
}

async fn comes_late(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    part.told("CONNECT").await?;
    let began = Instant::now();
    worker.rpc_async("worker0", probe, (Probe(vec![2; BYTES]),)).timeout(NEWCOMER).await?;
    say(format_args!("CONNECTED {}", began.elapsed().as_micros()));
    part.told("LEAVE").await?;
    leave(&worker).await
}

async fn attacks(mut part: Part, attack: impl AsyncFn(&Attacker) -> Result<()>) -> Result<()> {
    let attacker = Attacker::from_env()?;
    tokio::select! {
        done = attack(&attacker) => {
            done?;
            part.told("ENOUGH").await?;
        }
        told = part.told("ENOUGH") => told?,
    }
    say(format_args!("DONE {}", attacker.attempts()));
    Ok(())
}

async fn besieged(stage: &mut Stage, equip: fn(&Stage, &mut Command) -> Result<()>) -> Result<()> {
    stage.start().await?;
    let target = stage.process(0)?.says("TARGET").await?;
    let before = measured(stage.process(1)?, 1).await?;
    let resident = stage.process(0)?.resident_bytes();

    let mut command = stage.bare(ATTACKER);
    forget(&mut command);
    equip(stage, &mut command)?;
    stage.spawn_named("attacker", command.env("TARGET", target))?;
    let (victim, attacker) = (stage.process(0)?, stage.process(3)?);
    attacker.says("UNDER_WAY").await?;
    let began = Instant::now();
    let during = measured(stage.process(1)?, 2).await?;
    let newcomer = stage.process(2)?;
    newcomer.tell("CONNECT").await?;
    let connected: u64 = newcomer.says("CONNECTED").await?.parse()?;
    let files = victim.open_files();
    attacker.tell("ENOUGH").await?;
    let seconds = began.elapsed().as_secs_f64();
    let attempts: u64 = attacker.says("DONE").await?.parse()?;
    let peak = victim.resident_bytes_peak();

    victim.tell("COUNT").await?;
    let counts: Counts = serde_json::from_str(&victim.says("COUNTS").await?)?;
    let calls: u64 = stage.process(1)?.says("CALLED").await?.parse()?;
    let honest = Counts::of_calls(calls + 1); // and the newcomer's
    ensure!(counts == honest, "the attacker was heard: {counts:?} in place of {honest:?}");
    for rank in 0..3 {
        stage.process(rank)?.tell("LEAVE").await?;
    }
    stage.all_succeed().await?;

    let mut notes = vec![format!("{attempts} attempts, {:.0}/s", attempts as f64 / seconds)];
    if let (Some(before), Some(peak)) = (resident, peak) {
        let cost = peak.saturating_sub(before);
        notes.push(format!("memory {} -> {} KiB of {}", before >> 10, peak >> 10, (before + MEMORY) >> 10));
        ensure!(cost < MEMORY, "the attack cost {cost} bytes, more than {MEMORY}");
    }
    if let Some(files) = files {
        notes.push(format!("{files} files"));
        ensure!(files < FILES, "{files} files are open, more than {FILES}");
    }
    notes.push(format!("calls {before} -> {during}"));
    notes.push(format!("newcomer {:.1} ms", connected as f64 / 1e3));
    ensure!(during.is_bearable_after(&before), "calls took {before} before the attack and {during} in it");
    notes.into_iter().for_each(|note| stage.note(note));
    Ok(())
}

/// What worker1 measures, for the `time`th time.
async fn measured(worker: &Process, time: usize) -> Result<Latency> {
    worker.says_times("READY", time).await?;
    worker.tell("MEASURE").await?;
    serde_json::from_str(&worker.says_times("MEASURED", time).await?).context("a latency")
}
