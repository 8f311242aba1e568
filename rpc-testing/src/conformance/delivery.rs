//! LK-1: whole frames in order, whatever their size, however they were flushed, whoever stopped waiting.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rpc_core::{Body, Flush, Frame, LinkReceiver, PART_ALIGN, recv};

use super::Rig;
use super::harness::{
    Pair, assert_same, bind, connect, greet, is_greeting, next, part, payload, reply, request, within,
};

const FLUSHES: [Flush; 3] = [Flush::Now, Flush::Soon, Flush::Later];

/// Small frames of both lanes, flushed in every way: each lane in order, none lost.
pub async fn frames_of_a_lane_arrive_in_order(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 3_000;
    let mut pair = Pair::new(&*rig).await;
    let frames: Vec<Frame> = (0..FRAMES)
        .map(|call| {
            let body = Body::new(payload((call % 200) as usize, call));
            if call % 3 == 0 { reply(call, body) } else { request(call, body) }
        })
        .collect();
    for (at, frame) in frames.iter().enumerate() {
        pair.near.sender.send(frame.clone(), FLUSHES[at % 3]).expect("the link is up");
    }
    pair.near.sender.flush();

    let mut last = [None; 2];
    for _ in 0..FRAMES {
        let got = next(&mut *pair.far.receiver).await;
        assert_same(&got, &frames[got.header.call as usize]);
        let last = &mut last[usize::from(got.header.is_urgent())];
        assert!(*last < Some(got.header.call), "{} after {last:?} in one lane", got.header.call);
        *last = Some(got.header.call);
    }
}

/// Sizes around powers of two, up to 64 MiB, as payload and as part.
pub async fn every_size_arrives_whole(rig: Arc<dyn Rig>) {
    let sizes = [0, 1, 31, 32, 33, 4_095, 4_096, 65_535, 65_536, 65_537, (1 << 20) + 1, 64 << 20];
    let mut pair = Pair::new(&*rig).await;
    for (call, size) in sizes.into_iter().enumerate() {
        let call = call as u64;
        let as_payload = request(call, Body::new(payload(size, call)));
        let as_part = request(call, Body { payload: payload(5, call), parts: vec![part(size, call)] });
        for frame in [as_payload, as_part] {
            pair.near.sender.send(frame.clone(), Flush::Now).expect("the link is up");
            assert_same(&next(&mut *pair.far.receiver).await, &frame);
        }
    }
}

/// One part of 1 GiB.
pub async fn a_frame_of_one_gibibyte_arrives_whole(rig: Arc<dyn Rig>) {
    let mut pair = Pair::new(&*rig).await;
    let frame = request(1, Body { payload: payload(9, 1), parts: vec![part(1 << 30, 1)] });
    pair.near.sender.send(frame.clone(), Flush::Now).expect("the link is up");
    assert_same(&next(&mut *pair.far.receiver).await, &frame);
}

/// No parts, one, empty ones, and more than a system call takes; each aligned, as it was sent.
pub async fn parts_arrive_apart_and_aligned(rig: Arc<dyn Rig>) {
    let mut pair = Pair::new(&*rig).await;
    for (call, sizes) in
        [vec![], vec![7], vec![0, 0], vec![64, 0, 65, 1 << 16, 1], vec![3; 2_500]].into_iter().enumerate()
    {
        let call = call as u64;
        let parts = sizes.iter().enumerate().map(|(at, size)| part(*size, call + at as u64)).collect();
        let frame = request(call, Body { payload: payload(11, call), parts });
        pair.near.sender.send(frame.clone(), Flush::Now).expect("the link is up");
        let got = next(&mut *pair.far.receiver).await;
        assert_same(&got, &frame);
        for part in &got.body.parts {
            assert_eq!(part.as_ptr() as usize % PART_ALIGN, 0, "a part of {} bytes", part.len());
        }
    }
}

