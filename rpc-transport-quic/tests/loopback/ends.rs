//! How links end, on both sides.

use std::io::ErrorKind;
use std::time::Duration;

use rpc_core::{Close, Flush, Group, Identity, LinkClosed, LinkError, Transport};
use tokio::sync::oneshot;

use crate::rig::{
    LIMITS, MIB, assert_same, bind_as, bind_two, group_of, identity, next, next_frame, pair, request, soon,
};

#[tokio::test]
async fn an_orderly_close_delivers_everything_and_ends_both_sides() {
    let mut pair = pair().await;
    for call in 1..51 {
        pair.near.sender.send(request(call, 10, &[MIB]), Flush::Later).unwrap();
    }
    pair.near.sender.close(Close::AfterQueued);
    assert_eq!(pair.near.sender.send(request(99, 0, &[]), Flush::Now), Err(LinkClosed));
    for _ in 1..51 {
        let frame = next_frame(&mut pair.far.receiver).await;
        assert_same(&frame, &request(frame.header.call, 10, &[MIB]));
    }
    assert!(next(&mut pair.far.receiver).await.unwrap().is_none());
    soon(pair.near.sender.closed()).await;
    pair.far.sender.close(Close::AfterQueued);
    assert!(next(&mut pair.near.receiver).await.unwrap().is_none());
    soon(pair.far.sender.closed()).await;
    assert!(next(&mut pair.near.receiver).await.unwrap().is_none(), "an end is final");
}

