//! How near a link comes to a bare tokio socket.
//!
//! ```text
//! cargo run --release -p rpc-transport-tcp --features tls --example echo_bench [-- NAME [SCALE]]
//! ```
//! `NAME` picks the rows that contain it, `SCALE` multiplies how long they take.
//!
//! Two threads with a single-threaded runtime each. Rows: 64-byte echoes with 1, 64 and 1024 in flight, and
//! uploads of one large part. Columns: a bare socket with the system's options, a bare socket with the
//! options of a link, the link; then the ratio of the link to the better of the two; with the feature `tls` an
//! encrypted link at last. The bare sockets use a
//! 4-byte length before each message and write everything that one read has brought at once, which is the
//! best that can be done by hand. Each figure is the median of several rounds, and rounds alternate, because
//! machines are noisy.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use rpc_core::wire::Header;
use rpc_core::{
    BindOptions, Body, Close, Flush, Frame, FrameLimits, Group, Identity, Incarnation, Link, LinkSecurity,
    Member, Part, PartBuf, Transport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_transport_tcp::TcpTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 7;
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
    #[cfg(feature = "tls")]
    Encrypted,
}

const WAYS: &[Way] = &[
    Way::Bare,
    Way::BareTuned,
    Way::Link,
    #[cfg(feature = "tls")]
    Way::Encrypted,
];

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let filter = args.next().unwrap_or_default();
    let scale: usize = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    let jobs = [
        Job::Echo { in_flight: 1, count: 20_000 * scale },
        Job::Echo { in_flight: 64, count: 300_000 * scale },
        Job::Echo { in_flight: 1024, count: 600_000 * scale },
        Job::Upload { bytes: 1 << 20, count: 200 * scale },
        Job::Upload { bytes: 16 << 20, count: 20 * scale },
        Job::Upload { bytes: 256 << 20, count: 3 * scale },
    ];
    println!(
        "{:<28} {:>14} {:>14} {:>14} {:>8} {:>14}",
        "", "bare", "bare, tuned", "link", "ratio", "encrypted"
    );
    for job in jobs.into_iter().filter(|job| job.name().contains(&filter)) {
        let mut medians = Vec::new();
        let mut times = vec![Vec::new(); WAYS.len()];
        for _ in 0..ROUNDS {
            for (way, times) in WAYS.iter().zip(&mut times) {
                times.push(run(job, *way)?);
            }
        }
        for times in &mut times {
            times.sort();
            medians.push(times[ROUNDS / 2].as_secs_f64());
        }
        let best = medians[0].min(medians[1]);
        let figures: Vec<_> = medians.iter().map(|&median| job.figure(median)).collect();
        println!(
            "{:<28} {:>14} {:>14} {:>14} {:>8.2} {:>14}",
            job.name(),
            figures[0],
            figures[1],
            figures[2],
            best / medians[2],
            figures.get(3).map_or("-", String::as_str)
        );
    }
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What the links of both ends are protected with; one certificate does for both.
fn security_of(way: Way) -> io::Result<LinkSecurity> {
    #[cfg(feature = "tls")]
    if matches!(way, Way::Encrypted) {
        let mut security = LinkSecurity::new(rpc_core::Protection::Encryption);
        security.identity = Some(rpc_security::generate().map_err(io::Error::other)?);
        return Ok(security);
    }
    let _ = way;
    Ok(LinkSecurity::default())
}

async fn transport(security: &LinkSecurity) -> io::Result<TcpTransport> {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security = security.clone();
    let transport = TcpTransport::bind(options).await?;
    let info = WorkerInfo::new(WorkerName::new("both").map_err(io::Error::other)?, WorkerId(0));
    let mut member = Member::new(info, Incarnation([0; 16]), "");
    member.fingerprint = security.identity.as_ref().map(Identity::fingerprint);
    transport.trust(&Group::new("bench", vec![member]).map_err(io::Error::other)?);
    Ok(transport)
}