/// A lone frame arrives after `Now`, after `Soon`, and after `Later` with a flush.
pub async fn every_kind_of_flush_delivers(rig: Arc<dyn Rig>) {
    let mut pair = Pair::new(&*rig).await;
    for (call, flush) in FLUSHES.into_iter().cycle().take(30).enumerate() {
        let frame = request(call as u64, Body::new(payload(40, 0)));
        pair.near.sender.send(frame.clone(), flush).expect("the link is up");
        if flush == Flush::Later {
            pair.near.sender.flush();
        }
        assert_same(&next(&mut *pair.far.receiver).await, &frame);
    }
}

/// Each wait for a frame is given up and begun anew at every poll, with a waker that is then dropped.
pub async fn cancelled_reads_lose_nothing(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 60;
    let mut pair = Pair::new(&*rig).await;
    let frames: Vec<Frame> = (0..FRAMES)
        .map(|call| {
            let len = [0, 100, 300_000][call as usize % 3];
            request(call, Body { payload: payload(len, call), parts: vec![part(len, call + 1)] })
        })
        .collect();
    let sent = frames.clone();
    let sender = Arc::clone(&pair.near.sender);
    let sending = tokio::spawn(async move {
        for frame in sent {
            sender.send(frame, Flush::Now).expect("the link is up");
            tokio::task::yield_now().await;
        }
    });
    let mut calls = BTreeSet::new();
    for _ in &frames {
        let got = within("a frame", next_with_cancelled_polls(&mut *pair.far.receiver)).await;
        assert_same(&got, &frames[got.header.call as usize]);
        calls.insert(got.header.call);
    }
    assert_eq!(calls, (0..FRAMES).collect());
    sending.await.expect("the sender is done");
}

async fn next_with_cancelled_polls(receiver: &mut dyn LinkReceiver) -> Frame {
    std::future::poll_fn(|cx| {
        let mut unheard = Context::from_waker(Waker::noop());
        for cx in [&mut unheard, cx] {
            let receiving = pin!(recv(receiver));
            if let Poll::Ready(received) = receiving.poll(cx) {
                let frame = received.expect("the link lives").expect("the link is not at its end");
                return Poll::Ready(frame);
            }
        }
        Poll::Pending
    })
    .await
}

/// Each wait for a link is given up after one poll; the link comes all the same.
pub async fn cancelled_accepts_lose_no_link(rig: Arc<dyn Rig>) {
    const LINKS: usize = 8;
    let (dialler, acceptor) = (bind(&*rig).await, bind(&*rig).await);
    let address = acceptor.local_address();
    let dialling = tokio::spawn(async move {
        let mut links = Vec::new();
        for _ in 0..LINKS {
            let link = dialler.connect(&address).await.expect("the address can be dialled");
            greet(&link);
            links.push(link);
        }
        (dialler, links)
    });
    for _ in 0..LINKS {
        let accepting = async {
            loop {
                let once = async {
                    tokio::select! {
                        biased;
                        link = acceptor.accept() => Some(link),
                        () = std::future::ready(()) => None,
                    }
                };
                match once.await {
                    Some(link) => return link.expect("the link is accepted"),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let mut link = within("a link whose accept is given up at every poll", accepting).await;
        assert!(is_greeting(within("its first frame", recv(&mut *link.receiver)).await));
    }
    within("the dials", dialling).await.expect("every dial succeeds");
}

/// Links in both directions between two transports, and one to oneself, do not mix.
pub async fn one_transport_carries_many_links(rig: Arc<dyn Rig>) {
    let (a, b) = (bind(&*rig).await, bind(&*rig).await);
    assert_ne!(a.local_address(), b.local_address());
    let mut links = Vec::new();
    for (dialler, acceptor) in [(&a, &b), (&b, &a), (&a, &b), (&a, &a)] {
        links.push(connect(&**dialler, &**acceptor).await);
    }
    for (call, (near, far)) in links.iter().enumerate() {
        for (sender, call) in [(&near.sender, call), (&far.sender, call + 100)] {
            let frame = request(call as u64, Body::new(payload(50, call as u64)));
            sender.send(frame, Flush::Now).expect("the link is up");
        }
    }
    for (call, (near, far)) in links.iter_mut().enumerate() {
        assert_eq!(next(&mut *far.receiver).await.header.call, call as u64);
        assert_eq!(next(&mut *near.receiver).await.header.call, call as u64 + 100);
    }
}
