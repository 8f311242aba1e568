//! LK-4, LK-5 and the lanes: nothing blocks, and what is large or unread does not hold up the rest.

use std::collections::BTreeSet;
use std::sync::Arc;

use rpc_core::wire::{Header, frame};
use rpc_core::{Body, Flush, Frame, LinkReceiver, LinkSender};

use super::Rig;
use super::harness::{Pair, assert_same, connect, next, part, payload, reply, request, within};

/// More than any system buffers for one connection unless told to.
const LARGE: usize = 64 << 20;

/// A frame of 64 MiB, as a part and as a payload, then a small one, in each pair of lanes, before anybody reads: the
/// small one arrives first. So it does with more large frames than may be under way at a time.
pub async fn a_small_frame_passes_a_large_one(rig: Arc<dyn Rig>) {
    let (as_part, as_payload) = (part(LARGE, 1), payload(LARGE, 2));
    for (large_lane, small_lane) in
        [(request, request), (reply, reply), (request, reply), (reply, request)] as [(Framed, Framed); 4]
    {
        let mut pair = Pair::new(&*rig).await;
        let bodies = [
            Body { payload: payload(8, 1), parts: vec![as_part.clone()] },
            Body { payload: as_payload.clone(), parts: vec![] },
        ];
        for (call, body) in (1..).step_by(2).zip(bodies) {
            let large = large_lane(call, body);
            pair.near.sender.send(large.clone(), Flush::Now).expect("the link is up");
            // It is on its way as far as buffers go, since nobody reads.
            tokio::task::yield_now().await;
            let small = small_lane(call + 1, Body { payload: payload(8, 9), parts: vec![part(70, 9)] });
            pair.near.sender.send(small.clone(), Flush::Now).expect("the link is up");
            let first = next(&mut *pair.far.receiver).await;
            assert_eq!(first.header.call, call + 1, "a large frame arrived before the small one behind it");
            assert_same(&first, &small);
            assert_same(&next(&mut *pair.far.receiver).await, &large);
        }
    }

    const MANY: u64 = 40;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(LARGE / MANY as usize, 3);
    for call in 1..=MANY {
        let frame = request(call, Body { payload: payload(8, call), parts: vec![bulk.clone()] });
        pair.near.sender.send(frame, Flush::Now).expect("the link is up");
    }
    pair.near.sender.send(request(100, Body::default()), Flush::Now).expect("the link is up");
    let calls = calls(&mut pair, MANY + 1).await;
    assert_ne!(calls.last(), Some(&100), "the small frame waited for all large ones before it");
    assert_eq!(BTreeSet::from_iter(calls), (1..=MANY).chain([100]).collect());
}

type Framed = fn(u64, Body) -> Frame;

/// The calls of the next frames, as they arrive.
async fn calls(pair: &mut Pair, count: u64) -> Vec<u64> {
    let mut calls = Vec::new();
    for _ in 0..count {
        calls.push(next(&mut *pair.far.receiver).await.header.call);
    }
    calls
}

/// A reply passes requests that wait, though they are as small as it is; they keep their order.
pub async fn an_urgent_frame_passes_those_that_wait(rig: Arc<dyn Rig>) {
    const LEN: usize = 60_000;
    const MANY: u64 = (LARGE / LEN) as u64;
    let mut pair = Pair::new(&*rig).await;
    let body = Body::new(payload(LEN, 1));
    for call in 1..=MANY {
        pair.near.sender.send(request(call, body.clone()), Flush::Now).expect("the link is up");
    }
    tokio::task::yield_now().await;
    pair.near.sender.send(reply(MANY + 1, Body::default()), Flush::Now).expect("the link is up");
    let mut calls = calls(&mut pair, MANY + 1).await;
    let before = calls.iter().position(|call| *call == MANY + 1).expect("the reply arrives");
    assert!((before as u64) < MANY, "all that waited was before the urgent one");
    calls.remove(before);
    assert_eq!(calls, Vec::from_iter(1..=MANY), "the rest keeps its order");
}

