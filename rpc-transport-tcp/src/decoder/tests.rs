//! Bytes cut anywhere give the frames that were sent; what breaks the framing is refused.

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_core::framing::{BULK_MIN, Batch, Lane};
use rpc_core::{Body, PART_ALIGN, Part};

use super::*;
use crate::bounds::{PIECE_BYTES, READ_BUFFER_BYTES};
use crate::queue::Queue;

const GENEROUS: FrameLimits = FrameLimits { message_bytes_max: 1 << 30, parts_max: 1000 };

fn frame_of(call: u64, payload: usize, parts: &[usize]) -> Frame {
    let bytes = |salt: u64, len: usize| vec![(call * 31 + salt) as u8; len];
    let header = Header {
        payload_bytes: payload as u32,
        part_count: parts.len() as u16,
        ..Header::control(if call.is_multiple_of(3) { frame::REPLY } else { 0x10 }, call)
    };
    let parts = (1..).zip(parts).map(|(salt, len)| Part::from_vec(bytes(salt, *len))).collect();
    Frame { header, body: Body { payload: bytes(0, payload).into(), parts } }
}

fn wire(frames: &[Frame]) -> Vec<u8> {
    let (mut queue, mut batch, mut out) = (Queue::new(), Batch::default(), Vec::new());
    frames.iter().for_each(|frame| {
        queue.push(frame.clone());
    });
    loop {
        queue.refill(&mut batch);
        if batch.is_empty() {
            return out;
        }
        while !batch.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 1];
            batch.slices(&mut slices, usize::MAX);
            let len = slices[0].len();
            out.extend_from_slice(&slices[0]);
            batch.advance(len);
        }
    }
}

/// Feeds `pieces` as a reader would: directly where the decoder says so, else through the buffer.
fn decode_pieces<'a>(
    decoder: &mut Decoder,
    input: &mut BytesMut,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Frame>, LinkError> {
    let mut frames = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            while let Some(frame) = decoder.decode(input)? {
                frames.push(frame);
            }
            let taken = match decoder.direct()? {
                Some(spare) => {
                    let len = spare.len().min(piece.len());
                    spare[..len].write_copy_of_slice(&piece[..len]);
                    // SAFETY: the line above wrote them.
                    unsafe { decoder.filled(len) };
                    len
                }
                None => {
                    let len = piece.len().min(decoder.wanted(input).max(READ_BUFFER_BYTES[0]));
                    input.extend_from_slice(&piece[..len]);
                    len
                }
            };
            piece = &piece[taken..];
        }
    }
    while let Some(frame) = decoder.decode(input)? {
        frames.push(frame);
    }
    Ok(frames)
}

fn violation(bytes: &[u8]) -> Violation {
    match decode_pieces(&mut Decoder::new(GENEROUS), &mut BytesMut::new(), [bytes].into_iter()) {
        Err(LinkError::Violation(violation)) => violation,
        other => panic!("no violation: {other:?}"),
    }
}

#[test]
fn a_stream_may_end_between_frames_only() {
    let whole = wire(&[frame_of(1, 10, &[20, BULK_MIN])]);
    for cut in (0..200).chain([whole.len() - 1, whole.len()]) {
        let (mut decoder, mut input) = (Decoder::new(GENEROUS), BytesMut::new());
        let frames = decode_pieces(&mut decoder, &mut input, [&whole[..cut]].into_iter()).unwrap();
        assert_eq!(frames.len(), usize::from(cut == whole.len()), "{cut}");
        assert_eq!(decoder.at_boundary(&input), cut == 0 || cut == whole.len(), "{cut}");
    }
}

#[test]
fn pieces_of_nothing_and_pieces_that_are_too_long_are_violations() {
    let piece = |lane, frame, item, len| ItemId { lane, frame, item }.header(len).to_bytes();
    let head = &wire(&[frame_of(1, 0, &[BULK_MIN])])[..HEADER_BYTES + 8];
    assert_eq!(violation(&piece(Lane::Normal, 0, 0, 5)), Violation::UnannouncedBulk { frame: 0, item: 0 });
    let too_long = piece(Lane::Normal, 0, 1, BULK_MIN as u32 + 1);
    assert_eq!(violation(&[head, &too_long].concat()), Violation::BulkTooLong { frame: 0, item: 1 });
    let stranger = piece(Lane::Urgent, 0, 1, 5);
    assert_eq!(violation(&[head, &stranger].concat()), Violation::UnannouncedBulk { frame: 0, item: 1 });
    let mut nowhere = piece(Lane::Normal, 0, 1, 5);
    nowhere[7] = 2;
    assert_eq!(violation(&nowhere), Violation::UnknownLane(2));
}

