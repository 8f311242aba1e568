//! Peers that break the framing.

use rpc_core::wire::{HEADER_BYTES, Header};
use rpc_core::{Flush, FrameLimits, LinkError, Transport, Violation};
use tokio::io::AsyncWriteExt;

use crate::rig::{LIMITS, assert_same, bind, half_pair, knock, next, next_frame, request, reset};

#[tokio::test]
async fn a_frame_of_one_tebibyte_is_refused_before_anything_is_allocated() {
    let (mut link, mut stream) = half_pair().await;
    let header = Header { part_count: 1, ..request(1, 0, &[]).header };
    stream.write_all(&header.to_bytes()).await.unwrap();
    stream.write_all(&(1_u64 << 40).to_le_bytes()).await.unwrap();
    let error = next(&mut link.receiver).await.unwrap_err();
    assert!(
        matches!(
            error,
            LinkError::Violation(Violation::MessageTooLarge { announced, limit })
                if announced == 1 << 40 && limit == LIMITS.message_bytes_max
        ),
        "{error}"
    );
}

#[tokio::test]
async fn garbage_instead_of_a_hello_is_a_violation() {
    let (mut link, mut stream) = half_pair().await;
    link.receiver.set_limits(FrameLimits::HANDSHAKE);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: somebody.else\r\n\r\n").await.unwrap();
    assert!(matches!(next(&mut link.receiver).await, Err(LinkError::Violation(_))));
}

#[tokio::test]
async fn after_a_violation_the_reason_can_still_be_sent() {
    let (mut link, mut stream) = half_pair().await;
    link.receiver.set_limits(FrameLimits::HANDSHAKE);
    stream.write_all(&[0xff; HEADER_BYTES]).await.unwrap();
    assert!(next(&mut link.receiver).await.is_err());
    assert!(link.sender.send(request(1, 10, &[]), Flush::Now).is_ok());
}

#[tokio::test]
async fn a_peer_that_breaks_its_link_leaves_others_unharmed() {
    let transport = bind().await;
    let address = transport.local_address();
    let (mut good, mut stream) = {
        let dialled = transport.connect(&address).await.unwrap();
        let mut accepted = transport.accept().await.unwrap();
        accepted.receiver.set_limits(LIMITS);
        let stream = knock(&address).await;
        ((dialled, accepted), stream)
    };
    let mut bad = transport.accept().await.unwrap();
    stream.write_all(&[0xff; 1000]).await.unwrap();
    assert!(next(&mut bad.receiver).await.is_err());
    drop(bad);
    good.0.sender.send(request(1, 10, &[100_000]), Flush::Now).unwrap();
    assert_same(&next_frame(&mut good.1.receiver).await, &request(1, 10, &[100_000]));
}

#[tokio::test]
async fn a_peer_that_connects_and_goes_does_not_stop_the_listener() {
    let transport = bind().await;
    let address = transport.local_address();
    for _ in 0..20 {
        let stream = knock(&address).await;
        reset(None, stream);
    }
    let dialled = transport.connect(&address).await.unwrap();
    dialled.sender.send(request(1, 10, &[]), Flush::Now).unwrap();
    loop {
        let mut link = transport.accept().await.unwrap();
        if let Ok(Some(frame)) = next(&mut link.receiver).await {
            assert_same(&frame, &request(1, 10, &[]));
            break;
        }
    }
}
