//! Runtimes, pairs of links, and frames that can be recognised.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::wire::{Header, frame};
use rpc_core::{
    Body, BoxFuture, Flush, Frame, FrameLimits, Kind, Link, LinkError, LinkReceiver, Part, PartBuf,
    Transport, recv,
};

use super::Rig;

/// How long one step of a case may take before it counts as hanging. Generous: the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// More than any case but one sends.
pub(super) const WIDE: FrameLimits = FrameLimits { message_bytes_max: 2 << 30, parts_max: u16::MAX as u32 };

/// The runtime that a case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// All tasks on one thread: what waits in place of yielding is seen.
    CurrentThread,
    /// Two threads: what relies on one is seen.
    MultiThread,
}

/// Runs one case on a runtime of its own.
///
/// # Panics
/// If the case fails.
pub fn run(flavour: Flavour, rig: impl Rig, case: impl FnOnce(Arc<dyn Rig>) -> BoxFuture<'static, ()>) {
    let mut builder = match flavour {
        Flavour::CurrentThread => tokio::runtime::Builder::new_current_thread(),
        Flavour::MultiThread => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime for the case");
    runtime.block_on(case(Arc::new(rig)));
}

/// Two transports and a link between them, with wide limits.
#[derive(Debug)]
pub(super) struct Pair {
    /// The end that dialled.
    pub(super) near: Link,
    /// The end that accepted.
    pub(super) far: Link,
    pub(super) dialler: Arc<dyn Transport>,
    pub(super) acceptor: Arc<dyn Transport>,
}

impl Pair {
    pub(super) async fn new(rig: &dyn Rig) -> Self {
        let mut pair = Self::with_handshake_limits(rig).await;
        pair.near.receiver.set_limits(WIDE);
        pair.far.receiver.set_limits(WIDE);
        pair
    }

    pub(super) async fn with_handshake_limits(rig: &dyn Rig) -> Self {
        let (dialler, acceptor) = (bind(rig).await, bind(rig).await);
        let (near, far) = connect(&*dialler, &*acceptor).await;
        Self { near, far, dialler, acceptor }
    }
}

pub(super) async fn bind(rig: &dyn Rig) -> Arc<dyn Transport> {
    within("to bind", rig.bind()).await.expect("the rig binds a transport")
}

/// A link from `dialler` to `acceptor`, after its first frame.
pub(super) async fn connect(dialler: &dyn Transport, acceptor: &dyn Transport) -> (Link, Link) {
    let address = acceptor.local_address();
    let dial = async {
        let near = dialler.connect(&address).await.expect("the local address can be dialled");
        greet(&near);
        near
    };
    let accept = async {
        let mut far = acceptor.accept().await.expect("the link is accepted");
        assert!(is_greeting(recv(&mut *far.receiver).await), "the first frame arrives");
        far
    };
    within("to connect", async { tokio::join!(dial, accept) }).await
}

pub(super) fn greet(link: &Link) {
    let hello = Frame { header: Header::control(frame::HELLO, 0), body: Body::default() };
    link.sender.send(hello, Flush::Now).expect("a new link takes a frame");
}

pub(super) fn is_greeting(received: Result<Option<Frame>, LinkError>) -> bool {
    matches!(received, Ok(Some(frame)) if frame.header.kind == frame::HELLO)
}

/// Fails the case if `step` hangs.
pub(super) async fn within<T>(what: impl fmt::Display, step: impl Future<Output = T>) -> T {
    within_time(PATIENCE, what, step).await
}

pub(super) async fn within_time<T>(
    time: Duration,
    what: impl fmt::Display,
    step: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(time, step).await {
        Ok(value) => value,
        Err(_) => panic!("waited {time:?} in vain for {what}"),
    }
}

/// The next frame, which has to come.
pub(super) async fn next(receiver: &mut dyn LinkReceiver) -> Frame {
    let received = within("the next frame", recv(receiver)).await;
    received.expect("the link lives").expect("the link is not at its end")
}

/// A request of `body`, in the lane of frames that are not urgent.
pub(super) fn request(call: u64, body: Body) -> Frame {
    framed(Kind::CALL.0, call, body)
}

/// A reply of `body`, in the urgent lane.
pub(super) fn reply(call: u64, body: Body) -> Frame {
    framed(frame::REPLY, call, body)
}

fn framed(kind: u8, call: u64, body: Body) -> Frame {
    let header = Header {
        payload_bytes: u32::try_from(body.payload.len()).expect("cases keep payloads below 4 GiB"),
        part_count: u16::try_from(body.parts.len()).expect("cases keep to 65535 parts"),
        codec: 1,
        method: call ^ 0x5555,
        budget_us: call + 1,
        ..Header::control(kind, call)
    };
    Frame { header, body }
}

/// Bytes that differ by position and seed, so that a shift or a mix-up shows.
pub(super) fn payload(len: usize, seed: u64) -> Bytes {
    (0..len).map(|at| pattern(at, seed)).collect::<Vec<u8>>().into()
}

/// The same as an aligned part.
pub(super) fn part(len: usize, seed: u64) -> Part {
    let mut buf = PartBuf::zeroed(len).expect("memory for a part");
    buf.filled_mut().iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at, seed));
    buf.freeze()
}

fn pattern(at: usize, seed: u64) -> u8 {
    let at = at as u64;
    (at ^ (at >> 8) ^ (at >> 16) ^ seed) as u8
}

/// Fails the case unless `got` is `sent`, byte for byte.
pub(super) fn assert_same(got: &Frame, sent: &Frame) {
    assert_eq!(got.header, sent.header);
    assert!(got.body.payload == sent.body.payload, "another payload in call {}", sent.header.call);
    assert_eq!(got.body.parts.len(), sent.body.parts.len(), "parts of call {}", sent.header.call);
    for (at, (got, sent_part)) in got.body.parts.iter().zip(&sent.body.parts).enumerate() {
        assert!(**got == **sent_part, "another part {at} in call {}", sent.header.call);
    }
}
