//! Transports of one group, links between them, and frames whose bytes say where they belong.

use std::time::Duration;

use rpc_core::wire::{Header, frame};
use rpc_core::{
    BindOptions, Body, Frame, FrameLimits, Group, Identity, Incarnation, Link, LinkError, LinkReceiver,
    Member, Part, PartBuf, Transport, WorkerId, WorkerInfo, WorkerName,
};
use rpc_transport_quic::QuicTransport;

pub(crate) const REQUEST: u8 = 0x10;
pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

pub(crate) const LIMITS: FrameLimits = FrameLimits { message_bytes_max: 1 << 30, parts_max: 60_000 };

pub(crate) fn identity() -> Identity {
    rpc_security::generate().unwrap()
}

/// A group of the holders of these identities.
pub(crate) fn group_of(identities: &[&Identity]) -> Group {
    let member = |(rank, identity): (usize, &&Identity)| {
        let name = WorkerName::new(format!("worker{rank}")).unwrap();
        let info = WorkerInfo::new(name, WorkerId(rank as u32));
        let mut member = Member::new(info, Incarnation([rank as u8; 16]), "");
        member.fingerprint = Some(identity.fingerprint());
        member
    };
    Group::new("job", identities.iter().enumerate().map(member).collect()).unwrap()
}

/// A transport of the holder of `identity`, who trusts `group`.
pub(crate) async fn bind_as(identity: &Identity, group: &Group) -> QuicTransport {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security.identity = Some(identity.clone());
    let transport = QuicTransport::bind(options).await.unwrap();
    transport.trust(group);
    transport
}

/// Two transports that trust each other.
pub(crate) async fn bind_two() -> (QuicTransport, QuicTransport) {
    let (one, other) = (identity(), identity());
    let group = group_of(&[&one, &other]);
    (bind_as(&one, &group).await, bind_as(&other, &group).await)
}

/// Two transports, and the two ends of a link from the first to the second.
pub(crate) struct Pair {
    pub(crate) near: Link,
    pub(crate) far: Link,
    /// Nobody can be accepted or dialled any more when these are dropped; links live on.
    pub(crate) _transports: (QuicTransport, QuicTransport),
}

pub(crate) async fn pair() -> Pair {
    let (dialler, acceptor) = bind_two().await;
    let address = acceptor.local_address();
    let (near, far) = connect(&dialler, &acceptor, &address).await;
    Pair { near, far, _transports: (dialler, acceptor) }
}

/// A link to `address`, which leads to `acceptor`.
pub(crate) async fn connect(
    dialler: &QuicTransport,
    acceptor: &QuicTransport,
    address: &str,
) -> (Link, Link) {
    let (dialled, accepted) = soon(async { tokio::join!(dialler.connect(address), acceptor.accept()) }).await;
    let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    dialled.receiver.set_limits(LIMITS);
    accepted.receiver.set_limits(LIMITS);
    (dialled, accepted)
}

/// Bytes that differ by place and by `salt`.
pub(crate) fn bytes(salt: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at ^ (at >> 8) ^ (at >> 16) ^ salt.wrapping_mul(37)) as u8).collect()
}

pub(crate) fn frame_with(kind: u8, call: u64, payload: usize, parts: &[usize]) -> Frame {
    let header = Header {
        payload_bytes: payload as u32,
        part_count: parts.len() as u16,
        method: call ^ 0xabcd,
        budget_us: 17,
        ..Header::control(kind, call)
    };
    let part = |(at, &len): (usize, &usize)| -> Part {
        PartBuf::copy_of(&bytes(call + at as u64 + 1, len)).unwrap().freeze()
    };
    let body =
        Body { payload: bytes(call, payload).into(), parts: parts.iter().enumerate().map(part).collect() };
    Frame { header, body }
}

pub(crate) fn request(call: u64, payload: usize, parts: &[usize]) -> Frame {
    frame_with(REQUEST, call, payload, parts)
}

pub(crate) fn reply(call: u64, payload: usize) -> Frame {
    frame_with(frame::REPLY, call, payload, &[])
}

#[track_caller]
pub(crate) fn assert_same(got: &Frame, sent: &Frame) {
    assert_eq!(got.header, sent.header);
    assert!(got.body.payload == sent.body.payload, "payload of call {}", sent.header.call);
    assert_eq!(got.body.parts.len(), sent.body.parts.len());
    for (at, (got, sent)) in got.body.parts.iter().zip(&sent.body.parts).enumerate() {
        assert!(got[..] == sent[..], "part {at}");
    }
}

/// The next frame; a test that waits for one that never comes fails instead of hanging.
pub(crate) async fn next(receiver: &mut Box<dyn LinkReceiver>) -> Result<Option<Frame>, LinkError> {
    soon(rpc_core::recv(&mut **receiver)).await
}

pub(crate) async fn next_frame(receiver: &mut Box<dyn LinkReceiver>) -> Frame {
    next(receiver).await.expect("the link works").expect("and goes on")
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("should have happened long ago")
}
