//! Writes of any size give the heads of each lane, whole and in order.

use std::io::IoSlice;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::part::Part;

const REQUEST: u8 = 0x10;

fn frame_of(kind: u8, call: u64, payload: usize, parts: &[usize]) -> Frame {
    // Each byte depends on its place and on the frame, so that a swap of any two is seen.
    let bytes = |salt: u64, len: usize| -> Vec<u8> {
        (0..len as u64).map(|at| (at ^ (at >> 8) ^ call.wrapping_mul(31) ^ salt) as u8).collect()
    };
    let header = Header {
        payload_bytes: payload as u32,
        part_count: parts.len() as u16,
        method: call * 7,
        ..Header::control(kind, call)
    };
    let parts =
        parts.iter().enumerate().map(|(at, &len)| Part::from_vec(bytes(at as u64 + 1, len))).collect();
    Frame { header, body: Body { payload: bytes(0, payload).into(), parts } }
}

/// The bytes of a frame's head as the wire format defines them.
fn wire(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.header.to_bytes().to_vec();
    bytes.extend(frame.body.payload.iter().filter(|_| frame.body.payload.len() < BULK_MIN));
    for part in &frame.body.parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    }
    for part in frame.body.parts.iter().filter(|part| part.len() < BULK_MIN) {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Takes from both lanes, as a transport with one stream does.
fn refill(outbox: &mut Outbox, batch: &mut Batch) {
    outbox.take_heads(Lane::Urgent, batch);
    outbox.take_heads(Lane::Normal, batch);
}

/// Whether a head of `lane` has not been taken.
fn has_heads(outbox: &Outbox, lane: Lane) -> bool {
    !outbox.lanes[lane as usize].segments.is_empty()
}

/// As a transport that tries the short way first; `None`: there is none.
fn lone(outbox: &mut Outbox) -> Option<Vec<u8>> {
    let bytes = outbox.take_lone()?;
    let copy = bytes.clone();
    outbox.reuse(bytes);
    Some(copy)
}

/// Writes up to `max` bytes of the batch, in as few or many slices as `slices_max` allows.
fn write(batch: &mut Batch, slices_max: usize, max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let mut slices = vec![IoSlice::new(&[]); slices_max];
        let used = batch.slices(&mut slices, max);
        slices[..used].iter().for_each(|slice| out.extend_from_slice(slice));
    }
    batch.advance(out.len());
    out
}

#[test]
fn what_is_lone_is_all_that_is_queued() {
    let mut outbox = Outbox::default();
    assert_eq!(lone(&mut outbox), None);
    let few = [frame_of(REQUEST, 1, 10, &[]), frame_of(REQUEST, 2, 0, &[3])];
    for frame in &few {
        outbox.push(frame.clone());
    }
    assert_eq!(lone(&mut outbox), Some(few.iter().flat_map(wire).collect()));
    assert!(outbox.is_empty() && outbox.idle_bytes() > 0, "its memory is kept");

    outbox.push(few[0].clone());
    outbox.push(frame_of(frame::REPLY, 3, 10, &[]));
    assert_eq!(lone(&mut outbox), None, "both lanes have something");
    write_all(&mut outbox);
    outbox.push(frame_of(REQUEST, 4, COPIED_PAYLOAD_MAX + 1, &[]));
    assert_eq!(lone(&mut outbox), None, "what is shared is a run of its own");
    write_all(&mut outbox);
    outbox.push(frame_of(REQUEST, 5, BULK_MIN, &[]));
    assert_eq!(lone(&mut outbox), None, "bulk goes with it");
    write_all(&mut outbox);
    outbox.push(frame_of(REQUEST, 5, 0, &[]));
    assert_eq!(lone(&mut outbox), None, "it waits for the bulk of its call");
    discard_bulk(&mut outbox);
    assert_eq!(lone(&mut outbox).map(|bytes| bytes.len()), Some(HEADER_BYTES));

    outbox.push(few[0].clone());
    outbox.push(frame_of(frame::GOODBYE, 0, 0, &[]));
    assert_eq!(lone(&mut outbox), None, "something waits until this is taken");
    assert_eq!(write_all(&mut outbox).len(), wire(&few[0]).len() + HEADER_BYTES);
}

