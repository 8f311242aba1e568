//! Bytes cut anywhere give the heads that were sent; what breaks the limits is refused.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Violation;
use crate::part::PART_ALIGN;

const GENEROUS: FrameLimits = FrameLimits { message_bytes_max: 1 << 30, parts_max: 1000 };

fn header(payload_bytes: u32, part_count: u16) -> Header {
    Header { payload_bytes, part_count, method: 5, ..Header::control(0x10, 9) }
}

fn wire(payload: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    let small = |bytes: &[u8]| if bytes.len() < BULK_MIN { bytes.to_vec() } else { Vec::new() };
    let mut bytes = header(payload.len() as u32, parts.len() as u16).to_bytes().to_vec();
    bytes.extend(small(payload));
    parts.iter().for_each(|part| bytes.extend_from_slice(&(part.len() as u64).to_le_bytes()));
    parts.iter().for_each(|part| bytes.extend(small(part)));
    bytes
}

/// Feeds `pieces` as a reader would.
fn decode_pieces<'a>(
    decoder: &mut HeadDecoder,
    input: &mut BytesMut,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Head>, LinkError> {
    let mut heads = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(head) = decoder.decode(input)? {
            heads.push(head);
        }
        assert!(decoder.wanted(input) > 0, "it has stopped because it needs more");
    }
    Ok(heads)
}

fn decode_all(bytes: &[u8], limits: FrameLimits) -> Result<Vec<Head>, LinkError> {
    decode_pieces(&mut HeadDecoder::new(limits), &mut BytesMut::new(), [bytes].into_iter())
}

fn violation(bytes: &[u8], limits: FrameLimits) -> Violation {
    match decode_all(bytes, limits) {
        Err(LinkError::Violation(violation)) => violation,
        other => panic!("no violation: {other:?}"),
    }
}

#[test]
fn a_header_over_the_limits_is_refused_before_its_payload_has_come() {
    let limits = FrameLimits { message_bytes_max: 100, parts_max: 2 };
    assert_eq!(
        violation(&header(101, 0).to_bytes(), limits),
        Violation::MessageTooLarge { announced: 101, limit: 100 }
    );
    assert_eq!(
        violation(&header(0, 3).to_bytes(), limits),
        Violation::TooManyParts { announced: 3, limit: 2 }
    );
    assert!(decode_all(&header(100, 2).to_bytes(), limits).is_ok());
}

#[test]
fn part_lengths_over_the_limit_are_refused_before_any_part_has_come() {
    let limits = FrameLimits { message_bytes_max: 100, parts_max: 9 };
    let announce = |lengths: &[u64]| {
        let mut bytes = header(10, lengths.len() as u16).to_bytes().to_vec();
        bytes.extend_from_slice(&[0; 10]);
        lengths.iter().for_each(|length| bytes.extend_from_slice(&length.to_le_bytes()));
        bytes
    };
    for lengths in [&[91][..], &[45, 46], &[1 << 40], &[u64::MAX], &[u64::MAX, u64::MAX, 20]] {
        assert!(
            matches!(violation(&announce(lengths), limits), Violation::MessageTooLarge { limit: 100, .. }),
            "{lengths:?}"
        );
    }
    assert!(decode_all(&announce(&[45, 45]), limits).is_ok(), "exactly at the limit");
}

#[test]
fn bulk_is_announced_and_not_waited_for() {
    let whole = wire(&[1; BULK_MIN], &[vec![2; 10], vec![3; BULK_MIN], vec![4; BULK_MIN - 1]]);
    let heads = decode_all(&whole, GENEROUS).unwrap();
    let [head] = &heads[..] else { panic!("{} heads", heads.len()) };
    let announced: Vec<_> = head.bulk.iter().map(|bulk| (bulk.item, bulk.len)).collect();
    assert_eq!(announced, [(0, BULK_MIN as u64), (2, BULK_MIN as u64)]);
    let here: Vec<_> = head.frame.body.parts.iter().map(|part| part.len()).collect();
    assert_eq!((head.frame.body.payload.len(), &here[..]), (0, &[10, 0, BULK_MIN - 1][..]));
}

