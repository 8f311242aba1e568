//! Many frames, many threads, and both directions at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rpc_core::framing::has_bulk;
use rpc_core::{Close, Flush, Frame, Link, LinkSender};

use crate::rig::{REQUEST, assert_same, frame_with, next, next_frame, pair, request, soon};

const THREADS: u64 = 8;
const FRAMES_PER_THREAD: u64 = 12_500;

/// Frame `number` of thread `thread`: the call id says both, the kind picks the lane.
fn stress_frame(thread: u64, number: u64) -> Frame {
    let urgent = number.is_multiple_of(3);
    let kind = if urgent { rpc_core::wire::frame::REPLY } else { REQUEST };
    let payload = if number.is_multiple_of(500) { 70_000 } else { (number * 13 % 300) as usize };
    let parts: &[usize] = if number.is_multiple_of(100) { &[10, 20_000] } else { &[] };
    frame_with(kind, thread << 32 | number, payload, parts)
}

fn send_all(sender: &dyn LinkSender, thread: u64) {
    for number in 0..FRAMES_PER_THREAD {
        let flush = match (thread + number) % 5 {
            0 => Flush::Now,
            1 | 2 => Flush::Soon,
            _ => Flush::Later,
        };
        sender.send(stress_frame(thread, number), flush).expect("open until all have sent");
        if flush == Flush::Later && number.is_multiple_of(7) {
            sender.flush();
        }
    }
    sender.flush();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_many_threads_arrive_once_and_in_order_by_sender_and_lane() {
    let (near, mut far) = pair().await;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let sender = Arc::clone(&near.sender);
            std::thread::spawn(move || send_all(&*sender, thread))
        })
        .collect();
    let (mut last, mut seen) = (HashMap::new(), HashSet::new());
    for _ in 0..THREADS * FRAMES_PER_THREAD {
        let frame = next_frame(&mut far.receiver).await;
        let (thread, number) = (frame.header.call >> 32, frame.header.call & 0xffff_ffff);
        assert_same(&frame, &stress_frame(thread, number));
        // Strictly rising within lane and sender, with bulk and without: with the right count, each arrived exactly
        // once.
        let kind = (thread, frame.header.is_urgent(), has_bulk(&frame));
        let before = last.insert(kind, number);
        // Frames with bulk may overtake each other.
        assert!(kind.2 || before.is_none_or(|before| before < number), "{kind:?}: {number} after {before:?}");
        assert!(!kind.2 || seen.insert(frame.header.call), "{number} twice");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    near.sender.close(Close::AfterQueued);
    assert!(next(&mut far.receiver).await.unwrap().is_none(), "nothing arrives twice");
}

/// Two peers that both write much before they read anything must not wait for each other.
#[tokio::test]
async fn both_sides_can_flood_each_other_before_they_read() {
    async fn receive(link: &mut Link) {
        for call in 0..100 {
            let frame = next_frame(&mut link.receiver).await;
            assert_eq!((frame.header.call, frame.body.len_bytes()), (call, 1_000_010));
        }
    }
    let (mut near, mut far) = pair().await;
    for call in 0..100 {
        near.sender.send(request(call, 10, &[1_000_000]), Flush::Now).unwrap();
        far.sender.send(request(call, 10, &[1_000_000]), Flush::Now).unwrap();
    }
    // One after the other: each side's writing goes on while only the other reads.
    soon(receive(&mut near)).await;
    soon(receive(&mut far)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_at_any_moment_never_hangs_and_cuts_only_the_tail() {
    for round in 0..200_u64 {
        let (near, mut far) = pair().await;
        let sender = Arc::clone(&near.sender);
        let writing = std::thread::spawn(move || {
            (0..100).take_while(|&call| sender.send(request(call, 50, &[]), Flush::Soon).is_ok()).count()
                as u64
        });
        let when = if round.is_multiple_of(2) { Close::AfterQueued } else { Close::Now };
        (0..round).for_each(|_| std::hint::spin_loop());
        near.sender.close(when);
        let sent = writing.join().unwrap();
        let mut received = 0;
        while let Ok(Some(frame)) = next(&mut far.receiver).await {
            assert_eq!(frame.header.call, received);
            received += 1;
        }
        assert!(received <= sent);
        if when == Close::AfterQueued {
            assert_eq!(received, sent, "everything that was taken is delivered");
        }
        soon(near.sender.closed()).await;
    }
}
