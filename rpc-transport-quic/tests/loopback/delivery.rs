//! What is sent arrives: whole, aligned, lanes in order, large ones beside small ones.

use rpc_core::{Flush, FrameLimits, LinkError, PART_ALIGN};

use crate::rig::{KIB, LIMITS, MIB, assert_same, next, next_frame, pair, reply, request};

#[tokio::test]
async fn payloads_and_parts_of_every_size_arrive_aligned() {
    let mut pair = pair().await;
    let sizes = [0, 1, 33, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300_000, MIB, 20 * MIB];
    for (call, len) in sizes.into_iter().enumerate() {
        let frame = request(call as u64, len, &[len, 3, len]);
        pair.near.sender.send(frame.clone(), Flush::Now).unwrap();
        let got = next_frame(&mut pair.far.receiver).await;
        assert_same(&got, &frame);
        assert!(got.body.parts.iter().all(|part| (part.as_ptr() as usize).is_multiple_of(PART_ALIGN)));
    }
}

#[tokio::test]
async fn both_directions_work_and_each_end_knows_the_other() {
    let mut pair = pair().await;
    pair.far.sender.send(reply(1, 100), Flush::Now).unwrap();
    assert_same(&next_frame(&mut pair.near.receiver).await, &reply(1, 100));
    assert!(pair.near.fingerprint.is_some() && pair.far.fingerprint.is_some());
    assert_ne!(pair.near.fingerprint, pair.far.fingerprint);
}

#[tokio::test]
async fn later_waits_for_flush_and_then_all_go_in_order() {
    let mut pair = pair().await;
    for call in 1..11 {
        pair.near.sender.send(request(call, 10, &[]), Flush::Later).unwrap();
    }
    assert_eq!(pair.near.sender.queued_bytes(), 10 * 42);
    pair.near.sender.flush();
    assert_eq!(pair.near.sender.queued_bytes(), 0);
    for call in 1..11 {
        assert_same(&next_frame(&mut pair.far.receiver).await, &request(call, 10, &[]));
    }
}

#[tokio::test]
async fn small_frames_overtake_a_large_one_and_the_same_call_does_not() {
    let mut pair = pair().await;
    pair.near.sender.send(request(1, 10, &[20 * MIB]), Flush::Now).unwrap();
    pair.near.sender.send(request(1, 10, &[]), Flush::Now).unwrap();
    pair.near.sender.send(request(2, 10, &[]), Flush::Now).unwrap();
    pair.near.sender.send(reply(3, 10), Flush::Now).unwrap();
    let mut order = Vec::new();
    for _ in 0..4 {
        let frame = next_frame(&mut pair.far.receiver).await;
        order.push((frame.header.call, frame.body.parts.len()));
    }
    assert_eq!(order[2..], [(1, 1), (1, 0)], "{order:?}");
    assert!(order[..2].contains(&(2, 0)) && order[..2].contains(&(3, 0)), "{order:?}");
}

#[tokio::test]
async fn more_large_frames_than_may_be_under_way_all_arrive() {
    let mut pair = pair().await;
    for call in 1..101 {
        pair.near.sender.send(request(call, 70_000, &[100_000, 5, 200_000]), Flush::Soon).unwrap();
    }
    let mut calls = Vec::new();
    for _ in 0..100 {
        let frame = next_frame(&mut pair.far.receiver).await;
        assert_same(&frame, &request(frame.header.call, 70_000, &[100_000, 5, 200_000]));
        calls.push(frame.header.call);
    }
    calls.sort_unstable();
    assert_eq!(calls, Vec::from_iter(1..101));
}

#[tokio::test]
async fn limits_start_with_those_of_a_handshake_and_change_for_the_next_header() {
    let mut pair = pair().await;
    pair.far.receiver.set_limits(FrameLimits::HANDSHAKE);
    pair.near.sender.send(request(1, 100, &[]), Flush::Later).unwrap();
    pair.near.sender.send(request(2, 5000, &[]), Flush::Now).unwrap();
    pair.near.sender.send(request(3, 3000, &[]), Flush::Now).unwrap();
    assert_eq!(next_frame(&mut pair.far.receiver).await.header.call, 1);
    pair.far.receiver.set_limits(LIMITS);
    assert_eq!(next_frame(&mut pair.far.receiver).await.header.call, 2);
    pair.far.receiver.set_limits(FrameLimits::HANDSHAKE);
    assert!(matches!(next(&mut pair.far.receiver).await, Err(LinkError::Violation(_))));
}
