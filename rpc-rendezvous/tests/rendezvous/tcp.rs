//! The TCP store among the accidents of a network.

use std::time::{Duration, Instant};

use rpc_core::{Store, StoreError};
use rpc_rendezvous::{StoreLimits, TcpStore, TcpStoreServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{LONG, Manner, Proxy, StandIn, client, free, server};

const HELLO: &[u8] = b"RPCSTORE\x01\x00";
const SERVER_HELLO_BYTES: usize = 39;

#[tokio::test]
async fn a_store_that_comes_late_is_found() {
    let free = free();
    let address = free.address.clone();
    // The first attempt is under way, and refused, before the server is there.
    let (store, server) = tokio::join!(TcpStore::connect(&address, LONG), TcpStoreServer::bind(&address));
    let _server = server.unwrap();
    store.unwrap().set("k", b"v").await.unwrap();
}

#[tokio::test]
async fn a_store_that_never_comes_is_unreachable_in_bounded_time() {
    let free = free();
    let address = free.address.clone();
    let began = Instant::now();
    let error = TcpStore::connect(&address, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unreachable { address: at, .. } if *at == address), "{error}");
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn another_service_is_recognised_before_the_time_is_up() {
    for manner in [Manner::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Manner::Says(b"RPC?"), Manner::HangsUp]
    {
        let service = StandIn::listen(manner).await;
        let began = Instant::now();
        let error = TcpStore::connect(&service.address, LONG).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::NotAStore { address, .. } if *address == service.address),
            "{manner:?}: {error}"
        );
        assert!(began.elapsed() < LONG, "{manner:?}");
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_is_no_store_when_the_time_is_up() {
    let service = StandIn::listen(Manner::Silent).await;
    let error = TcpStore::connect(&service.address, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    assert!(error.to_string().contains("says nothing"), "{error}");
}

/// Says `bytes` after the hello and returns what the server does: `None` if it goes on, else the rest of
/// what it said before it closed the connection.
async fn say(address: &str, hello: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    if hello == HELLO {
        stream.read_exact(&mut [0; SERVER_HELLO_BYTES]).await.unwrap();
    }
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    // A reset is as good an end as a close.
    let _ =
        tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await.expect("the server closes the link");
    said
}

#[tokio::test]
async fn garbage_closes_its_own_connection_and_harms_nobody() {
    let (_server, address) = server().await;
    let store = client(&address).await;
    store.set("k", b"v").await.unwrap();
    let unknown_tag = [1, 0, 0, 0, 99];
    let truncated_get = [3, 0, 0, 0, 2, 200, 0];
    let not_utf8 = [5, 0, 0, 0, 2, 2, 0, 0xff, 0xff];
    let four_billion_keys = [&[13, 0, 0, 0, 3][..], &[0; 8], &[0xff; 4]].concat();
    let trailing = [5, 0, 0, 0, 2, 1, 0, b'k', 0];
    for garbage in [
        &[0xff; 4][..], // a frame of 4 GiB
        &unknown_tag,
        &truncated_get,
        &not_utf8,
        &four_billion_keys,
        &trailing,
        &[0, 0, 0, 0],
    ] {
        assert_eq!(say(&address, HELLO, garbage).await, b"", "{garbage:?}");
    }
    for hello in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"RPCSTORE\x02\x00", &[0; 4096]] {
        assert_eq!(say(&address, hello, b"").await, b"", "{hello:?}");
    }
    assert_eq!(store.get("k").await, Ok(Some(b"v".to_vec())));
}

/// With a paused clock: a client that stops in the middle of a frame, or before its hello, is cut off after a
/// while, and nobody else waits for it.
#[tokio::test(start_paused = true)]
async fn slow_clients_are_cut_off_and_hold_up_nobody() {
    let (server, address) = server().await;
    let began = tokio::time::Instant::now();
    let mut in_frame = TcpStream::connect(&address).await.unwrap();
    in_frame.write_all(HELLO).await.unwrap();
    in_frame.read_exact(&mut [0; SERVER_HELLO_BYTES]).await.unwrap();
    in_frame.write_all(&[100, 0, 0, 0, 1, 2]).await.unwrap();
    let mut in_hello = TcpStream::connect(&address).await.unwrap();
    in_hello.write_all(b"RPC").await.unwrap();

    client(&address).await.set("k", b"v").await.unwrap();

    assert_eq!(in_hello.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(in_frame.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    drop(server);
}

#[tokio::test]
async fn a_client_that_talks_while_it_has_to_wait_is_cut_off() {
    let (_server, address) = server().await;
    let wait = [
        &[18, 0, 0, 0, 3][..],
        &60_000_u64.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &3_u16.to_le_bytes(),
        b"key",
    ]
    .concat();
    assert_eq!(say(&address, HELLO, &[&wait[..], b"x"].concat()).await, b"");
}

#[tokio::test]
async fn sixty_four_clients_wait_at_once_and_one_set_serves_them_all() {
    let (_server, address) = server().await;
    let mut waits = JoinSet::new();
    for _ in 0..64 {
        let address = address.clone();
        waits.spawn(async move {
            let store = client(&address).await;
            store.add("waiting", 1).await.unwrap();
            store.wait(&["go".into()], LONG).await
        });
    }
    let store = client(&address).await;
    let all = "64".as_bytes().to_vec();
    while store.get("waiting").await.unwrap() != Some(all.clone()) {
        tokio::task::yield_now().await;
    }
    store.set("go", b"now").await.unwrap();
    for values in waits.join_all().await {
        assert_eq!(values.unwrap(), [b"now"]);
    }
}

#[tokio::test]
async fn a_cut_connection_is_made_again_and_a_wait_goes_on() {
    let (_server, address) = server().await;
    let proxy = Proxy::before(address.clone()).await;
    let (far, near) = (client(&proxy.address).await, client(&address).await);
    far.set("k", b"v").await.unwrap();
    proxy.cut();
    assert_eq!(far.get("k").await, Ok(Some(b"v".to_vec())));

    let keys = ["late".to_owned()];
    let cut_and_set = async {
        proxy.cut();
        near.set("late", b"1").await.unwrap();
    };
    let (values, ()) = tokio::join!(far.wait(&keys, LONG), cut_and_set);
    assert_eq!(values.unwrap(), [b"1"]);
}

/// A stand-in that welcomes as a store does, hangs up on the first request, and would answer a second one.
#[tokio::test]
async fn an_addition_whose_answer_was_lost_is_not_repeated() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let welcome = [&b"RPCSTORE\x01\x00\x00"[..], &[7; 16], &[0; 12]].concat();
    let mut stand_in = JoinSet::new();
    stand_in.spawn(async move {
        let sum_of_two = [&[9, 0, 0, 0, 5, 2][..], &[0; 7]].concat();
        for answer in [&[][..], &sum_of_two] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; HELLO.len()]).await.unwrap();
            stream.write_all(&welcome).await.unwrap();
            stream.read_exact(&mut [0; 16]).await.unwrap();
            stream.write_all(answer).await.unwrap();
        }
    });
    let store = TcpStore::connect(&address, LONG).await.unwrap();
    let lost = store.add("n", 1).await;
    assert!(matches!(lost, Err(StoreError::Unreachable { .. })), "{lost:?}");
    assert_eq!(store.add("n", 1).await, Ok(2), "a new addition is another matter");
}

