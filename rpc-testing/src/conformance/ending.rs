//! LK-3: links end, orderly or not, and only then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Waker};

use rpc_core::{Body, Close, Flush, Frame, Link, LinkClosed, LinkError, LinkReceiver, recv};
use tokio::sync::{mpsc, oneshot};

use super::Rig;
use super::harness::{
    Pair, WIDE, assert_same, bind, greet, is_greeting, next, part, payload, request, within, within_time,
};

fn small(call: u64) -> Frame {
    request(call, Body::new(payload(10, call)))
}

/// Reads until the link is at its end, and says how it ended.
async fn read_to_end(receiver: &mut dyn LinkReceiver) -> Result<(), LinkError> {
    while recv(receiver).await?.is_some() {}
    Ok(())
}

/// What was sent before an orderly close arrives whole, large frames that wait for a place too, then the end;
/// afterwards nothing is taken.
pub async fn closing_delivers_what_was_queued(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 64;
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(1 << 20, 5);
    let frame = |call| request(call, Body { payload: payload(2, call), parts: vec![bulk.clone()] });
    for call in 0..FRAMES {
        pair.near.sender.send(frame(call), Flush::Later).expect("the link is up");
    }
    pair.near.sender.close(Close::AfterQueued);
    assert_eq!(pair.near.sender.send(small(99), Flush::Now), Err(LinkClosed), "a closed link takes nothing");
    let mut calls = BTreeSet::new();
    for _ in 0..FRAMES {
        let got = next(&mut *pair.far.receiver).await;
        assert_same(&got, &frame(got.header.call));
        calls.insert(got.header.call);
    }
    assert_eq!(calls, (0..FRAMES).collect());
    let end = within("the end of the reading side", recv(&mut *pair.far.receiver)).await;
    assert!(matches!(end, Ok(None)), "an orderly close ended as {end:?}");
    within("closed()", pair.near.sender.closed()).await;
    let own_end = within("the end of the closing side", read_to_end(&mut *pair.near.receiver)).await;
    own_end.expect("one's own close is no error");
}

/// A close that waits for nothing ends both sides, whatever was queued.
pub async fn closing_now_ends_both_sides(rig: Arc<dyn Rig>) {
    let mut pair = Pair::new(&*rig).await;
    let bulk = part(16 << 20, 6);
    for call in 0..4 {
        let frame = request(call, Body { payload: payload(2, call), parts: vec![bulk.clone()] });
        pair.near.sender.send(frame, Flush::Now).expect("the link is up");
    }
    pair.near.sender.close(Close::Now);
    assert_eq!(pair.near.sender.send(small(9), Flush::Now), Err(LinkClosed), "a closed link takes nothing");
    within("closed()", pair.near.sender.closed()).await;
    // Whether it is an error depends on whether a frame was cut in two.
    let time = rig.end_within();
    let _ = within_time(time, "the end of the closing side", read_to_end(&mut *pair.near.receiver)).await;
    let _ = within_time(time, "the end of the other side", read_to_end(&mut *pair.far.receiver)).await;
}

/// A link that its user forgets does not stay open.
pub async fn dropping_both_halves_ends_the_link(rig: Arc<dyn Rig>) {
    let Pair { near, mut far, dialler, acceptor } = Pair::new(&*rig).await;
    drop(near);
    let _ = within_time(rig.end_within(), "the end", read_to_end(&mut *far.receiver)).await;
    drop((dialler, acceptor));
}

/// A sender that dies with large frames on their way leaves whole ones, and an error where the rest would be.
pub async fn a_sender_that_dies_cuts_no_frame_short(rig: Arc<dyn Rig>) {
    const FRAMES: u64 = 3;
    let (address_to, address) = oneshot::channel();
    let (die, dies) = oneshot::channel::<()>();
    let peer_rig = Arc::clone(&rig);
    // More than any system buffers for one connection unless told to.
    let bulk = part(64 << 20, 7);
    let frame = move |call| request(call, Body { payload: payload(2, call), parts: vec![bulk.clone()] });
    let peers_frame = frame.clone();
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let transport = bind(&*peer_rig).await;
            address_to.send(transport.local_address()).expect("the case waits for it");
            let mut link = transport.accept().await.expect("the link is accepted");
            assert!(is_greeting(recv(&mut *link.receiver).await));
            link.sender.send(small(100), Flush::Now).expect("the link is up");
            for call in 0..FRAMES {
                link.sender.send(peers_frame(call), Flush::Now).expect("the link is up");
            }
            dies.await.expect("the case says when to die");
        });
    });
    let transport = bind(&*rig).await;
    let address = within("the peer's address", address).await.expect("the peer binds");
    let mut link = within("to connect", transport.connect(&address)).await.expect("the peer listens");
    link.receiver.set_limits(WIDE);
    greet(&link);
    assert_eq!(next(&mut *link.receiver).await.header.call, 100);
    die.send(()).expect("the peer lives until told");
    peer.join().expect("the peer does not panic");

    let mut received = 0;
    let end = loop {
        match within_time(rig.end_within(), "the end", recv(&mut *link.receiver)).await {
            Ok(Some(got)) => assert_same(&got, &frame(got.header.call)),
            end => break end,
        }
        received += 1;
    };
    assert!(received == FRAMES || end.is_err(), "a link that lost frames ended as if in order");
}

