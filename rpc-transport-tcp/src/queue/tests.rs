//! Small frames wait for one piece; nothing starves; every byte is counted.

use std::io::IoSlice;

use bytes::BytesMut;
use rpc_core::framing::BULK_MIN;
use rpc_core::wire::{Header, frame};
use rpc_core::{Body, FrameLimits, Part};

use super::*;
use crate::decoder::Decoder;

const WIDE: FrameLimits = FrameLimits { message_bytes_max: 1 << 30, parts_max: 100 };

fn frame_of(kind: u8, call: u64, parts: &[usize]) -> Frame {
    let header = Header { part_count: parts.len() as u16, ..Header::control(kind, call) };
    let parts = parts.iter().map(|len| Part::from_vec(vec![call as u8; *len])).collect();
    Frame { header, body: Body { payload: Default::default(), parts } }
}

/// What one batch puts on the wire.
fn next_batch(queue: &mut Queue, queued: &mut u64) -> Vec<u8> {
    let mut batch = Batch::default();
    *queued += queue.refill(&mut batch);
    let mut out = Vec::new();
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let used = batch.slices(&mut slices, 100_000);
        let len = slices[..used].iter().map(|slice| slice.len()).sum();
        slices[..used].iter().for_each(|slice| out.extend_from_slice(slice));
        batch.advance(len);
    }
    *queued -= out.len() as u64;
    out
}

/// The calls that each batch completes.
fn calls_by_batch(queue: &mut Queue, queued: &mut u64) -> Vec<Vec<u64>> {
    let (mut decoder, mut input) = (Decoder::new(WIDE), BytesMut::new());
    let mut batches = Vec::new();
    loop {
        let bytes = next_batch(queue, queued);
        if bytes.is_empty() {
            assert!(decoder.at_boundary(&input));
            return batches;
        }
        input.extend_from_slice(&bytes);
        let mut calls = Vec::new();
        while let Some(frame) = decoder.decode(&mut input).expect("it was sent by a queue") {
            calls.push(frame.header.call);
        }
        batches.push(calls);
    }
}

#[test]
fn a_small_frame_waits_for_one_piece() {
    let (mut queue, mut queued) = (Queue::new(), 0);
    queued += queue.push(frame_of(0x10, 1, &[100 * PIECE_BYTES]));
    let first = next_batch(&mut queue, &mut queued);
    assert!(first.len() < PIECE_BYTES + 100, "{} bytes before anything else", first.len());
    queued += queue.push(frame_of(0x10, 2, &[10]));
    queued += queue.push(frame_of(frame::REPLY, 3, &[10]));
    let second = next_batch(&mut queue, &mut queued);
    let kinds: Vec<_> = [6, 6 + 32 + 8 + 10, 6 + 2 * (32 + 8 + 10)].map(|at| second[at]).into();
    assert_eq!(kinds, [frame::REPLY, 0x10, frame::BULK]);
}

#[test]
fn bulk_takes_turns_and_all_of_it_is_counted() {
    let (mut queue, mut queued) = (Queue::new(), 0);
    let long = 3 * PIECE_BYTES;
    for frame in [
        frame_of(0x10, 1, &[long, BULK_MIN]),
        frame_of(0x10, 2, &[BULK_MIN]),
        frame_of(frame::REPLY, 3, &[long]),
        frame_of(frame::REPLY, 4, &[BULK_MIN]),
    ] {
        queued += queue.push(frame);
    }
    let batches = calls_by_batch(&mut queue, &mut queued);
    let by_piece: Vec<&[u64]> = batches.iter().map(Vec::as_slice).collect();
    let expected: [&[u64]; 9] = [&[], &[], &[4], &[2], &[], &[], &[3], &[], &[1]];
    assert_eq!(by_piece, expected);
    assert_eq!(queued, 0);
}

/// Far more than may be under way, and a goodbye behind it.
#[test]
fn whatever_waits_leaves_in_the_end() {
    let (mut queue, mut queued) = (Queue::new(), 0);
    for call in 1..=100 {
        queued += queue.push(frame_of(0x10, call, &[BULK_MIN]));
        queued += queue.push(frame_of(frame::CANCEL, call, &[]));
    }
    queued += queue.push(Frame { header: Header::control(frame::GOODBYE, 0), body: Body::default() });
    let calls = calls_by_batch(&mut queue, &mut queued).concat();
    assert_eq!(calls, (1..=100).flat_map(|call| [call, call]).chain([0]).collect::<Vec<u64>>());
    assert_eq!(queued, 0);
}
