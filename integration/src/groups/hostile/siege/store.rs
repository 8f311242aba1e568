//! The store under attack while its job meets there. Rank 0 hosts it; rank 1 comes in the middle of the attack.

use std::time::Instant;

use anyhow::{Result, ensure};
use integration::part::{Part, say};
use integration::runner::security::{Security, forget};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::JoinToken;
use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::attacker::{Attacker, Noise, Target, raise_file_limit};
use super::floods::{flood, half_open};
use super::{ATTACKER, FILES, MEMORY, attacks};

#[rpc::function(inline)]
fn ping() {}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        siege("hostile::siege_of_the_store_by_10000_half_open_connections", half_open),
        siege("hostile::siege_of_the_store_by_garbage", sends_garbage),
        siege("hostile::siege_of_the_store_with_wrong_tokens", guesses).secured(&[Security::Token]),
    ]
}

fn siege(name: &'static str, attack: impl AsyncFn(&Attacker) -> Result<()> + Copy + 'static) -> Scenario {
    let role = async move |part: Part| match part.rank {
        ATTACKER => attacks(part, attack).await,
        _ => meets(part).await,
    };
    // What the store does is the same whatever the workers talk over.
    Scenario::new(name, 2, role).script(besieged).only("tcp").alone()
}

async fn meets(mut part: Part) -> Result<()> {
    raise_file_limit()?;
    say("STARTING");
    let worker = part.init().await?;
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    say("MET");
    part.told("LEAVE").await?;
    leave(&worker).await
}

async fn besieged(stage: &mut Stage) -> Result<()> {
    let port = stage.free_port()?;
    let mut command = stage.at(0, port);
    stage.spawn(0, &mut command)?.says("STARTING").await?;
    let target = Target { address: format!("{}:{port}", stage.host()), ..Target::default() };
    let mut command = stage.bare(ATTACKER);
    forget(&mut command);
    let attacker = stage.spawn_named("attacker", command.env("TARGET", serde_json::to_string(&target)?))?;
    attacker.says("UNDER_WAY").await?;

    let mut command = stage.at(1, port);
    let began = Instant::now();
    stage.spawn(1, &mut command)?;
    let (host, attacker, newcomer) = (stage.process(0)?, stage.process(1)?, stage.process(2)?);
    host.says("MET").await?;
    newcomer.says("MET").await?;
    let (took, files) = (began.elapsed(), host.open_files());
    attacker.tell("ENOUGH").await?;
    let attempts = attacker.says("DONE").await?;
    let peaks = (host.resident_bytes_peak(), newcomer.resident_bytes_peak());
    for worker in [host, newcomer] {
        worker.tell("LEAVE").await?;
    }
    stage.all_succeed().await?;

    stage.note(format!("{attempts} attempts"));
    if let (Some(host), Some(newcomer)) = peaks {
        // Both are the same program; the newcomer hosts nothing.
        let cost = host.saturating_sub(newcomer);
        stage.note(format!(
            "memory {} -> {} KiB of {}",
            newcomer >> 10,
            host >> 10,
            (newcomer + MEMORY) >> 10
        ));
        ensure!(cost < MEMORY, "the attack cost {cost} bytes, more than {MEMORY}");
    }
    if let Some(files) = files {
        stage.note(format!("{files} files"));
        ensure!(files < FILES, "{files} files are open, more than {FILES}");
    }
    stage.note(format!("met {:.0} ms after the newcomer's start", took.as_secs_f64() * 1e3));
    Ok(())
}

/// Noise, and beginnings of what the store speaks.
async fn sends_garbage(attacker: &Attacker) -> Result<()> {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let mut kinds: Vec<Vec<u8>> = [1, 20, 100, 65_536].map(|length| noise.bytes(length)).into();
    for start in [&b"RPCTOKEN\x01"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        kinds.push([start, &noise.bytes(500)].concat());
    }
    flood(attacker, async |link| {
        let bytes = &kinds[attacker.attempts() as usize % kinds.len()];
        if link.write_all(bytes).await.is_ok() {
            let _ = link.shutdown().await;
            let _ = link.read_to_end(&mut Vec::new()).await;
        }
        Ok(())
    })
    .await
}

/// Proofs by tokens that are somebody else's.
async fn guesses(attacker: &Attacker) -> Result<()> {
    let token = JoinToken::random()?;
    flood(attacker, async |link: &mut TcpStream| {
        let binding = Binding::socket("rpc-store/1", link.peer_addr()?);
        prove(link, TokenExchange::client(&token, binding)?, EXCHANGE_TIME).await?;
        Ok(())
    })
    .await
}
