//! LK-4 and the lanes: nothing blocks, and what is large or unread does not hold up the rest.

use std::sync::Arc;

use rpc_core::{Body, Flush, LinkSender};

use super::Rig;
use super::harness::{Pair, assert_same, connect, next, part, payload, reply, request, within};

/// A small reply behind large requests overtakes all but the one that is being written.
pub async fn an_urgent_frame_waits_for_one_frame_at_most(rig: Arc<dyn Rig>) {
    const LARGE: u64 = 6;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(16 << 20, 1);
    for call in 0..LARGE {
        let frame = request(call, Body { payload: payload(8, call), parts: vec![bulk.clone()] });
        pair.near.sender.send(frame, Flush::Now).expect("the link is up");
    }
    // The first one is on its way as far as buffers go, since nobody has read.
    tokio::task::yield_now().await;
    pair.near.sender.send(reply(100, Body::new(payload(8, 9))), Flush::Now).expect("the link is up");

    let mut calls = Vec::new();
    for _ in 0..=LARGE {
        calls.push(next(&mut *pair.far.receiver).await.header.call);
    }
    let before = calls.iter().position(|call| *call == 100).expect("the reply arrives");
    assert!(before <= 1, "{before} large frames before the urgent one: {calls:?}");
    calls.remove(before);
    assert_eq!(calls, Vec::from_iter(0..LARGE), "the rest keeps its order");
}

/// Both sides send 64 MiB before either reads.
pub async fn both_sides_may_flood(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 64;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(1 << 20, 3);
    let body = || Body { payload: payload(3, 3), parts: vec![bulk.clone()] };
    for call in 0..FRAMES {
        pair.near.sender.send(request(call, body()), Flush::Now).expect("the link is up");
        pair.far.sender.send(request(call, body()), Flush::Soon).expect("the link is up");
    }
    let near = async {
        for call in 0..FRAMES {
            assert_same(&next(&mut *pair.near.receiver).await, &request(call, body()));
        }
    };
    let far = async {
        for call in 0..FRAMES {
            assert_same(&next(&mut *pair.far.receiver).await, &request(call, body()));
        }
    };
    within("both floods", async { tokio::join!(near, far) }).await;
}

/// With a peer that does not read, `send` still returns, the queue is reported, and other links between
/// the same two transports work; once it reads, everything is there and the queue empties.
pub async fn a_reader_that_stops_holds_up_nobody_else(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 64;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(1 << 20, 4);
    for call in 0..FRAMES {
        let frame = request(call, Body { payload: payload(1, call), parts: vec![bulk.clone()] });
        pair.near.sender.send(frame, Flush::Now).expect("the link is up");
    }
    let (near, mut far) = connect(&*pair.dialler, &*pair.acceptor).await;
    for call in 0..100 {
        near.sender.send(request(call, Body::default()), Flush::Now).expect("the link is up");
        assert_eq!(next(&mut *far.receiver).await.header.call, call);
    }
    // No system buffers 64 MiB for one connection unless told to.
    assert!(pair.near.sender.queued_bytes() > 1 << 20, "{} B queued", pair.near.sender.queued_bytes());
    for call in 0..FRAMES {
        assert_eq!(next(&mut *pair.far.receiver).await.header.call, call);
    }
    within("the queue to empty", empty(&*pair.near.sender)).await;
}

/// The count may fall a moment after the bytes have left.
async fn empty(sender: &dyn LinkSender) {
    while sender.queued_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}
