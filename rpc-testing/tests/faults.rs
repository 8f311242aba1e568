//! Faults of pairs and of whole transports, on a paused clock.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::{A, B, Pair, call, end, link, ready_call, reply, request, request_of, send};
use rpc_core::{Close, Flush, LinkClosed, Transport};
use rpc_testing::{MemoryNetwork, Stage};
use tokio::time::Instant;

const SILENCE_MAX: Duration = Duration::from_secs(5);

fn network() -> MemoryNetwork {
    MemoryNetwork::builder().silence_max(SILENCE_MAX).window_bytes(10_000).build()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_for_one_direction_and_keeps_the_order_when_it_shrinks() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    network.set_delay(A, B, ms(50));
    let start = Instant::now();
    send(&pair.near, request(1));
    network.set_delay(A, B, ms(10));
    send(&pair.near, request(2));
    send(&pair.far, request(3));

    assert_eq!(ready_call(&mut pair.near), Some(3), "the other direction has no delay");
    assert_eq!(network.in_flight().len(), 2);
    assert!(network.in_flight().iter().all(|frame| frame.stage == Stage::Travelling));
    assert_eq!(call(&mut pair.far).await, 1);
    assert_eq!(start.elapsed(), ms(50));
    assert_eq!(call(&mut pair.far).await, 2);
    assert_eq!(start.elapsed(), ms(50));
}

#[tokio::test(start_paused = true)]
async fn a_dial_takes_a_round_trip() {
    let network = network();
    let (a, b) = (network.transport(), network.transport());
    network.set_delay(A, B, ms(30));
    network.set_delay(B, A, ms(12));
    let start = Instant::now();
    link(&a, &b).await;
    assert_eq!(start.elapsed(), ms(42));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_across_a_partition_arrives_after_it_heals() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    network.partition(A, B);
    send(&pair.near, request(1));
    send(&pair.far, request(2));
    assert_eq!(network.until_held(2).await.len(), 2);
    assert_eq!((ready_call(&mut pair.near), ready_call(&mut pair.far)), (None, None));

    tokio::time::advance(SILENCE_MAX - ms(1)).await;
    network.heal(A, B);
    tokio::time::advance(SILENCE_MAX).await;
    assert_eq!((call(&mut pair.near).await, call(&mut pair.far).await), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_lasts_ends_links_and_dials_as_timed_out() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    let start = Instant::now();
    network.partition(A, B);
    send(&pair.near, request(1));
    let dialling = pair.a.connect(B);
    let (near, far, dialled) = tokio::join!(end(&mut pair.near), end(&mut pair.far), dialling);
    assert_eq!((near, far), (Err(ErrorKind::TimedOut), Err(ErrorKind::TimedOut)));
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), SILENCE_MAX);
    assert_eq!(pair.near.sender.send(request(2), Flush::Now), Err(LinkClosed));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_in_a_partition_goes_on_when_it_heals() {
    let network = network();
    let (a, b) = (network.transport(), network.transport());
    network.partition(A, B);
    let start = Instant::now();
    let healing = async {
        tokio::time::sleep(ms(700)).await;
        network.heal(A, B);
    };
    tokio::join!(link(&a, &b), healing);
    assert_eq!(start.elapsed(), ms(700));
}

