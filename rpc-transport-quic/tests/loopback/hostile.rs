//! Who does not get in, and what members cannot do to each other.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use rpc_core::{BindOptions, Flush, Group, Identity, LinkError, Transport, Violation};
use rpc_security::{Roster, rustls_configs};
use rpc_transport_quic::QuicTransport;
use tokio::net::UdpSocket;

use crate::rig::{
    assert_same, bind_as, bind_two, connect, group_of, identity, next, next_frame, request, soon,
};

const ALPN: &[u8] = b"rrpc/1";

/// A client of its own, that trusts `group`, and speaks `alpn` with the certificate of `identity`, if it has one.
fn stranger(identity: Option<&Identity>, group: &Group, alpn: &[u8]) -> Endpoint {
    let roster = Roster::default();
    roster.trust(group);
    let config = match identity {
        Some(identity) => rustls_configs::link_client(identity, &roster, alpn).unwrap(),
        None => {
            let mut config = (*rustls_configs::store_client_with_token().unwrap()).clone();
            config.alpn_protocols = vec![alpn.to_vec()];
            Arc::new(config)
        }
    };
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint
        .set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap())));
    endpoint
}

/// A server certificate is checked before the client's is, so a client believes to be connected for a moment.
async fn refused(endpoint: &Endpoint, address: SocketAddr) -> ConnectionError {
    match soon(endpoint.connect(address, "0.0.0.0").unwrap()).await {
        Ok(connection) => soon(connection.closed()).await,
        Err(error) => error,
    }
}

/// Two members, and a third identity that is none.
struct Scene {
    dialler: QuicTransport,
    acceptor: QuicTransport,
    address: SocketAddr,
    group: Group,
    member: Identity,
}

impl Scene {
    async fn new() -> Self {
        let (member, other) = (identity(), identity());
        let group = group_of(&[&member, &other]);
        let (dialler, acceptor) = (bind_as(&member, &group).await, bind_as(&other, &group).await);
        let address = acceptor.local_address().parse().unwrap();
        Self { dialler, acceptor, address, group, member }
    }

    /// The next link that is announced is the member's: nobody else has reached `accept`.
    async fn only_the_member_gets_in(&self) {
        let (near, mut far) = connect(&self.dialler, &self.acceptor, &self.address.to_string()).await;
        assert_eq!(far.fingerprint, Some(self.member.fingerprint()));
        near.sender.send(request(1, 10, &[100_000]), Flush::Now).unwrap();
        assert_same(&next_frame(&mut far.receiver).await, &request(1, 10, &[100_000]));
    }

