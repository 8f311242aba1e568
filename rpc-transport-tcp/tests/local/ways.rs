//! Which way a link takes, and what it falls back to.

use std::io::ErrorKind;

use rpc_core::{BindOptions, Flush, Link, Transport};
use rpc_transport_tcp::TcpTransport;
use tokio::net::UnixListener;

use crate::rig::{LIMITS, assert_same, bind, next_frame, request, soon};

const MARK: &str = "+local:";

async fn bind_with(change: impl FnOnce(&mut BindOptions)) -> TcpTransport {
    let mut options = BindOptions::new("127.0.0.1:0");
    change(&mut options);
    TcpTransport::bind(options).await.unwrap()
}

/// Dials `address`, at which `to` is to be found, and moves a frame each way.
async fn linked(from: &TcpTransport, to: &TcpTransport, address: &str) -> (Link, Link) {
    let (dialled, accepted) = soon(async { tokio::join!(from.connect(address), to.accept()) }).await;
    let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    for link in [&mut dialled, &mut accepted] {
        link.receiver.set_limits(LIMITS);
        link.sender.send(request(1, 100, &[100_000]), Flush::Now).unwrap();
    }
    for link in [&mut dialled, &mut accepted] {
        assert_same(&next_frame(&mut link.receiver).await, &request(1, 100, &[100_000]));
    }
    (dialled, accepted)
}

fn is_local(link: &Link) -> bool {
    link.remote.starts_with("local process ")
}

#[tokio::test]
async fn two_that_may_and_are_on_one_machine_take_the_local_way() {
    let (near, far) = (bind().await, bind().await);
    let (dialled, accepted) = linked(&near, &far, &far.local_address()).await;
    assert!(is_local(&dialled) && is_local(&accepted));
}

#[tokio::test]
async fn it_takes_both_ends_to_have_it_on() {
    for (near_on, far_on) in [(false, true), (true, false), (false, false)] {
        let near = bind_with(|options| options.local_links = near_on).await;
        let far = bind_with(|options| options.local_links = far_on).await;
        let address = far.local_address();
        assert_eq!(address.contains(MARK), far_on, "{address}");
        let (dialled, accepted) = linked(&near, &far, &address).await;
        assert!(dialled.remote.starts_with("tcp ") && accepted.remote.starts_with("tcp "));
    }
}

#[tokio::test]
async fn a_peer_on_another_machine_is_dialled_over_tcp() {
    let (near, far) = (bind().await, bind().await);
    let address = far.local_address();
    let (port, place) = address.split_once(MARK).unwrap();
    let (machine, name) = place.split_once(':').unwrap();
    let (boot, namespace) = machine.split_once('.').unwrap();
    let elsewhere = boot.chars().rev().collect::<String>();
    for machine in [format!("{elsewhere}.{namespace}"), format!("{boot}.1"), String::new()] {
        // The name is one at which somebody listens here, so that is not what keeps it from being dialled.
        let address = format!("{port}{MARK}{machine}:{name}");
        let (dialled, _accepted) = linked(&near, &far, &address).await;
        assert!(!is_local(&dialled), "{address}");
    }
}

#[tokio::test]
async fn where_nobody_listens_any_more_the_port_is_dialled() {
    let (near, far) = (bind().await, bind().await);
    let gone = bind().await.local_address();
    let (_, place) = gone.split_once(MARK).unwrap();
    let address = far.local_address();
    let (port, _) = address.split_once(MARK).unwrap();
    let (dialled, _accepted) = linked(&near, &far, &format!("{port}{MARK}{place}")).await;
    assert!(!is_local(&dialled));
    let error = near.connect(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "nobody at the port either");
}

#[tokio::test]
async fn where_too_many_wait_the_port_is_dialled() {
    let (near, far) = (bind().await, bind().await);
    let address = far.local_address();
    let (port, place) = address.split_once(MARK).unwrap();
    let (machine, _) = place.split_once(':').unwrap();
    let name = "0123456789abcdef0123456789abcdef";
    let full = listen_with_little_room(name);
    let full_address = format!("{port}{MARK}{machine}:{name}");
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::net::UnixStream::connect(format!("\0rpc-{name}")).await {
        waiting.push(stream);
    }
    let (dialled, _accepted) = linked(&near, &far, &full_address).await;
    assert!(!is_local(&dialled));
    drop(full);
}

fn listen_with_little_room(name: &str) -> UnixListener {
    use socket2::{Domain, SockAddr, Socket, Type};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(format!("\0rpc-{name}")).unwrap()).unwrap();
    socket.listen(1).unwrap();
    socket.set_nonblocking(true).unwrap();
    UnixListener::from_std(socket.into()).unwrap()
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn who_asks_for_encryption_gets_no_local_way() {
    let identity = rpc_security::generate().unwrap();
    let mut security = rpc_core::LinkSecurity::new(rpc_core::Protection::Encryption);
    security.identity = Some(identity);
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security = security;
    let encrypted = TcpTransport::bind(options).await.unwrap();
    assert!(!encrypted.local_address().contains(MARK));
}

#[tokio::test]
async fn people_are_shown_the_port() {
    let transport = bind().await;
    let address = transport.local_address();
    let (port, _) = address.split_once(MARK).unwrap();
    assert_eq!(transport.shown_address(&address), port);
    assert_eq!(transport.shown_address("node7:80"), "node7:80");
    assert_eq!(format!("{transport:?}"), format!("TcpTransport({port}, local links on)"));
}

#[tokio::test]
async fn both_ways_are_accepted_at_once() {
    let far = bind().await;
    let tcp = bind_with(|options| options.local_links = false).await;
    let local = bind().await;
    let address = far.local_address();
    let mut links = Vec::new();
    for n in 0..20 {
        let near = if n % 2 == 0 { &tcp } else { &local };
        let (dialled, accepted) = linked(near, &far, &address).await;
        assert_eq!((is_local(&dialled), is_local(&accepted)), (n % 2 == 1, n % 2 == 1));
        links.push((dialled, accepted));
    }
}