/// Time of one round, without connecting.
fn run(job: Job, way: Way) -> io::Result<Duration> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let security = security_of(way)?;
    let own_security = security.clone();
    let server = std::thread::spawn(move || -> io::Result<()> {
        runtime()?.block_on(async move {
            match way {
                Way::Bare | Way::BareTuned => {
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    let _ = tell.send(listener.local_addr()?.to_string());
                    let (stream, _) = listener.accept().await?;
                    prepare(&stream, way)?;
                    match job {
                        Job::Echo { .. } => echo_bare(stream).await,
                        Job::Upload { .. } => swallow_bare(stream).await,
                    }
                }
                _ => {
                    let transport = transport(&security).await?;
                    let _ = tell.send(transport.local_address());
                    serve_link(transport.accept().await?).await
                }
            }
        })
    });
    let address = told.recv().map_err(io::Error::other)?;
    let time = runtime()?.block_on(async {
        match way {
            way if !matches!(way, Way::Bare | Way::BareTuned) => {
                let transport = transport(&own_security).await?;
                ask_link(transport.connect(&address).await?, job).await
            }
            _ => {
                let stream = TcpStream::connect(&address).await?;
                prepare(&stream, way)?;
                match job {
                    Job::Echo { in_flight, count } => ask_bare(stream, in_flight, count).await,
                    Job::Upload { bytes, count } => upload_bare(stream, bytes, count).await,
                }
            }
        }
    })?;
    server.join().map_err(|_| io::Error::other("the server panicked"))??;
    Ok(time)
}

fn prepare(stream: &TcpStream, way: Way) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    if matches!(way, Way::BareTuned) {
        socket2::SockRef::from(stream).set_tcp_congestion(b"reno")?;
    }
    Ok(())
}

/// Reads what there is; calls `message` for each whole message; returns false at the end.
async fn read_messages(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    mut message: impl FnMut(&[u8]),
) -> io::Result<bool> {
    if stream.read_buf(input).await? == 0 {
        return Ok(false);
    }
    let mut rest = &input[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((bytes, after)) = after.split_at_checked(length) else { break };
        message(bytes);
        rest = after;
    }
    let used = input.len() - rest.len();
    input.drain(..used);
    input.reserve(64 << 10);
    Ok(true)
}

fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

async fn echo_bare(mut stream: TcpStream) -> io::Result<()> {
    let (mut input, mut out) = (Vec::with_capacity(64 << 10), Vec::new());
    while read_messages(&mut stream, &mut input, |bytes| append(&mut out, bytes)).await? {
        stream.write_all(&out).await?;
        out.clear();
    }
    Ok(())
}

async fn ask_bare(mut stream: TcpStream, in_flight: usize, count: usize) -> io::Result<Duration> {
    let (mut input, mut out) = (Vec::with_capacity(64 << 10), Vec::new());
    let payload = [7; MESSAGE_BYTES];
    let start = Instant::now();
    (0..in_flight).for_each(|_| append(&mut out, &payload));
    let (mut asked, mut answered) = (in_flight, 0);
    while answered < count {
        stream.write_all(&out).await?;
        out.clear();
        read_messages(&mut stream, &mut input, |_| {
            answered += 1;
            if asked < count {
                asked += 1;
                append(&mut out, &payload);
            }
        })
        .await?;
    }
    Ok(start.elapsed())
}

/// Reads each message into fresh memory, as somebody who keeps it has to.
async fn swallow_bare(mut stream: TcpStream) -> io::Result<()> {
    let mut length = [0; 8];
    while stream.read_exact(&mut length).await.is_ok() {
        let length = u64::from_le_bytes(length) as usize;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            (&mut stream).take((length - bytes.len()) as u64).read_buf(&mut bytes).await?;
        }
        stream.write_all(&[1]).await?;
    }
    Ok(())
}

async fn upload_bare(mut stream: TcpStream, bytes: usize, count: usize) -> io::Result<Duration> {
    let data = vec![1; bytes];
    let start = Instant::now();
    for _ in 0..count {
        stream.write_all(&(bytes as u64).to_le_bytes()).await?;
        stream.write_all(&data).await?;
        stream.read_exact(&mut [0]).await?;
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
    // An encrypted link that is dropped with its runtime looks as if it had been cut.
    link.sender.close(Close::AfterQueued);
    link.sender.closed().await;
    Ok(time)
}