#[test]
fn a_batch_may_begin_with_the_rest_of_what_was_lone() {
    let mut outbox = Outbox::default();
    let frames = [frame_of(REQUEST, 1, 10, &[]), frame_of(REQUEST, 2, 20, &[])];
    outbox.push(frames[0].clone());
    let bytes = outbox.take_lone().unwrap();
    let mut batch = Batch::rest_of(bytes, 7);
    outbox.push(frames[1].clone());
    refill(&mut outbox, &mut batch);
    let mut out = Vec::new();
    while !batch.is_empty() {
        out.extend(write(&mut batch, 1, 5));
    }
    assert_eq!(out, frames.iter().flat_map(wire).skip(7).collect::<Vec<u8>>());
}

fn write_all(outbox: &mut Outbox) -> Vec<u8> {
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    loop {
        refill(outbox, &mut batch);
        if batch.is_empty() {
            return out;
        }
        while !batch.is_empty() {
            out.extend(write(&mut batch, 64, usize::MAX));
        }
    }
}

/// Takes bulk as if it were written at once, and returns how much it was.
fn discard_bulk(outbox: &mut Outbox) -> u64 {
    let mut bytes = 0;
    for lane in Lane::ALL {
        while let Some(bulk) = outbox.take_bulk(lane) {
            assert!(bulk.items.iter().all(|(_, item)| item.len() >= BULK_MIN));
            bytes += bulk.items.iter().map(|(_, item)| item.len() as u64).sum::<u64>();
            outbox.done(lane, bulk.number);
        }
    }
    bytes
}

#[test]
fn the_bytes_of_a_whole_frame_are_pinned() {
    let header = Header {
        payload_bytes: 3,
        part_count: 2,
        kind: REQUEST,
        codec: 1,
        call: 0x0807_0605_0403_0201,
        method: 0x1817_1615_1413_1211,
        budget_us: 60_000_000,
    };
    let parts = vec![Part::from_vec(vec![0xaa_u8, 0xbb]), Part::from_vec(vec![1_u16])];
    let mut outbox = Outbox::default();
    let len = outbox.push(Frame { header, body: Body { payload: Bytes::from_static(b"abc"), parts } });
    #[rustfmt::skip]
    let golden = [
        3, 0, 0, 0,  2, 0,  0x10,  1,
        1, 2, 3, 4, 5, 6, 7, 8,
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        0, 0x87, 0x93, 3, 0, 0, 0, 0,
        b'a', b'b', b'c',
        2, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 0, 0, 0, 0,
        0xaa, 0xbb,
        1, 0,
    ];
    assert_eq!(write_all(&mut outbox), golden);
    assert_eq!(len, golden.len() as u64);
}

#[test]
fn an_urgent_frame_goes_before_normal_ones_that_no_batch_has_taken() {
    let mut outbox = Outbox::default();
    let first = frame_of(REQUEST, 1, 0, &[BULK_MIN - 1; 3]);
    let second = frame_of(REQUEST, 2, 10, &[]);
    let reply = frame_of(frame::REPLY, 3, 10, &[]);
    outbox.push(first.clone());
    outbox.push(second.clone());
    let mut batch = Batch::default();
    refill(&mut outbox, &mut batch);
    outbox.push(reply.clone());
    let mut out = Vec::new();
    while !batch.is_empty() {
        out.extend(write(&mut batch, 64, 1000));
    }
    out.extend(write_all(&mut outbox));
    assert_eq!(out, [wire(&first), wire(&reply), wire(&second)].concat());
}

#[test]
fn a_flood_of_urgent_frames_does_not_starve_the_normal_lane() {
    let mut outbox = Outbox::default();
    outbox.push(frame_of(REQUEST, 1, 10, &[]));
    for call in 1..=100 {
        outbox.push(frame_of(frame::REPLY, call, 10_000, &[]));
    }
    let mut batch = Batch::default();
    refill(&mut outbox, &mut batch);
    assert!(has_heads(&outbox, Lane::Urgent), "the flood is longer than one batch");
    assert!(!has_heads(&outbox, Lane::Normal), "and the normal frame is in the first");
}

#[test]
fn long_bytes_are_shared_and_small_ones_are_gathered_into_one_slice() {
    let mut outbox = Outbox::default();
    let part = Part::from_vec(vec![7_u8; COPIED_PART_MAX + 1]);
    let payload = Bytes::from(vec![8; COPIED_PAYLOAD_MAX + 1]);
    for call in 1..4 {
        outbox.push(frame_of(REQUEST, call, 64, &[8]));
    }
    let mut big = frame_of(REQUEST, 10, 0, &[]);
    big.header.part_count = 1;
    big.header.payload_bytes = payload.len() as u32;
    big.body = Body { payload: payload.clone(), parts: vec![part.clone()] };
    outbox.push(big);
    let mut batch = Batch::default();
    refill(&mut outbox, &mut batch);
    let mut slices = [IoSlice::new(&[]); 64];
    assert_eq!(batch.slices(&mut slices, usize::MAX), 4, "gathered, payload, lengths, part");
    assert_eq!((slices[1].as_ptr(), slices[3].as_ptr()), (payload.as_ptr(), part.as_ptr()));
}