/// Of one call large frames and small ones, while others pass: those of the call arrive as they were sent, and so do
/// the small ones of others.
pub async fn frames_of_a_call_keep_their_order(rig: Arc<dyn Rig>) {
    const CALL: u64 = 7;
    for lane in [request, reply] as [Framed; 2] {
        let mut pair = Pair::new(&*rig).await;
        let bulk = part(LARGE / 4, 1);
        let mut sent = Vec::new();
        for at in 0..6 {
            let parts = if at % 3 == 0 { vec![bulk.clone()] } else { vec![] };
            let mut of_call = lane(CALL, Body { payload: payload(8, at), parts });
            of_call.header.budget_us = at;
            sent.extend([of_call, lane(100 + at, Body::new(payload(8, at)))]);
        }
        for frame in &sent {
            pair.near.sender.send(frame.clone(), Flush::Soon).expect("the link is up");
        }
        let mut received = Vec::new();
        for _ in &sent {
            received.push(next(&mut *pair.far.receiver).await);
        }
        let (sent_of_call, sent_of_others) = split(sent, CALL);
        let (of_call, of_others) = split(received, CALL);
        for (got, sent) in of_call.iter().zip(&sent_of_call) {
            let (got_at, sent_at) = (got.header.budget_us, sent.header.budget_us);
            assert_eq!(got_at, sent_at, "a frame of the call overtook another");
            assert_same(got, sent);
        }
        of_others.iter().zip(&sent_of_others).for_each(|(got, sent)| assert_same(got, sent));
    }
}

/// The frames of `call`, and the others.
fn split(frames: Vec<Frame>, call: u64) -> (Vec<Frame>, Vec<Frame>) {
    frames.into_iter().partition(|frame| frame.header.call == call)
}

/// A goodbye behind large and small frames of both lanes, more than may be under way at a time, arrives last.
pub async fn a_goodbye_overtakes_nothing(rig: Arc<dyn Rig>) {
    const EACH: u64 = 24;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(1 << 20, 1);
    for call in (1..).step_by(4).take(EACH as usize) {
        let large = || Body { payload: payload(8, call), parts: vec![bulk.clone()] };
        let small = || Body::new(payload(8, call));
        for frame in [
            request(call, large()),
            reply(call + 1, large()),
            request(call + 2, small()),
            reply(call + 3, small()),
        ] {
            pair.near.sender.send(frame, Flush::Soon).expect("the link is up");
        }
    }
    let last = 4 * EACH + 1;
    pair.near.sender.send(request(last, Body::default()), Flush::Soon).expect("the link is up");
    let goodbye = Frame { header: Header::control(frame::GOODBYE, 0), body: Body::default() };
    pair.near.sender.send(goodbye, Flush::Now).expect("the link is up");
    let calls = calls(&mut pair, last + 1).await;
    assert_eq!(
        calls.last(),
        Some(&0),
        "the goodbye overtook {:?}",
        calls.iter().skip_while(|call| **call > 0)
    );
    assert_eq!(BTreeSet::from_iter(calls), (0..=last).collect());
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
    let all_of = async |receiver: &mut dyn LinkReceiver| {
        let mut calls = BTreeSet::new();
        for _ in 0..FRAMES {
            let got = next(receiver).await;
            assert_same(&got, &request(got.header.call, body()));
            calls.insert(got.header.call);
        }
        assert_eq!(calls, (0..FRAMES).collect());
    };
    let (near, far) = (all_of(&mut *pair.near.receiver), all_of(&mut *pair.far.receiver));
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
    let calls = calls(&mut pair, FRAMES).await;
    assert_eq!(BTreeSet::from_iter(calls), (0..FRAMES).collect());
    within("the queue to empty", empty(&*pair.near.sender)).await;
}

/// The count may fall a moment after the bytes have left.
async fn empty(sender: &dyn LinkSender) {
    while sender.queued_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}
