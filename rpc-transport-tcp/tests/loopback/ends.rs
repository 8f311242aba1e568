//! How links end, on both sides.

use std::io::ErrorKind;

use rpc_core::{Close, Flush, LinkClosed, LinkError, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{assert_same, bind, half_pair, next, next_frame, pair, request, reset, soon};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_orderly_close_delivers_everything_and_ends_both_sides() {
    let (mut near, mut far) = pair().await;
    for call in 0..50 {
        near.sender.send(request(call, 10, &[MIB]), Flush::Later).unwrap();
    }
    near.sender.close(Close::AfterQueued);
    assert_eq!(near.sender.send(request(99, 0, &[]), Flush::Now), Err(LinkClosed));
    for call in 0..50 {
        assert_same(&next_frame(&mut far.receiver).await, &request(call, 10, &[MIB]));
    }
    assert!(next(&mut far.receiver).await.unwrap().is_none());
    soon(near.sender.closed()).await;
    far.sender.close(Close::AfterQueued);
    assert!(next(&mut near.receiver).await.unwrap().is_none());
    soon(far.sender.closed()).await;
    assert!(next(&mut near.receiver).await.unwrap().is_none(), "an end is final");
}

#[tokio::test]
async fn after_our_own_orderly_close_the_peers_frames_still_arrive() {
    let (mut near, far) = pair().await;
    near.sender.close(Close::AfterQueued);
    soon(near.sender.closed()).await;
    far.sender.send(request(1, 10, &[MIB]), Flush::Now).unwrap();
    far.sender.close(Close::AfterQueued);
    assert_same(&next_frame(&mut near.receiver).await, &request(1, 10, &[MIB]));
    assert!(next(&mut near.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn closing_and_dropping_a_link_with_unread_input_loses_nothing_of_its_output() {
    let (near, mut far) = pair().await;
    // What `near` never reads would reset the connection if its socket were closed on it.
    far.sender.send(request(1, 10, &[MIB]), Flush::Now).unwrap();
    for call in 0..20 {
        near.sender.send(request(call, 10, &[MIB]), Flush::Later).unwrap();
    }
    near.sender.close(Close::AfterQueued);
    drop(near);
    for call in 0..20 {
        assert_same(&next_frame(&mut far.receiver).await, &request(call, 10, &[MIB]));
    }
    assert!(next(&mut far.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_a_sender_is_an_orderly_close() {
    let (near, mut far) = pair().await;
    near.sender.send(request(1, 10, &[]), Flush::Later).unwrap();
    drop(near);
    assert_same(&next_frame(&mut far.receiver).await, &request(1, 10, &[]));
    assert!(next(&mut far.receiver).await.unwrap().is_none());
}

#[tokio::test]
async fn closing_now_ends_a_reader_that_waits_and_drops_what_is_queued() {
    let (mut near, far) = pair().await;
    near.sender.send(request(1, 10, &[64 * MIB]), Flush::Now).unwrap();
    assert!(near.sender.queued_bytes() > 0);
    let sender = near.sender.clone();
    let reader = tokio::spawn(async move { next(&mut near.receiver).await });
    tokio::task::yield_now().await;
    sender.close(Close::Now);
    assert!(reader.await.unwrap().unwrap().is_none());
    soon(sender.closed()).await;
    assert_eq!(sender.queued_bytes(), 0);
    assert_eq!(sender.send(request(2, 0, &[]), Flush::Now), Err(LinkClosed));
    let mut far = far;
    assert!(next(&mut far.receiver).await.is_err(), "the frame was cut off");
}

// In the next two the clock is paused: it jumps to the next timer as soon as nothing else can happen.

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_ends_its_side_does_not_keep_a_closed_link() {
    let (mut link, stream) = half_pair().await;
    link.sender.close(Close::AfterQueued);
    let started = tokio::time::Instant::now();
    assert!(next(&mut link.receiver).await.unwrap().is_none());
    assert_eq!(started.elapsed().as_secs(), 2, "the documented time");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_hold_up_an_orderly_close() {
    let (mut link, stream) = half_pair().await;
    link.sender.send(request(1, 10, &[64 * MIB]), Flush::Now).unwrap();
    link.sender.close(Close::AfterQueued);
    let started = tokio::time::Instant::now();
    soon(link.sender.closed()).await;
    let error = next(&mut link.receiver).await.unwrap_err();
    assert!(matches!(&error, LinkError::Io(error) if error.kind() == ErrorKind::TimedOut), "{error}");
    assert_eq!(started.elapsed().as_secs(), 5, "the documented time");
    drop(stream);
}

#[tokio::test]
async fn a_peer_that_dies_in_the_middle_of_a_frame_is_an_error() {
    let frame = request(1, 100, &[1000]);
    let mut wire = frame.header.to_bytes().to_vec();
    wire.extend_from_slice(&frame.body.payload);
    wire.extend_from_slice(&1000_u64.to_le_bytes());
    wire.extend_from_slice(&[0; 999]);
    for len in [1, 31, 32, 50, 132, 135, 140, wire.len()] {
        let (mut link, mut stream) = half_pair().await;
        stream.write_all(&wire[..len]).await.unwrap();
        drop(stream);
        let error = next(&mut link.receiver).await.unwrap_err();
        assert!(
            matches!(&error, LinkError::Io(error) if error.kind() == ErrorKind::UnexpectedEof),
            "{len}: {error}"
        );
        assert!(next(&mut link.receiver).await.is_err(), "an error is final");
    }
}

#[tokio::test]
async fn a_reset_ends_reader_and_sender() {
    let (mut link, stream) = half_pair().await;
    reset(Some(&link), stream);
    let error = next(&mut link.receiver).await.unwrap_err();
    assert!(matches!(&error, LinkError::Io(error) if error.kind() == ErrorKind::ConnectionReset), "{error}");
    assert_eq!(link.sender.send(request(1, 0, &[]), Flush::Now), Err(LinkClosed));
    soon(link.sender.closed()).await;
}

#[tokio::test]
async fn a_reset_while_writing_ends_the_sender_even_if_nobody_reads() {
    let (mut link, stream) = half_pair().await;
    link.sender.send(request(1, 0, &[64 * MIB]), Flush::Now).unwrap();
    reset(Some(&link), stream);
    soon(link.sender.closed()).await;
    assert_eq!(link.sender.queued_bytes(), 0);
    assert_eq!(link.sender.send(request(2, 0, &[]), Flush::Now), Err(LinkClosed));
    assert!(next(&mut link.receiver).await.is_err());
}

#[tokio::test]
async fn frames_that_arrived_before_a_write_error_are_still_received() {
    let (mut link, mut stream) = half_pair().await;
    let frame = request(7, 20, &[]);
    let mut wire = frame.header.to_bytes().to_vec();
    wire.extend_from_slice(&frame.body.payload);
    stream.write_all(&wire).await.unwrap();
    // Unread input makes the system reset the connection after the peer's end.
    link.sender.send(request(1, 10, &[]), Flush::Now).unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    drop(stream);
    while link.sender.send(request(2, 10, &[]), Flush::Now).is_ok() {
        tokio::task::yield_now().await;
    }
    assert_same(&next_frame(&mut link.receiver).await, &frame);
    assert!(next(&mut link.receiver).await.is_err());
}

#[tokio::test]
async fn dialling_where_nobody_listens_is_refused() {
    let transport = bind().await;
    let gone = bind().await.local_address();
    let error = transport.connect(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(transport.connect("no port").await.is_err());
}

#[test]
fn a_runtime_that_ends_takes_its_links_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near, _far) = runtime.block_on(pair());
    drop(runtime);
    assert_eq!(near.sender.send(request(1, 0, &[]), Flush::Now), Err(LinkClosed));
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(soon(near.sender.closed()));
}
