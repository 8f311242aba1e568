//! Connections that say nothing, say something wrong, or come as fast as they can.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Result, ensure};
use integration::runner::security::Security;
use integration::scenario::Scenario;
use rpc::JoinToken;
use rpc::rpc_core::wire::{Header, frame};
use rpc::rpc_core::{Codecs, Kind};
use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::attacker::{Attacker, Noise, all};
use super::super::probe::{BYTES, Probe, probe_id};
use super::super::stranger::hello;
use super::{nothing, siege};

/// Connections that are open and say nothing, at a time.
const HALF_OPEN: usize = 10_000;
/// How many are made at a time.
pub(super) const AT_A_TIME: usize = 64;
/// Until a port is tried again at which nobody listens yet.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Attempts after which a flood is one.
pub(super) const FLOOD: u64 = 500;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        siege("hostile::siege_of_10000_half_open_connections", half_open, nothing).only("tcp"),
        siege("hostile::siege_by_connecting", connects, nothing).only("tcp"),
        siege("hostile::siege_by_hello", says_hello, nothing).only("tcp"),
        siege("hostile::siege_by_requests", sends_requests, nothing).only("tcp"),
        siege("hostile::siege_with_wrong_tokens", guesses, nothing).only("tcp").secured(&[Security::Token]),
        siege("hostile::siege_by_garbage", sends_garbage, nothing).only("tcp"),
    ]
}

/// Opens them all, and opens another one for each that the victim closes.
pub(super) async fn half_open(attacker: &Attacker) -> Result<()> {
    let lane = async |lane: usize| {
        let mut links = Vec::new();
        for _ in (lane..HALF_OPEN).step_by(AT_A_TIME) {
            attacker.attempt();
            links.push(connect(attacker).await?);
        }
        anyhow::Ok(links)
    };
    let mut open: Vec<TcpStream> = all((0..AT_A_TIME).map(lane)).await?.into_iter().flatten().collect();
    ensure!(open.len() == HALF_OPEN);
    attacker.under_way();
    loop {
        // The oldest first, as the victim does.
        for link in &mut open {
            if matches!(link.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
                continue;
            }
            attacker.attempt();
            *link = connect(attacker).await?;
        }
        tokio::task::yield_now().await;
    }
}

/// Connects and goes, over and over.
async fn connects(attacker: &Attacker) -> Result<()> {
    flood(attacker, async |_| Ok(())).await
}

/// Introduces itself as a worker, waits for the refusal, and comes again.
async fn says_hello(attacker: &Attacker) -> Result<()> {
    flood(attacker, async |link| {
        link.write_all(&hello(&attacker.target.job)).await?;
        link.read_exact(&mut [0; 8]).await?;
        Ok(())
    })
    .await
}

/// Sends requests that would run, did anybody read them: without a hello, and behind one that is refused.
async fn sends_requests(attacker: &Attacker) -> Result<()> {
    let hello = hello(&attacker.target.job);
    let kinds = [Kind::CALL, Kind::SHUTDOWN, Kind::REFERENCES];
    let requests = kinds.map(request).into_iter().collect::<Result<Vec<_>>>()?.concat();
    flood(attacker, async |link| {
        let first = if attacker.attempts().is_multiple_of(2) { &[][..] } else { &hello[..] };
        link.write_all(&[first, &requests].concat()).await?;
        // Until it is closed.
        let _ = link.read_to_end(&mut Vec::new()).await;
        Ok(())
    })
    .await
}

/// A request that is well formed in every respect.
pub(in super::super) fn request(kind: Kind) -> Result<Vec<u8>> {
    let codecs = Codecs::default();
    let arguments = codecs.encode(codecs.default_id(), &(Probe(vec![7; BYTES]),))?.payload;
    let header = Header {
        payload_bytes: arguments.len() as u32,
        codec: codecs.default_id(),
        method: probe_id(),
        ..Header::control(kind.0, 1)
    };
    Ok([&header.to_bytes()[..], &arguments].concat())
}

/// Proofs by tokens that are somebody else's.
async fn guesses(attacker: &Attacker) -> Result<()> {
    let token = JoinToken::random()?;
    flood(attacker, async |link| {
        let binding = Binding::socket("rpc-tcp/1", link.peer_addr()?);
        prove(link, TokenExchange::client(&token, binding)?, EXCHANGE_TIME).await?;
        Ok(())
    })
    .await
}

/// Noise, lengths without end, halves of frames.
async fn sends_garbage(attacker: &Attacker) -> Result<()> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let hello = hello(&attacker.target.job);
    let mut kinds = Vec::new();
    for length in [1, 31, 32, 100, 4096, 65_536] {
        kinds.push(noise.bytes(length));
    }
    for payload_bytes in [0, 2048, 2049, u32::MAX] {
        let header = Header { payload_bytes, part_count: 1, ..Header::control(frame::HELLO, 0) };
        kinds.push([&header.to_bytes()[..], &noise.bytes(1000)].concat());
    }
    kinds.push([&hello[..40], &noise.bytes(1000)].concat());
    kinds.push([&hello[..], &noise.bytes(1000)].concat());
    flood(attacker, async |link| {
        let bytes = &kinds[attacker.attempts() as usize % kinds.len()];
        // The victim may close before it has had all of it.
        if link.write_all(bytes).await.is_ok() {
            let _ = link.shutdown().await;
            let _ = link.read_to_end(&mut Vec::new()).await;
        }
        Ok(())
    })
    .await
}

/// Connects over and over, [`AT_A_TIME`], and does `what` with each link. That it fails is what has to happen.
pub(super) async fn flood(
    attacker: &Attacker,
    what: impl AsyncFn(&mut TcpStream) -> Result<()>,
) -> Result<()> {
    let lane = async |_| loop {
        if attacker.attempt() == FLOOD {
            attacker.under_way();
        }
        let mut link = connect(attacker).await?;
        let _refused = what(&mut link).await;
    };
    all::<(), _>((0..AT_A_TIME).map(lane)).await?;
    Ok(())
}

/// One more connection, as soon as anybody listens. It ends without a trace, or the system would run out of ports.
async fn connect(attacker: &Attacker) -> Result<TcpStream> {
    loop {
        match TcpStream::connect(&attacker.target.address).await {
            Ok(link) => {
                link.set_zero_linger()?;
                return Ok(link);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // Nobody tells a stranger that a port is open now.
                tokio::time::sleep(LOOK_AGAIN).await
            }
            Err(error) => return Err(error.into()),
        }
    }
}
