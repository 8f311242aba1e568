//! How near a link comes to a bare connection of quinn.
//!
//! ```text
//! cargo run --release -p rpc-transport-quic --example echo_bench [-- NAME [SCALE]]
//! ```
//! `NAME` picks the rows that contain it, `SCALE` multiplies how long they take.
//!
//! Two threads with a single-threaded runtime each. Rows: 64-byte echoes with 1, 64 and 1024 in flight, and
//! uploads of one large part. Columns: quinn as it comes, quinn with the windows and datagrams of a link, the link;
//! then the ratio of the link to the better of the two. The bare connections have one stream for each direction, with a
//! 4-byte length before each message, and one more for each upload; they write everything that one read has
//! brought at once, which is the best that can be done by hand. Each figure is the median of several rounds, and
//! rounds alternate, because machines are noisy.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use rpc_core::wire::Header;
use rpc_core::{
    BindOptions, Body, Close, Flush, Frame, FrameLimits, Group, Identity, Incarnation, Link, Member, Part,
    PartBuf, Transport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_security::{Roster, rustls_configs};
use rpc_transport_quic::QuicTransport;

const ROUNDS: usize = 5;
const MESSAGE_BYTES: usize = 64;
const LIMITS: FrameLimits = FrameLimits { message_bytes_max: 1 << 32, parts_max: 16 };

#[derive(Clone, Copy, Debug)]
enum Job {
    Echo { in_flight: usize, count: usize },
    Upload { bytes: usize, count: usize },
}

impl Job {
    fn name(self) -> String {
        match self {
            Self::Echo { in_flight: 1, .. } => "echo, one at a time".to_owned(),
            Self::Echo { in_flight, .. } => format!("echo, {in_flight} in flight"),
            Self::Upload { bytes, .. } => format!("upload, {} MiB", bytes >> 20),
        }
    }

    fn figure(self, seconds: f64) -> String {
        match self {
            Self::Echo { in_flight: 1, count } => format!("{:.2} us", seconds / count as f64 * 1e6),
            Self::Echo { count, .. } => format!("{:.0} k/s", count as f64 / seconds / 1e3),
            Self::Upload { bytes, count } => format!("{:.2} GB/s", (bytes * count) as f64 / seconds / 1e9),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Bare,
    BareTuned,
    Link,
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let filter = args.next().unwrap_or_default();
    let who = Arc::new(Who::new()?);
    let scale: usize = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    let jobs = [
        Job::Echo { in_flight: 1, count: 10_000 * scale },
        Job::Echo { in_flight: 64, count: 200_000 * scale },
        Job::Echo { in_flight: 1024, count: 400_000 * scale },
        Job::Upload { bytes: 1 << 20, count: 100 * scale },
        Job::Upload { bytes: 16 << 20, count: 10 * scale },
        Job::Upload { bytes: 256 << 20, count: 2 * scale },
    ];
    println!("{:<28} {:>14} {:>14} {:>14} {:>8}", "", "bare", "bare, tuned", "link", "ratio");
    for job in jobs.into_iter().filter(|job| job.name().contains(&filter)) {
        let mut medians = Vec::new();
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (way, times) in [Way::Bare, Way::BareTuned, Way::Link].into_iter().zip(&mut times) {
                times.push(run(&who, job, way)?);
            }
        }
        for times in &mut times {
            times.sort();
            medians.push(times[ROUNDS / 2].as_secs_f64());
        }
        let best = medians[0].min(medians[1]);
        let figures: Vec<_> = medians.iter().map(|&median| job.figure(median)).collect();
        println!(
            "{:<28} {:>14} {:>14} {:>14} {:>8.2}",
            job.name(),
            figures[0],
            figures[1],
            figures[2],
            best / medians[2]
        );
    }
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Who both ends are: one member of a group of one.
struct Who {
    identity: Identity,
    group: Group,
}

impl Who {
    fn new() -> io::Result<Self> {
        let identity = rpc_security::generate().map_err(io::Error::other)?;
        let name = WorkerName::new("bench").map_err(io::Error::other)?;
        let mut member = Member::new(WorkerInfo::new(name, WorkerId(0)), Incarnation([1; 16]), "");
        member.fingerprint = Some(identity.fingerprint());
        let group = Group::new("bench", vec![member]).map_err(io::Error::other)?;
        Ok(Self { identity, group })
    }

    async fn transport(&self) -> io::Result<QuicTransport> {
        let mut options = BindOptions::new("127.0.0.1:0");
        options.security.identity = Some(self.identity.clone());
        let transport = QuicTransport::bind(options).await?;
        transport.trust(&self.group);
        Ok(transport)
    }

    fn endpoint(&self, way: Way) -> io::Result<Endpoint> {
        let roster = Roster::default();
        roster.trust(&self.group);
        let server =
            rustls_configs::link_server(&self.identity, &roster, b"bare").map_err(io::Error::other)?;
        let client =
            rustls_configs::link_client(&self.identity, &roster, b"bare").map_err(io::Error::other)?;
        let mut transport = TransportConfig::default();
        let mut endpoint = EndpointConfig::default();
        if matches!(way, Way::BareTuned) {
            endpoint.max_udp_payload_size(MTU).map_err(io::Error::other)?;
            transport
                .initial_mtu(MTU)
                .stream_receive_window(VarInt::from_u32(16 << 20))
                .receive_window(VarInt::from_u32(32 << 20))
                .send_window(16 << 20);
        }
        let transport = Arc::new(transport);
        let server = QuicServerConfig::try_from(server).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(Arc::clone(&transport));
        let client = QuicClientConfig::try_from(client).map_err(io::Error::other)?;
        let mut client = ClientConfig::new(Arc::new(client));
        client.transport_config(transport);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let mut endpoint = Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))?;
        endpoint.set_default_client_config(client);
        Ok(endpoint)
    }
}

/// Ten datagrams of it fit into one system call, which quinn does not see to.
const MTU: u16 = 6_500;

/// Time of one round, without connecting.
fn run(who: &Arc<Who>, job: Job, way: Way) -> io::Result<Duration> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let server_who = Arc::clone(who);
    let server = std::thread::spawn(move || -> io::Result<()> {
        runtime()?.block_on(async move {
            match way {
                Way::Link => {
                    let transport = server_who.transport().await?;
                    let _ = tell.send(transport.local_address());
                    serve_link(transport.accept().await?).await
                }
                Way::Bare | Way::BareTuned => {
                    let endpoint = server_who.endpoint(way)?;
                    let _ = tell.send(endpoint.local_addr()?.to_string());
                    let incoming = endpoint.accept().await.ok_or(io::ErrorKind::UnexpectedEof)?;
                    serve_bare(incoming.await?, job).await
                }
            }
        })
    });
    let address = told.recv().map_err(io::Error::other)?;
    let time = runtime()?.block_on(async {
        match way {
            Way::Link => ask_link(who.transport().await?.connect(&address).await?, job).await,
            Way::Bare | Way::BareTuned => {
                let endpoint = who.endpoint(way)?;
                let address = address.parse().map_err(io::Error::other)?;
                let connection = endpoint.connect(address, "0.0.0.0").map_err(io::Error::other)?.await?;
                let time = ask_bare(&connection, job).await;
                connection.close(VarInt::from_u32(0), b"");
                endpoint.wait_idle().await;
                time
            }
        }
    })?;
    server.join().map_err(|_| io::Error::other("the server panicked"))??;
    Ok(time)
}