    /// A connection of the member's, without a link.
    async fn bare(&self) -> Connection {
        let endpoint = stranger(Some(&self.member), &self.group, ALPN);
        soon(endpoint.connect(self.address, "0.0.0.0").unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn each_end_knows_the_certificate_of_the_other() {
    let (one, other) = (identity(), identity());
    let group = group_of(&[&one, &other]);
    let (dialler, acceptor) = (bind_as(&one, &group).await, bind_as(&other, &group).await);
    let (near, far) = connect(&dialler, &acceptor, &acceptor.local_address()).await;
    assert_eq!(near.fingerprint, Some(other.fingerprint()));
    assert_eq!(far.fingerprint, Some(one.fingerprint()));
}

#[tokio::test]
async fn strangers_do_not_reach_accept() {
    let scene = Scene::new().await;
    let of_nobody = identity();
    for (identity, alpn) in [(None, ALPN), (Some(&of_nobody), ALPN), (Some(&scene.member), &b"h3"[..])] {
        let endpoint = stranger(identity, &scene.group, alpn);
        let error = refused(&endpoint, scene.address).await;
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error}");
    }
    scene.only_the_member_gets_in().await;
}

#[tokio::test]
async fn before_the_group_is_known_nobody_gets_in() {
    let (near, far) = (identity(), identity());
    let group = group_of(&[&near, &far]);
    let dialler = bind_as(&near, &group).await;
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security.identity = Some(far);
    let early = QuicTransport::bind(options).await.unwrap();
    let address: SocketAddr = early.local_address().parse().unwrap();
    let endpoint = stranger(Some(&near), &group, ALPN);
    assert!(matches!(refused(&endpoint, address).await, ConnectionError::ConnectionClosed(_)));
    early.trust(&group);
    let (_, accepted) = connect(&dialler, &early, &early.local_address()).await;
    assert_eq!(accepted.fingerprint, Some(near.fingerprint()));
}

#[tokio::test]
async fn a_server_with_another_certificate_is_not_believed() {
    let scene = Scene::new().await;
    let imposter_identity = identity();
    let imposter = bind_as(&imposter_identity, &group_of(&[&imposter_identity, &scene.member])).await;
    let error = soon(scene.dialler.connect(&imposter.local_address())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn garbage_and_a_flood_of_handshakes_keep_nobody_out() {
    let scene = Scene::new().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for len in 0..1_500_usize {
        let garbage: Vec<u8> = (0..len).map(|at| (at * len * 31 + 0xc3) as u8).collect();
        socket.send_to(&garbage, scene.address).await.unwrap();
    }
    let of_nobody = identity();
    let endpoint = stranger(Some(&of_nobody), &scene.group, ALPN);
    // All at once, so that there are more than may come without showing that they receive at their address.
    let flood: Vec<_> = (0..300).map(|_| endpoint.connect(scene.address, "0.0.0.0").unwrap()).collect();
    scene.only_the_member_gets_in().await;
    drop(flood);
    scene.only_the_member_gets_in().await;
}

#[tokio::test]
async fn a_stream_that_begins_with_garbage_is_a_violation() {
    for (garbage, expected) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], Violation::UnknownStream(b'G')),
        (&[2; 40], Violation::UnknownFrame(2)),
    ] {
        let scene = Scene::new().await;
        let connection = scene.bare().await;
        let mut accepted = soon(scene.acceptor.accept()).await.unwrap();
        connection.open_uni().await.unwrap().write_all(garbage).await.unwrap();
        let error = next(&mut accepted.receiver).await.unwrap_err();
        assert!(matches!(error, LinkError::Violation(violation) if violation == expected), "{error}");
        drop(accepted);
        scene.only_the_member_gets_in().await;
    }
}

#[tokio::test]
async fn a_lane_that_is_opened_twice_is_a_violation() {
    let scene = Scene::new().await;
    let connection = scene.bare().await;
    let mut accepted = soon(scene.acceptor.accept()).await.unwrap();
    let mut lanes = Vec::new();
    for _ in 0..2 {
        let mut lane = connection.open_uni().await.unwrap();
        lane.write_all(&[1]).await.unwrap();
        lanes.push(lane);
    }
    let error = next(&mut accepted.receiver).await.unwrap_err();
    assert!(matches!(error, LinkError::Violation(Violation::LaneTwice)), "{error}");
}

#[tokio::test]
async fn a_transport_without_an_identity_says_what_is_missing() {
    let error = QuicTransport::bind(BindOptions::new("127.0.0.1:0")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("BindOptions::security.identity"), "{error}");
    let mut registry = rpc_core::BackendRegistry::new();
    registry.register(rpc_transport_quic::backend()).unwrap();
    let refused = registry.get("quic").unwrap().protects(&Default::default()).unwrap_err();
    assert!(refused.to_string().contains("identity"), "{refused}");
}

#[tokio::test]
async fn addresses_that_cannot_be_used_are_the_systems_errors() {
    let mut options = BindOptions::new("0.0.0.0:0");
    options.security.identity = Some(identity());
    let error = QuicTransport::bind(options.clone()).await.unwrap_err();
    assert!(error.to_string().contains("set advertise_host"), "{error}");
    options.advertise_host = Some("fd00::1".to_owned());
    let address = QuicTransport::bind(options.clone()).await.unwrap().local_address();
    assert!(address.starts_with("[fd00::1]:"), "{address}");
    let (taken, _) = bind_two().await;
    options.bind = taken.local_address();
    assert_eq!(QuicTransport::bind(options).await.unwrap_err().kind(), ErrorKind::AddrInUse);
}
