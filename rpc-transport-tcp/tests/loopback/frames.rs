//! Frames whose bytes say where they belong, and what is awaited of them.

use std::time::Duration;

use rpc_core::wire::{Header, frame};
use rpc_core::{Body, Frame, FrameLimits, LinkError, LinkReceiver, Part, PartBuf};

pub(crate) const REQUEST: u8 = 0x10;

pub(crate) const LIMITS: FrameLimits = FrameLimits { message_bytes_max: 1 << 30, parts_max: 60_000 };

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