#[tokio::test]
async fn a_server_in_anothers_place_is_noticed_once_and_then_used() {
    let (server, address) = server().await;
    let store = client(&address).await;
    store.set("k", b"v").await.unwrap();
    server.close().await;
    let _server = TcpStoreServer::bind(&address).await.expect("close gives the port back");
    let error = store.get("k").await.unwrap_err();
    assert!(error.to_string().contains("another server has taken its place"), "{error}");
    assert_eq!(store.get("k").await, Ok(None));
}

#[tokio::test]
async fn a_server_that_is_gone_ends_a_wait_in_bounded_time() {
    let (server, address) = server().await;
    let store = client(&address).await;
    let keys = ["k".to_owned()];
    let (values, ()) = tokio::join!(store.wait(&keys, Duration::from_millis(100)), server.close());
    assert!(matches!(values, Err(StoreError::Unreachable { .. })), "{values:?}");
}

#[tokio::test]
async fn a_full_server_says_so() {
    let limits = StoreLimits { connections: 1, total_bytes: 1000, ..Default::default() };
    let server = TcpStoreServer::bind_with("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().to_string();
    let store = client(&address).await;
    let error = TcpStore::connect(&address, Duration::from_millis(500)).await.unwrap_err();
    assert_eq!(error, StoreError::Full { bound: "connections".into(), limit: 1 });
    let error = store.set("k", &[0; 1000]).await.unwrap_err();
    assert_eq!(error, StoreError::Full { bound: "total_bytes".into(), limit: 1000 });
    drop(store);
    client(&address).await.set("k", b"v").await.expect("a connection is free again");
}

/// A connection that says hello and then `bytes`, and nothing more.
async fn stops_after(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    stream.read_exact(&mut [0; SERVER_HELLO_BYTES]).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Sets 100 KiB, which has to wait for its turn, within less than a connection may be silent in a frame.
async fn a_large_set_is_not_held_up(store: &dyn Store) {
    let set = store.set("large", &[7; 100 << 10]);
    tokio::time::timeout(Duration::from_secs(2), set).await.expect("nobody is in the way").unwrap();
}

#[tokio::test]
async fn clients_that_announce_much_and_send_nothing_hold_up_nobody() {
    let (_server, address) = server().await;
    let store = client(&address).await;
    let mut silent = Vec::new();
    for _ in 0..96 {
        silent.push(stops_after(&address, &(2_u32 << 20).to_le_bytes()).await);
    }
    // The server reads what came first first, on the one thread that all share here.
    store.set("small", b"v").await.unwrap();
    a_large_set_is_not_held_up(&*store).await;
}

#[tokio::test]
async fn large_waits_hold_up_no_set_even_of_what_they_wait_for() {
    let limits = StoreLimits { buffer_bytes: 100_000, ..Default::default() };
    let server = TcpStoreServer::bind_with("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().to_string();
    let store = client(&address).await;
    let keys: Vec<_> = (0..200).map(|index| format!("{}{index}", "k".repeat(500))).collect();
    for key in &keys[1..] {
        store.set(key, b"").await.unwrap();
    }
    let waiter = client(&address).await;
    let set = async {
        store.add("n", 1).await.unwrap();
        a_large_set_is_not_held_up(&*store).await;
        store.set(&keys[0], b"").await
    };
    let (values, set) = tokio::join!(waiter.wait(&keys, LONG), set);
    assert_eq!((values.unwrap().len(), set), (200, Ok(())));
}

/// Replies that exceed the server's memory for large ones take turns.
#[tokio::test]
async fn large_replies_take_turns() {
    let limits = StoreLimits { buffer_bytes: 100_000, ..Default::default() };
    let server = TcpStoreServer::bind_with("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().to_string();
    client(&address).await.set("k", &[7; 500_000]).await.unwrap();
    let mut gets = JoinSet::new();
    for _ in 0..8 {
        let address = address.clone();
        gets.spawn(async move { client(&address).await.get("k").await });
    }
    for value in gets.join_all().await {
        assert_eq!(value.unwrap().map(|value| value.len()), Some(500_000));
    }
}
