//! Attacks from a worker of the job: worker2 opens a link of its own to the victim, introduces itself
//! truthfully, and goes bad.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::framing::{ItemId, Lane};
use rpc::rpc_core::wire::{HEADER_BYTES, Header, Hello, PROTOCOL_VERSION, Welcome, frame};
use rpc::rpc_core::{Kind, WorkerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CLOSED_AT_ONCE, OPEN, attacked, closed, echo, victim_and_caller};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        member("hostile::member_announces_1_tib", "over the limit", announces_much),
        member("hostile::member_dies_mid_frame", "", dies_mid_frame),
        member("hostile::member_announces_2_gib_and_sends_little", "", holds_a_large_frame),
        member("hostile::member_speaks_nonsense", "closing the link", speaks_nonsense),
        member("hostile::member_repeats_a_call_id", "closing the link", repeats_a_call_id),
        member("hostile::member_sends_arguments_that_are_none", "", sends_bad_arguments),
    ]
}

/// `logged` is what the victim has to log, if anything.
fn member(
    name: &'static str,
    logged: &'static str,
    attack: impl AsyncFn(&mut Turncoat) -> Result<()> + Copy + 'static,
) -> Scenario {
    let role = async move |part: Part| match part.rank {
        2 => goes_bad(part, attack).await,
        _ => victim_and_caller(part).await,
    };
    let script = async move |stage: &mut Stage| {
        let attack = async |stage: &Stage, _: &str| {
            let bad = stage.process(2)?;
            bad.tell("ATTACK").await?;
            bad.says("DONE").await?;
            if logged.is_empty() { Ok(()) } else { stage.process(0)?.logs(logged).await }
        };
        attacked(stage, attack).await
    };
    Scenario::new(name, 3, role).script(script).only("tcp").secured(OPEN)
}

/// After the attack the same worker is as good as any.
async fn goes_bad(mut part: Part, attack: impl AsyncFn(&mut Turncoat) -> Result<()>) -> Result<()> {
    let worker = part.init().await?;
    part.told("ATTACK").await?;
    attack(&mut Turncoat { worker: worker.clone(), last_link: 0 }).await?;
    let data = vec![3; 10];
    ensure!(worker.rpc_async("worker0", echo, (data.clone(),)).await? == data, "its honest link works");
    say("DONE");
    leave(&worker).await
}

/// A worker with links to the victim of which its own engine knows nothing.
struct Turncoat {
    worker: Worker,
    last_link: u32,
}

impl Turncoat {
    /// A link to the victim after the handshake.
    async fn link(&mut self) -> Result<TcpStream> {
        let group = self.worker.agent().group();
        let (own, victim) = (group.get(self.worker.id()), group.get(WorkerId(0)));
        let (own, victim) = (own.context("a member")?, victim.context("a member")?);
        let hello = Hello {
            version: PROTOCOL_VERSION,
            features: 0,
            incarnation: own.incarnation,
            expected_incarnation: victim.incarnation,
            id: own.info.id,
            expected_id: victim.info.id,
            last_link: self.last_link,
            digest: 0,
            name: own.info.name.to_string(),
            job: group.job().to_owned(),
        };
        let payload = hello.encode();
        let header = Header { payload_bytes: payload.len() as u32, ..Header::control(frame::HELLO, 0) };
        let mut link = TcpStream::connect(&victim.address).await?;
        link.write_all(&[&header.to_bytes()[..], &payload].concat()).await?;
        let (answer, payload) = read_frame(&mut link).await?;
        ensure!(answer.kind == frame::WELCOME, "{answer:?}");
        self.last_link = Welcome::decode(&payload)?.link;
        Ok(link)
    }
}

/// The next frame, which has no parts.
async fn read_frame(link: &mut TcpStream) -> Result<(Header, Vec<u8>)> {
    let mut header = [0; HEADER_BYTES];
    link.read_exact(&mut header).await.context("a header")?;
    let header = Header::from_bytes(&header);
    let mut payload = vec![0; header.payload_bytes as usize];
    link.read_exact(&mut payload).await.context("a payload")?;
    Ok((header, payload))
}

fn call(number: u64) -> Header {
    Header { codec: 1, method: 4711, budget_us: 60_000_000, ..Header::control(Kind::CALL.0, number) }
}

