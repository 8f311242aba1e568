//! Links and frames for the tests of the network.
#![allow(dead_code, reason = "each test file uses some of this")]

use std::io;
use std::task::{Context, Poll, Waker};

use rpc_core::wire::{Header, frame};
use rpc_core::{Body, Flush, Frame, FrameLimits, Kind, Link, LinkError, Transport, recv};
use rpc_testing::{MemoryNetwork, MemoryTransport};

/// `memory:0`, `memory:1`, and a link that the first has dialled.
pub(crate) struct Pair {
    pub(crate) near: Link,
    pub(crate) far: Link,
    pub(crate) a: MemoryTransport,
    pub(crate) b: MemoryTransport,
}

pub(crate) const A: &str = "memory:0";
pub(crate) const B: &str = "memory:1";

impl Pair {
    pub(crate) async fn on(network: &MemoryNetwork) -> Self {
        let (a, b) = (network.transport(), network.transport());
        let (near, far) = link(&a, &b).await;
        Self { near, far, a, b }
    }
}

/// A link from `a` to `b`.
pub(crate) async fn link(a: &MemoryTransport, b: &MemoryTransport) -> (Link, Link) {
    let mut near = a.connect(&b.local_address()).await.expect("it listens");
    let mut far = b.accept().await.expect("it was dialled");
    for link in [&mut near, &mut far] {
        link.receiver.set_limits(FrameLimits { message_bytes_max: 1 << 30, parts_max: 1 << 10 });
    }
    (near, far)
}

pub(crate) fn request(call: u64) -> Frame {
    Frame { header: Header::control(Kind::CALL.0, call), body: Body::default() }
}

pub(crate) fn reply(call: u64) -> Frame {
    Frame { header: Header::control(frame::REPLY, call), body: Body::default() }
}

pub(crate) fn request_of(call: u64, len: usize) -> Frame {
    let header = Header { payload_bytes: len as u32, ..Header::control(Kind::CALL.0, call) };
    Frame { header, body: Body::new(vec![7; len]) }
}

pub(crate) fn send(link: &Link, frame: Frame) {
    link.sender.send(frame, Flush::Now).expect("the link is up");
}

/// The call id of the next frame.
pub(crate) async fn call(link: &mut Link) -> u64 {
    let frame = recv(&mut *link.receiver).await.expect("the link lives");
    frame.expect("the link is not at its end").header.call
}

/// The call id of a frame that is there already.
pub(crate) fn ready_call(link: &mut Link) -> Option<u64> {
    match link.receiver.poll_recv(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(received) => {
            Some(received.expect("the link lives").expect("the link is not at its end").header.call)
        }
    }
}

/// How a link ended that has nothing more to give.
pub(crate) async fn end(link: &mut Link) -> Result<(), io::ErrorKind> {
    match recv(&mut *link.receiver).await {
        Ok(None) => Ok(()),
        Err(LinkError::Io(error)) => Err(error.kind()),
        other => panic!("expected an end, got {other:?}"),
    }
}
