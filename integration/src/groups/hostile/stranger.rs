//! Attacks from outside of the job, before any handshake.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::Scenario;
use rpc::rpc_core::wire::{HEADER_BYTES, Header, Hello, PROTOCOL_VERSION, frame};
use rpc::rpc_core::{Incarnation, Kind, WorkerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::attacker::Target;
use super::probe::Counts;
use super::siege::request;
use super::{CLOSED_AT_ONCE, CLOSED_IN_TIME, OPEN, attacked, closed, victim_and_caller};

const HALF_OPEN: usize = 200;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        stranger("hostile::says_nothing", says_nothing),
        // They expect the answers of a worker that believes whoever connects.
        stranger("hostile::says_garbage", says_garbage).secured(OPEN),
        stranger("hostile::announces_1_tib", announces_much).secured(OPEN),
        stranger("hostile::dies_mid_frame", dies_mid_frame).secured(OPEN),
        stranger("hostile::one_byte_at_a_time", one_byte_at_a_time),
        stranger("hostile::is_of_another_job", is_of_another_job).secured(OPEN),
        stranger("hostile::half_open_connections", half_open),
        Scenario::new("hostile::who_is_believed_is_counted", 2, counts)
            .script(believed)
            .only("tcp")
            .secured(OPEN),
    ]
}

fn stranger(
    name: &'static str,
    attack: impl AsyncFn(&Stage, &str) -> Result<()> + Copy + 'static,
) -> Scenario {
    Scenario::new(name, 2, victim_and_caller)
        .script(async move |stage: &mut Stage| attacked(stage, attack).await)
        .only("tcp")
}

async fn says_nothing(_: &Stage, address: &str) -> Result<()> {
    let mut link = TcpStream::connect(address).await?;
    closed(&mut link, CLOSED_IN_TIME).await
}

async fn says_garbage(stage: &Stage, address: &str) -> Result<()> {
    let zeros = [0; 4096];
    let ones = [0xff; 4096];
    let http = b"GET / HTTP/1.1\r\nHost: somebody.else\r\n\r\n";
    let tls = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03].repeat(10);
    for garbage in [&zeros[..], &ones, http, &tls] {
        let mut link = TcpStream::connect(address).await?;
        link.write_all(garbage).await?;
        closed(&mut link, CLOSED_AT_ONCE).await?;
    }
    stage.process(0)?.logs("closing a link before its handshake").await
}

async fn announces_much(stage: &Stage, address: &str) -> Result<()> {
    // The most that a payload can be, and a part beyond every bound.
    let payload = Header { payload_bytes: u32::MAX, ..Header::control(frame::HELLO, 0) };
    let part = Header { part_count: 1, ..Header::control(frame::HELLO, 0) };
    for header in [payload, part] {
        let mut link = TcpStream::connect(address).await?;
        link.write_all(&header.to_bytes()).await?;
        // The victim may have closed by now.
        let _ = link.write_all(&(1_u64 << 40).to_le_bytes()).await;
        closed(&mut link, CLOSED_AT_ONCE).await?;
    }
    stage.process(0)?.logs("over the limit").await
}

async fn dies_mid_frame(stage: &Stage, address: &str) -> Result<()> {
    let hello = hello("somebody");
    for sent in [1, HEADER_BYTES - 1, HEADER_BYTES, hello.len() - 1] {
        let mut link = TcpStream::connect(address).await?;
        link.write_all(&hello[..sent]).await?;
        link.shutdown().await?;
        closed(&mut link, CLOSED_AT_ONCE).await?;
    }
    stage.process(0)?.logs("closing a link before its handshake").await
}

/// It is always just about to say something, so that a timeout between two bytes would never pass.
async fn one_byte_at_a_time(_: &Stage, address: &str) -> Result<()> {
    let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
    let hello = hello("somebody");
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let trickle = async {
        for byte in &hello {
            pace.tick().await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut rest = Vec::new();
    tokio::select! {
        read = tokio::time::timeout(CLOSED_IN_TIME, reader.read_to_end(&mut rest)) => {
            ensure!(read.is_ok(), "the link is still open after {CLOSED_IN_TIME:?}");
        }
        () = trickle => {}
    }
    Ok(())
}

/// It knows the protocol, and gets an answer that says why not.
async fn is_of_another_job(_: &Stage, address: &str) -> Result<()> {
    let mut link = TcpStream::connect(address).await?;
    link.write_all(&hello("another job")).await?;
    let mut answer = [0; HEADER_BYTES];
    link.read_exact(&mut answer).await?;
    ensure!(Header::from_bytes(&answer).kind == frame::REJECT);
    closed(&mut link, CLOSED_IN_TIME).await
}

async fn half_open(_: &Stage, address: &str) -> Result<()> {
    let mut links = Vec::with_capacity(HALF_OPEN);
    for _ in 0..HALF_OPEN {
        links.push(TcpStream::connect(address).await?);
    }
    for link in &mut links {
        closed(link, CLOSED_IN_TIME).await?;
    }
    Ok(())
}

/// What the sieges look at can tell: who knows the job's incarnations is believed where nothing is asked for, and
/// its request is counted three times.
async fn believed(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let victim = stage.process(0)?;
    let target: Target = serde_json::from_str(&victim.says("TARGET").await?)?;
    let hello = Hello {
        incarnation: Incarnation(target.incarnations[1]),
        expected_incarnation: Incarnation(target.incarnations[0]),
        ..hello_to(&target.job)
    };
    let mut link = TcpStream::connect(&target.address).await?;
    link.write_all(&[frame_of(&hello), request(Kind::CALL)?].concat()).await?;
    for expected in [frame::WELCOME, frame::REPLY] {
        let mut header = [0; HEADER_BYTES];
        link.read_exact(&mut header).await?;
        let header = Header::from_bytes(&header);
        ensure!(header.kind == expected, "{header:?}");
        link.read_exact(&mut vec![0; header.payload_bytes as usize]).await?;
    }
    victim.tell("COUNT").await?;
    let counts: Counts = serde_json::from_str(&victim.says("COUNTS").await?)?;
    ensure!(counts == Counts::of_calls(1), "{counts:?}");
    drop(link);
    stage.tell_all("LEAVE").await?;
    stage.all_succeed().await
}

async fn counts(mut part: Part) -> Result<()> {
    let worker = part.init().await?;
    if part.rank == 0 {
        say(format_args!("TARGET {}", serde_json::to_string(&Target::of(&worker)?)?));
        part.told("COUNT").await?;
        say(format_args!("COUNTS {}", serde_json::to_string(&Counts::of(&worker)?)?));
    }
    part.told("LEAVE").await?;
    worker.shutdown_with(rpc::Shutdown::Immediate).await?;
    Ok(())
}

/// The first frame of a worker that nobody knows.
pub(super) fn hello(job: &str) -> Vec<u8> {
    frame_of(&hello_to(job))
}

/// What such a worker says of itself.
pub(super) fn hello_to(job: &str) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        features: 0,
        incarnation: Incarnation([7; 16]),
        expected_incarnation: Incarnation([8; 16]),
        id: WorkerId(1),
        expected_id: WorkerId(0),
        last_link: 0,
        digest: 0,
        name: "worker1".into(),
        job: job.into(),
    }
}

/// `hello` as it is sent.
pub(super) fn frame_of(hello: &Hello) -> Vec<u8> {
    let payload = hello.encode();
    let header = Header { payload_bytes: payload.len() as u32, ..Header::control(frame::HELLO, 0) };
    [&header.to_bytes()[..], &payload].concat()
}