#[tokio::test]
async fn after_our_own_orderly_close_the_peers_frames_still_arrive() {
    let mut pair = pair().await;
    pair.near.sender.close(Close::AfterQueued);
    assert!(next(&mut pair.far.receiver).await.unwrap().is_none());
    pair.far.sender.send(request(1, 10, &[MIB]), Flush::Now).unwrap();
    pair.far.sender.close(Close::AfterQueued);
    assert_same(&next_frame(&mut pair.near.receiver).await, &request(1, 10, &[MIB]));
    assert!(next(&mut pair.near.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn closing_and_dropping_a_link_with_unread_input_loses_nothing_of_its_output() {
    let mut pair = pair().await;
    pair.far.sender.send(request(1, 10, &[MIB]), Flush::Now).unwrap();
    for call in 1..21 {
        pair.near.sender.send(request(call, 10, &[MIB]), Flush::Later).unwrap();
    }
    pair.near.sender.close(Close::AfterQueued);
    drop(pair.near);
    for _ in 1..21 {
        let frame = next_frame(&mut pair.far.receiver).await;
        assert_same(&frame, &request(frame.header.call, 10, &[MIB]));
    }
    assert!(next(&mut pair.far.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn a_process_may_end_as_soon_as_its_links_are_closed() {
    let (near, far) = (identity(), identity());
    let group = group_of(&[&near, &far]);
    let acceptor = bind_as(&far, &group).await;
    let address = acceptor.local_address();
    let leaving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dialler = bind_as(&near, &group).await;
            let link = dialler.connect(&address).await.unwrap();
            link.sender.send(request(1, 10, &[8 * MIB]), Flush::Now).unwrap();
            link.sender.close(Close::AfterQueued);
            soon(link.sender.closed()).await;
        });
        runtime.shutdown_background();
    });
    let mut link = soon(acceptor.accept()).await.unwrap();
    link.receiver.set_limits(LIMITS);
    assert_same(&next_frame(&mut link.receiver).await, &request(1, 10, &[8 * MIB]));
    assert!(next(&mut link.receiver).await.unwrap().is_none());
    leaving.join().unwrap();
    // Nobody is there any more to acknowledge our own end.
    link.sender.close(Close::AfterQueued);
    soon(link.sender.closed()).await;
}

#[tokio::test]
async fn closing_now_ends_a_reader_that_waits_and_drops_what_is_queued() {
    let mut pair = pair().await;
    pair.near.sender.send(request(1, 10, &[20 * MIB]), Flush::Now).unwrap();
    assert!(pair.near.sender.queued_bytes() > 0);
    let sender = pair.near.sender.clone();
    let mut near = pair.near;
    let reader = tokio::spawn(async move { next(&mut near.receiver).await });
    tokio::task::yield_now().await;
    sender.close(Close::Now);
    assert!(reader.await.unwrap().unwrap().is_none());
    soon(sender.closed()).await;
    assert_eq!(sender.queued_bytes(), 0);
    assert_eq!(sender.send(request(2, 0, &[]), Flush::Now), Err(LinkClosed));
    assert!(next(&mut pair.far.receiver).await.is_err(), "the frame was cut off");
}

#[tokio::test]
async fn a_peer_that_never_ends_its_side_does_not_keep_a_closed_link() {
    let mut pair = pair().await;
    pair.near.sender.close(Close::AfterQueued);
    soon(pair.near.sender.closed()).await;
    assert!(next(&mut pair.near.receiver).await.unwrap().is_none());
    assert!(next(&mut pair.far.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_does_not_hold_up_an_orderly_close() {
    let mut pair = pair().await;
    pair.near.sender.send(request(1, 10, &[20 * MIB]), Flush::Now).unwrap();
    pair.near.sender.close(Close::AfterQueued);
    soon(pair.near.sender.closed()).await;
    let error = next(&mut pair.near.receiver).await.unwrap_err();
    assert!(matches!(&error, LinkError::Io(error) if error.kind() == ErrorKind::TimedOut), "{error}");
    // The peer hears why.
    let error = next(&mut pair.far.receiver).await.unwrap_err();
    assert!(error.to_string().contains("took nothing"), "{error}");
}

/// Runs a peer of `identity` in a runtime of its own, on a thread of its own, until `die` says so. Nothing of it
/// is closed then, as if its process had been killed: its tasks and its socket are gone.
fn mortal_peer(
    identity: Identity,
    group: Group,
) -> (oneshot::Receiver<String>, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (address_to, address) = oneshot::channel();
    let (die, dies) = oneshot::channel();
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let alive = runtime.block_on(async {
            let transport = bind_as(&identity, &group).await;
            address_to.send(transport.local_address()).unwrap();
            let link = transport.accept().await.unwrap();
            link.sender.send(request(1, 10, &[]), Flush::Now).unwrap();
            dies.await.unwrap();
            (transport, link)
        });
        runtime.shutdown_background();
        drop(alive);
    });
    (address, die, peer)
}

#[tokio::test]
async fn a_process_that_dies_is_noticed_long_before_the_idle_timeout() {
    let (near, far) = (identity(), identity());
    let group = group_of(&[&near, &far]);
    let (address, die, peer) = mortal_peer(far, group.clone());
    let address = address.await.unwrap();
    let dialler = bind_as(&near, &group).await;
    let mut link = dialler.connect(&address).await.unwrap();
    assert_same(&next_frame(&mut link.receiver).await, &request(1, 10, &[]));
    die.send(()).unwrap();
    tokio::task::spawn_blocking(|| peer.join().unwrap()).await.unwrap();
    let error =
        tokio::time::timeout(Duration::from_secs(10), next(&mut link.receiver)).await.unwrap().unwrap_err();
    assert!(matches!(&error, LinkError::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error}");
    assert!(error.to_string().contains("its process has ended"), "{error}");
    soon(link.sender.closed()).await;
    assert_eq!(link.sender.send(request(1, 0, &[]), Flush::Now), Err(LinkClosed));
    let again = dialler.connect(&address).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn dialling_where_nobody_listens_is_refused_at_once() {
    let (transport, gone) = bind_two().await;
    let address = gone.local_address();
    drop(gone);
    let dialled = tokio::time::timeout(Duration::from_secs(5), transport.connect(&address));
    assert_eq!(dialled.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(transport.connect("no port").await.is_err());
}

/// As somebody who is stopped, and then killed.
#[tokio::test]
async fn a_port_that_closes_while_it_is_dialled_refuses_the_dial() {
    let dialler = bind_two().await.0;
    let stopped = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = stopped.local_addr().unwrap().to_string();
    let dialling = tokio::spawn(async move { dialler.connect(&address).await.map(drop) });
    // Only a second knock tells that the first one is over.
    for _ in 0..2 {
        while soon(stopped.recv_from(&mut [0; 2_048])).await.unwrap().0 != 1 {}
    }
    drop(stopped);
    assert_eq!(soon(dialling).await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_runtime_that_ends_takes_its_links_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pair = runtime.block_on(pair());
    drop(runtime);
    assert_eq!(pair.near.sender.send(request(1, 0, &[]), Flush::Now), Err(LinkClosed));
}