async fn announces_much(bad: &mut Turncoat) -> Result<()> {
    let mut link = bad.link().await?;
    link.write_all(&Header { part_count: 1, ..call(1) }.to_bytes()).await?;
    link.write_all(&(1_u64 << 40).to_le_bytes()).await?;
    closed(&mut link, CLOSED_AT_ONCE).await
}

async fn dies_mid_frame(bad: &mut Turncoat) -> Result<()> {
    for sent in [HEADER_BYTES / 2, HEADER_BYTES, HEADER_BYTES + 1000] {
        let mut link = bad.link().await?;
        let frame = Header { payload_bytes: 1 << 20, ..call(1) }.to_bytes();
        let frame: Vec<u8> = frame.into_iter().chain(std::iter::repeat_n(7, 1 << 20)).collect();
        link.write_all(&frame[..sent]).await?;
        link.shutdown().await?;
        closed(&mut link, CLOSED_AT_ONCE).await?;
    }
    Ok(())
}

/// Within the bounds, so the link stays; but what was announced is not taken from memory.
async fn holds_a_large_frame(bad: &mut Turncoat) -> Result<()> {
    for part_count in [0, 1] {
        let mut link = bad.link().await?;
        let payload_bytes = if part_count == 0 { 2 << 30 } else { 0 };
        link.write_all(&Header { payload_bytes, part_count, ..call(1) }.to_bytes()).await?;
        if part_count == 1 {
            link.write_all(&(2_u64 << 30).to_le_bytes()).await?;
        }
        // A piece of what travels beside the frame: of the payload, or of the part.
        let item = ItemId { lane: Lane::Normal, frame: 0, item: u32::from(part_count) };
        link.write_all(&item.header(2 << 30).to_bytes()).await?;
        link.write_all(&[7; 100_000]).await?;
        match tokio::time::timeout(Duration::from_millis(500), link.read_u8()).await {
            Err(_) => {}
            Ok(early) => bail!("the link ended early: {early:?}"),
        }
    }
    Ok(())
}

async fn speaks_nonsense(bad: &mut Turncoat) -> Result<()> {
    for kind in [0x00, 0x0f, frame::HELLO, frame::WELCOME, frame::REJECT] {
        let mut link = bad.link().await?;
        link.write_all(&Header::control(kind, 1).to_bytes()).await?;
        closed(&mut link, CLOSED_AT_ONCE).await?;
    }
    // Answers to questions that nobody asked are late replies, as far as anybody can know.
    let mut link = bad.link().await?;
    for number in 0..1000 {
        link.write_all(&Header::control(frame::REPLY, 1 << 40 | number).to_bytes()).await?;
        link.write_all(&Header::control(frame::CANCEL, 1 << 40 | number).to_bytes()).await?;
    }
    link.write_all(&Header { method: 250, ..Header::control(frame::REPLY, 1) }.to_bytes()).await?;
    closed(&mut link, CLOSED_AT_ONCE).await
}

/// The victim may not even know the function: the second of two calls in progress breaks the protocol.
async fn repeats_a_call_id(bad: &mut Turncoat) -> Result<()> {
    let id = rpc::rpc_core::FunctionEntry::of::<hang>().id().to_wire();
    let mut link = bad.link().await?;
    for _ in 0..2 {
        link.write_all(&Header { method: id, ..call(1) }.to_bytes()).await?;
    }
    closed(&mut link, CLOSED_AT_ONCE).await
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

/// Known functions with arguments that cannot be decoded, and unknown ones: an answer each, and the link
/// lives on.
async fn sends_bad_arguments(bad: &mut Turncoat) -> Result<()> {
    let known = rpc::rpc_core::FunctionEntry::of::<echo>().id().to_wire();
    let mut link = bad.link().await?;
    for (number, method, payload) in
        [(1, known, &[][..]), (2, known, &[0xff; 100]), (3, 4711, &[]), (4, known, &[200, 1, 2])]
    {
        let header = Header { payload_bytes: payload.len() as u32, method, ..call(number) };
        link.write_all(&[&header.to_bytes()[..], payload].concat()).await?;
        let (answer, _) = read_frame(&mut link).await?;
        ensure!(answer.kind == frame::REPLY && answer.call == number && answer.method != 0, "{answer:?}");
    }
    Ok(())
}