/// The peer's runtime, and with it every task and socket, goes away in the middle of a conversation.
pub async fn a_peer_that_dies_ends_the_link(rig: Arc<dyn Rig>) {
    let (address_to, address) = oneshot::channel();
    let (die, dies) = oneshot::channel::<()>();
    let peer_rig = Arc::clone(&rig);
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let transport = bind(&*peer_rig).await;
            address_to.send(transport.local_address()).expect("the case waits for it");
            let mut link = transport.accept().await.expect("the link is accepted");
            assert!(is_greeting(recv(&mut *link.receiver).await));
            link.sender.send(small(1), Flush::Now).expect("the link is up");
            dies.await.expect("the case says when to die");
        });
    });

    let transport = bind(&*rig).await;
    let address = within("the peer's address", address).await.expect("the peer binds");
    let mut link = within("to connect", transport.connect(&address)).await.expect("the peer listens");
    greet(&link);
    assert_eq!(next(&mut *link.receiver).await.header.call, 1);
    let bulk = part(32 << 20, 7);
    let unread = request(2, Body { payload: payload(2, 2), parts: vec![bulk] });
    link.sender.send(unread, Flush::Now).expect("the link is up");

    die.send(()).expect("the peer lives until told");
    // Orderly or not depends on how much of the frame had arrived.
    let _ = within_time(rig.end_within(), "the end", read_to_end(&mut *link.receiver)).await;
    let refusing = async {
        while link.sender.send(small(3), Flush::Now).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    link.sender.close(Close::Now);
    within("the link to refuse frames", refusing).await;
    peer.join().expect("the peer does not panic");
}

/// A peer that connects and says nothing is left alone, and others are served meanwhile.
pub async fn a_silent_peer_is_no_end_and_harms_nobody(rig: Arc<dyn Rig>) {
    let (dialler, acceptor) = (bind(&*rig).await, bind(&*rig).await);
    let address = acceptor.local_address();
    let mut silent = within("to connect", dialler.connect(&address)).await.expect("it listens");
    let talking = within("to connect", dialler.connect(&address)).await.expect("it listens");
    greet(&talking);

    // Each link is read by a task of its own, as an engine does; the silent one is read in vain.
    let (heard_to, mut heard) = mpsc::channel::<Link>(2);
    let accepting = tokio::spawn(async move {
        loop {
            let accepted = acceptor.accept().await;
            let heard_to = heard_to.clone();
            tokio::spawn(async move {
                let mut link = accepted.expect("links are accepted");
                if is_greeting(recv(&mut *link.receiver).await) {
                    let _ = heard_to.send(link).await;
                }
            });
        }
    });
    let answering = within("the peer that talks", heard.recv()).await.expect("it is heard");
    answering.sender.send(small(1), Flush::Now).expect("the link is up");
    let mut talking = talking;
    assert_eq!(next(&mut *talking.receiver).await.header.call, 1);

    let polled = silent.receiver.poll_recv(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "silence is no end, but the link gave {polled:?}");
    greet(&silent);
    let late = within("the peer that was silent", heard.recv()).await.expect("it is heard");
    late.sender.send(small(2), Flush::Now).expect("the link is up");
    assert_eq!(next(&mut *silent.receiver).await.header.call, 2);
    accepting.abort();
}

/// An address at which nobody listens any more is an error, not a wait.
pub async fn a_dial_to_nobody_fails(rig: Arc<dyn Rig>) {
    let (transport, gone) = (bind(&*rig).await, bind(&*rig).await);
    let address = gone.local_address();
    drop(gone);
    let dialled = within("the dial to fail", transport.connect(&address)).await;
    assert!(dialled.is_err(), "connected to a transport that is gone");
}