#[test]
fn no_memory_for_a_frame_within_the_limits_is_an_error() {
    let limits = FrameLimits { message_bytes_max: u64::MAX, parts_max: 1 };
    let header = Header { part_count: 1, ..Header::control(0x10, 1) };
    let piece = ItemId { lane: Lane::Normal, frame: 0, item: 1 }.header(100_000);
    let bytes = [&header.to_bytes()[..], &(1_u64 << 62).to_le_bytes(), &piece.to_bytes(), &[0]].concat();
    let refused = decode_pieces(&mut Decoder::new(limits), &mut BytesMut::new(), [&bytes[..]].into_iter());
    assert!(matches!(refused, Err(LinkError::OutOfMemory(_))));
}

/// The wire format, in the order in which this transport sends it.
#[test]
fn the_bytes_of_a_frame_with_bulk_are_pinned() {
    let bytes = wire(&[frame_of(4, 2, &[PIECE_BYTES + 1, 1])]);
    let bulk = |len: u32| ItemId { lane: Lane::Normal, frame: 0, item: 1 }.header(len).to_bytes();
    #[rustfmt::skip]
    let golden = [
        &[2, 0, 0, 0,  2, 0,  0x10,  0,  4, 0, 0, 0, 0, 0, 0, 0][..], &[0; 16],
        &[124, 124],
        &[1, 0, 4, 0, 0, 0, 0, 0,  1, 0, 0, 0, 0, 0, 0, 0],
        &[126],
        &bulk(PIECE_BYTES as u32), &[125; PIECE_BYTES],
        &bulk(1), &[125],
    ];
    assert!(bytes == golden.concat());
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..100,
        1 => (BULK_MIN - 2)..(BULK_MIN + 3),
        1 => 0_usize..(PIECE_BYTES * 2),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bytes_cut_anywhere_give_the_frames_that_were_sent(
        frames in vec((len(), vec(len(), 0..4)), 0..12),
        cuts in vec(1_usize..400_000, 1..20),
    ) {
        let frames: Vec<_> =
            (1..).zip(&frames).map(|(call, (payload, parts))| frame_of(call, *payload, parts)).collect();
        let stream = wire(&frames);
        let mut rest = &stream[..];
        let pieces = cuts.iter().cycle().map_while(|&cut| {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let mut decoder = Decoder::new(GENEROUS);
        let mut input = BytesMut::new();
        let mut decoded = decode_pieces(&mut decoder, &mut input, pieces).unwrap();
        prop_assert!(decoder.at_boundary(&input));
        prop_assert_eq!(decoded.len(), frames.len());
        decoded.sort_by_key(|frame| frame.header.call);
        for (got, sent) in decoded.iter().zip(&frames) {
            prop_assert_eq!(got.header, sent.header);
            prop_assert!(got.body.payload == sent.body.payload);
            prop_assert_eq!(got.body.parts.len(), sent.body.parts.len());
            for (got, part) in got.body.parts.iter().zip(&sent.body.parts) {
                prop_assert!(got[..] == part[..]);
                prop_assert_eq!(got.as_ptr() as usize % PART_ALIGN, 0);
            }
        }
    }

    #[test]
    fn garbage_never_panics_and_never_makes_more_than_arrived(
        garbage in vec(any::<u8>(), 0..2000),
        mut start in vec(any::<u8>(), HEADER_BYTES),
        kind in prop_oneof![any::<u8>(), Just(frame::BULK), Just(frame::MARK)],
    ) {
        // A small announcement more often than chance would have it, so that later stages are reached.
        start[2..4].fill(0);
        start[5] = 0;
        start[6] = kind;
        let limits = FrameLimits { message_bytes_max: 1 << 20, parts_max: 255 };
        for bytes in [garbage.clone(), [start, garbage].concat()] {
            let mut decoder = Decoder::new(limits);
            if let Ok(frames) = decode_pieces(&mut decoder, &mut BytesMut::new(), [&bytes[..]].into_iter()) {
                let sum: u64 = frames.iter().map(|frame| frame.body.len_bytes()).sum();
                prop_assert!(sum <= bytes.len() as u64);
            }
        }
    }
}
