//! LK-2: a frame over the limits is a violation, and the link is of no use afterwards.

use std::sync::Arc;

use rpc_core::{Body, Flush, Frame, FrameLimits, LinkError, Violation, recv};

use super::Rig;
use super::harness::{Pair, assert_same, next, part, payload, request, within};

/// Sends `frame` and returns the violation that it is on the other side.
async fn violation(pair: &mut Pair, frame: Frame) -> Violation {
    // A link that notices early may refuse to take it all.
    let _ = pair.near.sender.send(frame, Flush::Now);
    let received = within("the violation", recv(&mut *pair.far.receiver)).await;
    let Err(LinkError::Violation(violation)) = received else {
        panic!("expected a violation, got {received:?}");
    };
    let again = within("the end of a broken link", recv(&mut *pair.far.receiver)).await;
    assert!(!matches!(again, Ok(Some(_))), "a broken link gave {again:?}");
    violation
}

/// Before the limits are widened, 2048 bytes and no part are the most.
pub async fn a_new_link_takes_no_more_than_a_handshake(rig: Arc<dyn Rig>) {
    let mut pair = Pair::with_handshake_limits(&*rig).await;
    let fits = request(1, Body::new(payload(2_048, 1)));
    pair.near.sender.send(fits.clone(), Flush::Now).expect("the link is up");
    assert_same(&next(&mut *pair.far.receiver).await, &fits);
    let large = request(2, Body::new(payload(2_049, 2)));
    let expected = Violation::MessageTooLarge { announced: 2_049, limit: 2_048 };
    assert_eq!(violation(&mut pair, large).await, expected);

    let mut pair = Pair::with_handshake_limits(&*rig).await;
    let with_part = request(3, Body { payload: payload(1, 3), parts: vec![part(1, 3)] });
    assert_eq!(violation(&mut pair, with_part).await, Violation::TooManyParts { announced: 1, limit: 0 });
}

/// Payload and parts count together; the largest that fits arrives, one byte more does not.
pub async fn limits_are_for_payload_and_parts_together(rig: Arc<dyn Rig>) {
    const LIMIT: usize = 1 << 20;
    let limits = FrameLimits { message_bytes_max: LIMIT as u64, parts_max: 2 };
    let body = |payload_len, part_lens: &[usize]| Body {
        payload: payload(payload_len, 1),
        parts: part_lens.iter().map(|len| part(*len, 2)).collect(),
    };
    let mut pair = Pair::new(&*rig).await;
    pair.far.receiver.set_limits(limits);
    let fits = request(1, body(100, &[LIMIT - 200, 100]));
    pair.near.sender.send(fits.clone(), Flush::Now).expect("the link is up");
    assert_same(&next(&mut *pair.far.receiver).await, &fits);
    match violation(&mut pair, request(2, body(101, &[LIMIT - 200, 100]))).await {
        Violation::MessageTooLarge { announced, limit } => {
            assert!(announced > limit && limit == LIMIT as u64, "{announced} over {limit}");
        }
        other => panic!("{other}"),
    }

    let mut pair = Pair::new(&*rig).await;
    pair.far.receiver.set_limits(limits);
    let many = violation(&mut pair, request(3, body(1, &[1, 1, 1]))).await;
    assert_eq!(many, Violation::TooManyParts { announced: 3, limit: 2 });

    let mut pair = Pair::new(&*rig).await;
    pair.far.receiver.set_limits(limits);
    let huge = request(4, body(64 << 20, &[]));
    assert!(matches!(violation(&mut pair, huge).await, Violation::MessageTooLarge { .. }));
}