#[tokio::test(start_paused = true)]
async fn a_one_way_partition_lets_the_other_way_pass() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    network.partition_one_way(A, B);
    send(&pair.near, request(1));
    send(&pair.far, request(2));
    assert_eq!((ready_call(&mut pair.near), ready_call(&mut pair.far)), (Some(2), None));
    network.heal(A, B);
    assert_eq!(call(&mut pair.far).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_fails_both_sides_at_once_and_the_next_dial_succeeds() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    send(&pair.near, request(1));
    let start = Instant::now();
    let cutting = async { network.cut(B, A) };
    let (near, far, cut) =
        tokio::join!(end(&mut pair.near), async { pair.far.sender.closed().await }, cutting);
    assert_eq!((near, far, cut), (Err(ErrorKind::ConnectionReset), (), 1));
    assert_eq!(end(&mut pair.far).await, Err(ErrorKind::ConnectionReset), "the frame went down with it");
    assert_eq!(pair.far.sender.send(reply(1), Flush::Now), Err(LinkClosed));
    assert_eq!(start.elapsed(), Duration::ZERO);

    assert_eq!(network.cut(A, B), 0, "there is nothing left to cut");
    let (near, mut far) = link(&pair.a, &pair.b).await;
    send(&near, request(2));
    assert_eq!(call(&mut far).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_killed_transport_takes_its_links_and_neither_dials_nor_is_dialled() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    let c = network.transport();
    let (to_c, mut at_c) = link(&pair.a, &c).await;
    network.kill(B);
    assert_eq!(end(&mut pair.near).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(end(&mut pair.far).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(pair.a.connect(B).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(pair.b.connect(A).await.unwrap_err().kind(), ErrorKind::NetworkDown);
    send(&to_c, request(1));
    assert_eq!(call(&mut at_c).await, 1, "links of others live on");
}

#[tokio::test(start_paused = true)]
async fn a_refusing_transport_keeps_its_links_and_admits_again() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    network.refuse(B);
    let refused = pair.a.connect(B).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    send(&pair.near, request(1));
    assert_eq!(call(&mut pair.far).await, 1);
    network.admit(B);
    link(&pair.a, &pair.b).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_felt_by_the_sender_as_queued_bytes() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    for number in 0..5 {
        send(&pair.near, request_of(number, 4_000));
    }
    let frame_bytes = 4_032;
    assert_eq!(pair.near.sender.queued_bytes(), 3 * frame_bytes, "two fit into the window of 10000");
    assert_eq!(call(&mut pair.far).await, 0);
    assert_eq!(pair.near.sender.queued_bytes(), 2 * frame_bytes);
    for number in 1..5 {
        assert_eq!(call(&mut pair.far).await, number);
    }
    send(&pair.near, request_of(9, 50_000));
    assert_eq!(pair.near.sender.queued_bytes(), 0, "a frame larger than the window travels alone");
}

#[tokio::test(start_paused = true)]
async fn an_urgent_frame_overtakes_what_waits_for_the_window() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    for number in 0..4 {
        send(&pair.near, request_of(number, 9_000));
    }
    send(&pair.near, reply(100));
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(call(&mut pair.far).await);
    }
    assert_eq!(calls, [0, 100, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_for_later_stays_until_a_flush_or_a_frame_for_now() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    pair.near.sender.send(request(1), Flush::Later).unwrap();
    assert_eq!(ready_call(&mut pair.far), None);
    assert_eq!(network.in_flight()[0].stage, Stage::Queued);
    pair.near.sender.flush();
    assert_eq!(ready_call(&mut pair.far), Some(1));
    pair.near.sender.send(request(2), Flush::Later).unwrap();
    pair.near.sender.send(request(3), Flush::Now).unwrap();
    assert_eq!((ready_call(&mut pair.far), ready_call(&mut pair.far)), (Some(2), Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_up_on_a_peer_that_never_reads() {
    let network = network();
    let mut pair = Pair::on(&network).await;
    send(&pair.near, request_of(1, 9_000));
    send(&pair.near, request_of(2, 9_000));
    let start = Instant::now();
    pair.near.sender.close(Close::AfterQueued);
    pair.near.sender.closed().await;
    assert_eq!(start.elapsed(), SILENCE_MAX);
    assert_eq!(end(&mut pair.near).await, Ok(()));
    assert_eq!(call(&mut pair.far).await, 1, "what had left arrives");
    assert_eq!(end(&mut pair.far).await, Err(ErrorKind::ConnectionReset), "the rest was given up");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_link_whose_ends_are_dropped() {
    let network = network();
    let pair = Pair::on(&network).await;
    send(&pair.near, request(1));
    let closed = pair.near.sender.closed();
    drop(pair);
    closed.await;
    assert_eq!(network.in_flight(), []);
    let debug = format!("{network:?}");
    assert!(debug.contains("links: 0") && debug.contains("transports: []"), "{debug}");
}
