//! Networks that lose packets, and addresses that change.

use std::sync::atomic::Ordering;

use rpc_core::{Flush, Link, Transport};

use crate::proxy::{Proxy, Weather};
use crate::rig::{KIB, MIB, assert_same, bind_two, connect, next_frame, reply, request};

/// One call and its answer over `near` and `far`.
async fn call(near: &mut Link, far: &mut Link, call: u64) {
    near.sender.send(request(call, 100, &[]), Flush::Now).unwrap();
    assert_same(&next_frame(&mut far.receiver).await, &request(call, 100, &[]));
    far.sender.send(reply(call, 100), Flush::Now).unwrap();
    assert_same(&next_frame(&mut near.receiver).await, &reply(call, 100));
}

#[tokio::test]
async fn a_client_whose_port_changes_keeps_its_calls() {
    let (dialler, acceptor) = bind_two().await;
    let proxy = Proxy::to(&acceptor.local_address(), Weather::CLEAR).await;
    let (mut near, mut far) = connect(&dialler, &acceptor, &proxy.address).await;
    let before = format!("{:?}", far.sender);
    for round in 1..6 {
        call(&mut near, &mut far, 10 * round).await;
        // One call is on its way in each direction, and a large one, while the port changes.
        near.sender.send(request(10 * round + 1, 10, &[MIB]), Flush::Now).unwrap();
        far.sender.send(reply(10 * round + 2, 70_000), Flush::Now).unwrap();
        proxy.change_port().await;
        assert_same(&next_frame(&mut far.receiver).await, &request(10 * round + 1, 10, &[MIB]));
        assert_same(&next_frame(&mut near.receiver).await, &reply(10 * round + 2, 70_000));
        call(&mut near, &mut far, 10 * round + 3).await;
    }
    let remote = |text: &str| text.split("remote: ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let after = format!("{:?}", far.sender);
    assert_ne!(remote(&before), remote(&after), "the port has not changed at all");
}

#[tokio::test]
async fn everything_arrives_over_a_network_that_loses_packets() {
    for (seed, lost_of_thousand) in [(1, 10), (2, 50), (3, 150)] {
        let (dialler, acceptor) = bind_two().await;
        let proxy = Proxy::to(&acceptor.local_address(), Weather { lost_of_thousand, seed }).await;
        let (mut near, mut far) = connect(&dialler, &acceptor, &proxy.address).await;
        const FRAMES: u64 = 60;
        let frame = |call: u64| {
            request(call, (call as usize * 997) % (100 * KIB), &[(call as usize * 7) % 3 * 70_000])
        };
        let answer = |call: u64| reply(call, (call as usize * 1_009) % (100 * KIB));
        for call in 1..=FRAMES {
            near.sender.send(frame(call), Flush::Soon).unwrap();
            far.sender.send(answer(call), Flush::Soon).unwrap();
        }
        let mut last_small = 0;
        for _ in 1..=FRAMES {
            let got = next_frame(&mut far.receiver).await;
            assert_same(&got, &frame(got.header.call));
            let is_small = got.body.payload.len() < 64 * KIB && got.body.parts[0].is_empty();
            if is_small {
                assert!(last_small < got.header.call, "small frames of a lane keep their order");
                last_small = got.header.call;
            }
        }
        for _ in 1..=FRAMES {
            let got = next_frame(&mut near.receiver).await;
            assert_same(&got, &answer(got.header.call));
        }
        assert!(proxy.lost.load(Ordering::Relaxed) > 0, "nothing was lost");
    }
}

/// While the packets of a large message are lost and sent again, small ones arrive.
#[tokio::test]
async fn a_loss_of_bulk_holds_up_no_small_frame() {
    let (dialler, acceptor) = bind_two().await;
    let proxy = Proxy::to(&acceptor.local_address(), Weather { lost_of_thousand: 30, seed: 5 }).await;
    let (near, mut far) = connect(&dialler, &acceptor, &proxy.address).await;
    near.sender.send(request(1, 10, &[8 * MIB]), Flush::Now).unwrap();
    let mut small_before = 0;
    for call in 2.. {
        near.sender.send(request(call, 100, &[]), Flush::Now).unwrap();
        let frame = next_frame(&mut far.receiver).await;
        if frame.header.call == 1 {
            assert_same(&frame, &request(1, 10, &[8 * MIB]));
            break;
        }
        assert_eq!(frame.header.call, call, "each small one arrives before the next is sent");
        small_before += 1;
    }
    assert!(small_before >= 20, "only {small_before} small frames before the large one");
    assert!(proxy.lost.load(Ordering::Relaxed) > 20, "nothing was lost");
}
