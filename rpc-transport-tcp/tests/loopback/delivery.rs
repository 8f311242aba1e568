//! What is sent arrives: whole, in order, aligned, urgent first.

use std::future::poll_fn;
use std::task::Poll;

use rpc_core::framing::{ItemId, Lane};
use rpc_core::{Body, Flush, Frame, FrameLimits, LinkError, PART_ALIGN, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{
    LIMITS, REQUEST, assert_leads_to, assert_same, bind, bytes, frame_with, half_pair, next, next_frame,
    pair, reply, request,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[tokio::test]
async fn payloads_of_every_size_arrive() {
    let (near, mut far) = pair().await;
    for (call, len) in [0, 1, 31, 32, 64, 4 * KIB, 16 * KIB, 16 * KIB + 1, 64 * KIB, 100_000, MIB, 64 * MIB]
        .into_iter()
        .enumerate()
    {
        let frame = request(call as u64, len, &[]);
        near.sender.send(frame.clone(), Flush::Now).unwrap();
        assert_same(&next_frame(&mut far.receiver).await, &frame);
    }
}

#[tokio::test]
async fn parts_of_every_size_arrive_aligned() {
    let (near, mut far) = pair().await;
    let frames = [
        request(1, 0, &[0]),
        request(2, 10, &[1, 0, 7]),
        request(3, 20 * KIB, &[4 * KIB, 4 * KIB + 1, 16 * KIB - 1, 16 * KIB]),
        request(4, 100, &[100_000, 3, 100_000, MIB + 1, 0]),
        request(5, 64, &[64 * MIB]),
    ];
    for frame in &frames {
        near.sender.send(frame.clone(), Flush::Soon).unwrap();
    }
    for frame in &frames {
        let got = next_frame(&mut far.receiver).await;
        assert_same(&got, frame);
        assert!(got.body.parts.iter().all(|part| (part.as_ptr() as usize).is_multiple_of(PART_ALIGN)));
    }
}

/// The memory of a large part is used for the next one, and as long as somebody has it, for no other.
#[tokio::test]
async fn what_is_large_arrives_where_something_large_was_before() {
    let (near, mut far) = pair().await;
    near.sender.send(request(1, 0, &[MIB]), Flush::Now).unwrap();
    let first = next_frame(&mut far.receiver).await;
    let place = first.body.parts[0].as_ptr() as usize;
    drop(first);
    // Where the allocator would put something of this size, if the part had been given back to it.
    let others: Vec<Vec<u8>> = (0..3).map(|_| vec![1; MIB]).collect();
    let mut held = Vec::new();
    for call in 2..4 {
        near.sender.send(request(call, 0, &[MIB]), Flush::Now).unwrap();
        held.push(next_frame(&mut far.receiver).await);
    }
    assert_eq!(held[0].body.parts[0].as_ptr() as usize, place);
    assert_same(&held[0], &request(2, 0, &[MIB]));
    assert_same(&held[1], &request(3, 0, &[MIB]));
    drop(others);
}

/// Who reads a link lets others on its thread come first when it has given out a frame, and large bytes follow it.
#[tokio::test]
async fn a_small_frame_among_large_bytes_is_acted_on_before_they_are_read() {
    let (mut link, mut stream) = half_pair().await;
    let (small, large) = (request(1, 10, &[]), request(2, 64 * KIB, &[]));
    let piece = ItemId { lane: Lane::Normal, frame: 0, item: 0 }.header(64 << 10);
    let mut wire = large.header.to_bytes().to_vec();
    wire.extend(small.header.to_bytes());
    wire.extend(&small.body.payload);
    wire.extend(piece.to_bytes());
    wire.extend(&large.body.payload);
    stream.write_all(&wire).await.unwrap();
    assert_same(&next_frame(&mut link.receiver).await, &small);
    let polled = poll_fn(|cx| Poll::Ready(link.receiver.poll_recv(cx))).await;
    assert!(polled.is_pending(), "whether all has come or not");
    assert_same(&next_frame(&mut link.receiver).await, &large);
}

#[tokio::test]
async fn a_frame_of_very_many_parts_arrives() {
    let (near, mut far) = pair().await;
    let lengths: Vec<usize> = (0..50_000).map(|at| at % 17).collect();
    let frame = request(1, 5, &lengths);
    near.sender.send(frame.clone(), Flush::Now).unwrap();
    assert_same(&next_frame(&mut far.receiver).await, &frame);
}

#[tokio::test]
async fn both_directions_work_and_the_remote_end_is_the_peer() {
    let transport = bind().await;
    let address = transport.local_address();
    let (dialled, accepted) = tokio::join!(transport.connect(&address), transport.accept());
    let (mut dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_leads_to(&dialled, &address);
    accepted.sender.send(reply(1, 100), Flush::Now).unwrap();
    assert_same(&next_frame(&mut dialled.receiver).await, &reply(1, 100));
}

#[tokio::test]
async fn later_waits_for_flush_and_then_all_go_in_order() {
    let (near, mut far) = pair().await;
    for call in 0..10 {
        near.sender.send(request(call, 10, &[]), Flush::Later).unwrap();
    }
    assert_eq!(near.sender.queued_bytes(), 10 * 42);
    near.sender.flush();
    assert_eq!(near.sender.queued_bytes(), 0);
    for call in 0..10 {
        assert_same(&next_frame(&mut far.receiver).await, &request(call, 10, &[]));
    }
}

#[tokio::test]
async fn an_urgent_frame_overtakes_normal_ones_that_wait_for_a_full_socket() {
    let (near, mut far) = pair().await;
    // Nobody reads yet, so the socket is full at some point and the rest waits.
    for call in 0..200 {
        near.sender.send(request(call, MIB / 4, &[]), Flush::Now).unwrap();
    }
    assert!(near.sender.queued_bytes() > 0, "the socket took everything");
    near.sender.send(reply(1000, 8), Flush::Now).unwrap();
    let mut normal = 0;
    loop {
        let frame = next_frame(&mut far.receiver).await;
        if frame.header.is_urgent() {
            break;
        }
        assert_eq!(frame.header.call, normal, "normal frames keep their order");
        normal += 1;
    }
    assert!(normal < 199, "overtook nothing");
    for call in normal..200 {
        assert_eq!(next_frame(&mut far.receiver).await.header.call, call);
    }
}

#[tokio::test]
async fn limits_start_with_those_of_a_handshake_and_change_for_the_next_header() {
    let (near, mut far) = pair().await;
    far.receiver.set_limits(FrameLimits::HANDSHAKE);
    // Both are in the buffer of the receiver at once.
    near.sender.send(request(1, 100, &[]), Flush::Later).unwrap();
    near.sender.send(request(2, 5000, &[]), Flush::Now).unwrap();
    near.sender.send(request(3, 3000, &[]), Flush::Now).unwrap();
    assert_eq!(next_frame(&mut far.receiver).await.header.call, 1);
    far.receiver.set_limits(LIMITS);
    assert_eq!(next_frame(&mut far.receiver).await.header.call, 2);
    far.receiver.set_limits(FrameLimits::HANDSHAKE);
    assert!(matches!(next(&mut far.receiver).await, Err(LinkError::Violation(_))));
}

#[tokio::test]
async fn a_receiver_that_is_dropped_from_its_poll_again_and_again_loses_nothing() {
    let (link, stream) = half_pair().await;
    let mut far = link;
    let frames: Vec<Frame> = (0..40)
        .map(|call| request(call, call as usize * 1111, &[call as usize * 999, 40_000][..call as usize % 3]))
        .collect();
    let mut wire = Vec::new();
    for Frame { header, body: Body { payload, parts } } in &frames {
        wire.extend_from_slice(&header.to_bytes());
        wire.extend_from_slice(payload);
        parts.iter().for_each(|part| wire.extend_from_slice(&(part.len() as u64).to_le_bytes()));
        parts.iter().for_each(|part| wire.extend_from_slice(part));
    }
    let writer = tokio::spawn(async move {
        // Odd pieces, so that reads end in every kind of place.
        for piece in wire.chunks(1237) {
            let mut rest = piece;
            while !rest.is_empty() {
                stream.writable().await.unwrap();
                match stream.try_write(rest) {
                    Ok(len) => rest = &rest[len..],
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
            tokio::task::yield_now().await;
        }
        stream
    });
    for frame in &frames {
        let got = loop {
            // The other branch wins as soon as the receiver has nothing: its future is dropped then.
            tokio::select! {
                biased;
                got = rpc_core::recv(&mut *far.receiver) => break got.unwrap().unwrap(),
                () = tokio::task::yield_now() => {}
            }
        };
        assert_same(&got, frame);
    }
    drop(writer.await.unwrap());
    assert!(next(&mut far.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_on_the_wire_is_the_documented_layout() {
    let (link, mut stream) = half_pair().await;
    link.sender.send(frame_with(REQUEST, 3, 5, &[2, 1]), Flush::Now).unwrap();
    let mut got = vec![0; 32 + 5 + 16 + 3];
    stream.read_exact(&mut got).await.unwrap();
    let mut expected = frame_with(REQUEST, 3, 5, &[2, 1]).header.to_bytes().to_vec();
    expected.extend(bytes(3, 5));
    expected.extend([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(bytes(4, 2));
    expected.extend(bytes(5, 1));
    assert_eq!(got, expected);
}