/// Reads what there is; calls `message` for each whole message; returns false at the end.
async fn read_messages(
    stream: &mut RecvStream,
    input: &mut Vec<u8>,
    mut message: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await else { return Ok(false) };
    input.extend_from_slice(&chunk.bytes);
    let mut rest = &input[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((bytes, after)) = after.split_at_checked(length) else { break };
        message(bytes);
        rest = after;
    }
    let used = input.len() - rest.len();
    input.drain(..used);
    Ok(true)
}

fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

async fn serve_bare(connection: Connection, job: Job) -> io::Result<()> {
    let mut answers = connection.open_uni().await?;
    match job {
        Job::Echo { .. } => {
            let asked = connection.accept_uni().await?;
            let _ = echo_bare(asked, answers).await;
        }
        // Reads each message into fresh memory, as somebody who keeps it has to.
        Job::Upload { bytes, .. } => {
            while let Ok(mut upload) = connection.accept_uni().await {
                let mut message = Vec::with_capacity(bytes);
                while let Ok(Some(chunk)) = upload.read_chunk(usize::MAX, true).await {
                    message.extend_from_slice(&chunk.bytes);
                }
                if answers.write_all(&[1]).await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn echo_bare(mut asked: RecvStream, mut answers: SendStream) -> io::Result<()> {
    let (mut input, mut out) = (Vec::with_capacity(64 << 10), Vec::new());
    while read_messages(&mut asked, &mut input, |bytes| append(&mut out, bytes)).await? {
        answers.write_all(&out).await?;
        out.clear();
    }
    Ok(())
}

async fn ask_bare(connection: &Connection, job: Job) -> io::Result<Duration> {
    match job {
        Job::Echo { in_flight, count } => echoes_bare(connection, in_flight, count).await,
        Job::Upload { bytes, count } => {
            let data = bytes::Bytes::from(vec![1; bytes]);
            let start = Instant::now();
            let mut answers = None;
            for _ in 0..count {
                let mut upload = connection.open_uni().await?;
                for piece in (0..bytes).step_by(256 << 10) {
                    upload.write_chunk(data.slice(piece..bytes.min(piece + (256 << 10)))).await?;
                }
                upload.finish().map_err(io::Error::other)?;
                if answers.is_none() {
                    answers = Some(connection.accept_uni().await?);
                }
                if let Some(answers) = &mut answers {
                    answers.read_exact(&mut [0]).await.map_err(io::Error::other)?;
                }
            }
            Ok(start.elapsed())
        }
    }
}

async fn echoes_bare(connection: &Connection, in_flight: usize, count: usize) -> io::Result<Duration> {
    let mut asking = connection.open_uni().await?;
    let (mut input, mut out) = (Vec::with_capacity(64 << 10), Vec::new());
    let payload = [7; MESSAGE_BYTES];
    let start = Instant::now();
    (0..in_flight).for_each(|_| append(&mut out, &payload));
    asking.write_all(&out).await?;
    out.clear();
    let mut answers = connection.accept_uni().await?;
    let (mut asked, mut answered) = (in_flight, 0);
    while answered < count {
        read_messages(&mut answers, &mut input, |_| {
            answered += 1;
            if asked < count {
                asked += 1;
                append(&mut out, &payload);
            }
        })
        .await?;
        asking.write_all(&out).await?;
        out.clear();
    }
    Ok(start.elapsed())
}

fn frame(kind: u8, call: u64, payload: &[u8], parts: Vec<Part>) -> Frame {
    let header = Header {
        payload_bytes: payload.len() as u32,
        part_count: parts.len() as u16,
        ..Header::control(kind, call)
    };
    Frame { header, body: Body { payload: bytes::Bytes::copy_from_slice(payload), parts } }
}

/// The next frame. Before it waits for one it writes what has been queued.
async fn next(link: &mut Link) -> io::Result<Option<Frame>> {
    poll_fn(|cx| match link.receiver.poll_recv(cx) {
        Poll::Pending => {
            link.sender.flush();
            Poll::Pending
        }
        ready => ready,
    })
    .await
    .map_err(io::Error::other)
}

async fn serve_link(mut link: Link) -> io::Result<()> {
    link.receiver.set_limits(LIMITS);
    while let Some(Frame { mut header, mut body }) = next(&mut link).await? {
        header.kind = rpc_core::wire::frame::REPLY;
        header.part_count = 0;
        body.parts.clear();
        link.sender.send(Frame { header, body }, Flush::Later).map_err(io::Error::other)?;
    }
    Ok(())
}

async fn ask_link(mut link: Link, job: Job) -> io::Result<Duration> {
    link.receiver.set_limits(LIMITS);
    let (in_flight, count, parts) = match job {
        Job::Echo { in_flight, count } => (in_flight, count, Vec::new()),
        Job::Upload { bytes, count } => {
            let mut data = PartBuf::zeroed(bytes).map_err(io::Error::other)?;
            data.filled_mut().fill(1);
            (1, count, vec![data.freeze()])
        }
    };
    let payload = [7; MESSAGE_BYTES];
    let start = Instant::now();
    let ask = |asked: usize, link: &Link| {
        link.sender
            .send(frame(0x10, asked as u64, &payload, parts.clone()), Flush::Later)
            .map_err(io::Error::other)
    };
    for asked in 0..in_flight {
        ask(asked, &link)?;
    }
    let mut asked = in_flight;
    for _ in 0..count {
        next(&mut link).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if asked < count {
            ask(asked, &link)?;
            asked += 1;
        }
    }
    let time = start.elapsed();
    link.sender.close(Close::AfterQueued);
    link.sender.closed().await;
    Ok(time)
}