#[test]
fn new_limits_hold_for_frames_that_were_already_in_the_buffer() {
    let mut decoder = HeadDecoder::new(FrameLimits::HANDSHAKE);
    let mut input = BytesMut::from(&wire(b"hello", &[])[..]);
    input.extend_from_slice(&wire(&[1; 5000], &[vec![2; 10]]));
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().frame.body.payload, "hello");
    decoder.set_limits(GENEROUS);
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().frame.body.len_bytes(), 5010);
    assert!((decoder.is_between_heads() && input.is_empty()));
}

#[test]
fn a_payload_that_is_there_is_a_slice_of_the_buffer() {
    let mut input = BytesMut::from(&wire(&[3; 1000], &[])[..]);
    let start = input.as_ptr();
    let head = HeadDecoder::new(GENEROUS).decode(&mut input).unwrap().unwrap();
    assert_eq!(head.frame.body.payload.as_ptr(), start.wrapping_add(HEADER_BYTES));
}

#[test]
fn only_the_space_between_heads_is_a_boundary() {
    let whole = wire(&[1; 40], &[vec![2; 20], vec![]]);
    for cut in 0..=whole.len() {
        let mut decoder = HeadDecoder::new(GENEROUS);
        let mut input = BytesMut::from(&whole[..cut]);
        let head = decoder.decode(&mut input).unwrap();
        assert_eq!(head.is_some(), cut == whole.len(), "{cut}");
        assert_eq!((decoder.is_between_heads() && input.is_empty()), cut == 0 || cut == whole.len(), "{cut}");
    }
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..100,
        1 => (BULK_MIN - 2)..(BULK_MIN + 3),
        1 => 0_usize..BULK_MIN,
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (len(), any::<u8>())
        .prop_map(|(len, salt)| (0..len).map(|at| (at ^ (at >> 8)) as u8 ^ salt).collect::<Vec<u8>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn fr1_bytes_cut_anywhere_give_the_heads_that_were_sent(
        frames in vec((bytes(), vec(bytes(), 0..4)), 0..12),
        cuts in vec(1_usize..40_000, 1..20),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(payload, parts)| wire(payload, parts)).collect();
        let mut rest = &stream[..];
        let pieces = cuts.iter().cycle().map_while(|&cut| {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let mut decoder = HeadDecoder::new(GENEROUS);
        let mut input = BytesMut::new();
        let decoded = decode_pieces(&mut decoder, &mut input, pieces).unwrap();
        prop_assert!((decoder.is_between_heads() && input.is_empty()));
        prop_assert_eq!(decoded.len(), frames.len());
        for (got, (payload, parts)) in decoded.iter().zip(&frames) {
            let small = |bytes: &Vec<u8>| if bytes.len() < BULK_MIN { bytes.clone() } else { Vec::new() };
            prop_assert_eq!(*got.header(), header(payload.len() as u32, parts.len() as u16));
            prop_assert_eq!(&got.frame.body.payload, &small(payload));
            prop_assert_eq!(got.frame.body.parts.len(), parts.len());
            for (got, part) in got.frame.body.parts.iter().zip(parts) {
                prop_assert_eq!(&got[..], &small(part)[..]);
                prop_assert_eq!(got.as_ptr() as usize % PART_ALIGN, 0);
            }
        }
    }

    #[test]
    fn garbage_never_panics_and_never_makes_more_than_arrived(
        garbage in vec(any::<u8>(), 0..2000),
        mut start in vec(any::<u8>(), HEADER_BYTES),
    ) {
        // A small announcement more often than chance would have it, so that later stages are reached.
        start[2..4].fill(0);
        start[5] = 0;
        let limits = FrameLimits { message_bytes_max: 1 << 16, parts_max: 255 };
        for bytes in [garbage.clone(), [start, garbage].concat()] {
            if let Ok(heads) = decode_all(&bytes, limits) {
                let sum: u64 = heads.iter().map(|head| head.frame.body.len_bytes()).sum();
                prop_assert!(sum <= bytes.len() as u64);
            }
        }
    }
}