#[test]
fn after_a_burst_little_memory_is_kept_and_a_quiet_link_allocates_nothing() {
    let mut outbox = Outbox::default();
    for call in 1..10_000 {
        outbox.push(frame_of(REQUEST, call, 100, &[5000]));
        outbox.push(frame_of(frame::REPLY, call, 100, &[]));
    }
    write_all(&mut outbox);
    let mut batch = Batch::default();
    let mut memory = None;
    for call in 1..100 {
        outbox.push(frame_of(REQUEST, call, 64, &[]));
        refill(&mut outbox, &mut batch);
        let mut slices = [IoSlice::new(&[]); 1];
        batch.slices(&mut slices, usize::MAX);
        let address = slices[0].as_ptr();
        assert!(memory.is_none_or(|before| before == address), "the same segment serves again");
        memory = Some(address);
        batch.advance(96);
        refill(&mut outbox, &mut batch);
    }
    assert!(outbox.idle_bytes() <= 12 << 10, "{}", outbox.idle_bytes());
}

#[derive(Clone, Debug)]
enum Step {
    Push { urgent: bool, payload: usize, parts: Vec<usize> },
    Write { slices_max: usize, max: usize },
}

/// Lengths around every bound at which a byte is treated otherwise.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..200,
        1 => (COPIED_PART_MAX - 2)..(COPIED_PART_MAX + 3),
        1 => (COPIED_PAYLOAD_MAX - 2)..(COPIED_PAYLOAD_MAX + 3),
        1 => (BULK_MIN - 2)..(BULK_MIN + 3),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<bool>(), len(), vec(len(), 0..4)).prop_map(|(urgent, payload, parts)| Step::Push {
            urgent,
            payload,
            parts
        }),
        (1_usize..65, 1_usize..100_000).prop_map(|(slices_max, max)| Step::Write { slices_max, max }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a write takes, the bytes are whole heads, and those of a lane are in order.
    #[test]
    fn partial_writes_give_exactly_the_heads_in_lane_order(steps in vec(step(), 0..60)) {
        let mut outbox = Outbox::default();
        let mut batch = Batch::default();
        let mut lanes = [VecDeque::new(), VecDeque::new()];
        let (mut out, mut queued) = (Vec::new(), 0);
        for (call, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { urgent, payload, parts } => {
                    let kind = if urgent { frame::REPLY } else { REQUEST };
                    let frame = frame_of(kind, call as u64 + 1, payload, &parts);
                    lanes[usize::from(urgent)].push_back(wire(&frame));
                    queued += outbox.push(frame);
                }
                Step::Write { slices_max, max } => {
                    let lone = (batch.is_empty() && slices_max % 2 == 1).then(|| outbox.take_lone()).flatten();
                    if let Some(bytes) = lone {
                        let taken = max.min(bytes.len());
                        out.extend_from_slice(&bytes[..taken]);
                        match bytes.get(taken) {
                            Some(_) => batch = Batch::rest_of(bytes, taken),
                            None => outbox.reuse(bytes),
                        }
                        continue;
                    }
                    if batch.is_empty() {
                        refill(&mut outbox, &mut batch);
                        queued -= discard_bulk(&mut outbox);
                    }
                    out.extend(write(&mut batch, slices_max, max));
                }
            }
        }
        while !batch.is_empty() {
            out.extend(write(&mut batch, 3, 50_000));
        }
        loop {
            queued -= discard_bulk(&mut outbox);
            let heads = write_all(&mut outbox);
            if heads.is_empty() {
                break;
            }
            out.extend(heads);
        }
        prop_assert_eq!(out.len() as u64, queued);
        prop_assert!(outbox.is_empty());

        let mut rest = &out[..];
        while !rest.is_empty() {
            let urgent = rest[6] == frame::REPLY;
            let expected: Vec<u8> = lanes[usize::from(urgent)].pop_front().expect("no frame is written twice");
            prop_assert!(rest.starts_with(&expected));
            rest = &rest[expected.len()..];
        }
        prop_assert!(lanes.iter().all(VecDeque::is_empty), "every frame is written");
    }
}
