//! At a door that speaks TLS.

use std::sync::Arc;

use rpc_core::{
    Flush, Group, Identity, Incarnation, LinkError, LinkSecurity, Member, Protection, Transport, WorkerId,
    WorkerInfo, WorkerName, recv,
};
use rpc_security::{Roster, rustls_configs};
use rpc_transport_tcp::TcpTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Proxy, assert_nobody_got_in, bind, heard, hello, honest, knock, say, soon};

const ALPN: &[u8] = b"rpc-tcp/1";

fn identity() -> Identity {
    rpc_security::generate().expect("a certificate")
}

fn group(identities: &[&Identity]) -> Group {
    let member = |(rank, identity): (usize, &&Identity)| {
        let name = WorkerName::new(format!("worker{rank}")).expect("a name");
        let info = WorkerInfo::new(name, WorkerId(rank as u32));
        let mut member = Member::new(info, Incarnation([rank as u8; 16]), "anywhere");
        member.fingerprint = Some(identity.fingerprint());
        member
    };
    Group::new("doors", identities.iter().enumerate().map(member).collect()).expect("a group")
}

async fn transport(identity: &Identity, trusted: &Group) -> TcpTransport {
    let mut security = LinkSecurity::new(Protection::Encryption);
    security.identity = Some(identity.clone());
    let transport = bind(security).await;
    transport.trust(trusted);
    transport
}

/// Two transports that trust each other.
pub(crate) async fn two_of_a_group() -> [TcpTransport; 2] {
    let (one, other) = (identity(), identity());
    let group = group(&[&one, &other]);
    [transport(&one, &group).await, transport(&other, &group).await]
}

/// A client of TLS that somebody has made himself.
async fn forged(to: &TcpTransport, config: Arc<rustls::ClientConfig>) -> std::io::Result<Vec<u8>> {
    let connector = tokio_rustls::TlsConnector::from(config);
    let mut stream = connector.connect(rustls_configs::link_server_name(), knock(to).await).await?;
    let _it_may_close_meanwhile = stream.write_all(&hello().header.to_bytes()).await;
    let mut heard = Vec::new();
    soon(stream.read_to_end(&mut heard)).await?;
    Ok(heard)
}

#[tokio::test]
async fn links_know_the_certificate_of_their_peer_in_both_directions() {
    let (one, other) = (identity(), identity());
    let group = group(&[&one, &other]);
    let (near, far) = (transport(&one, &group).await, transport(&other, &group).await);
    let (dialled, accepted) = honest(&near, &far).await;
    assert_eq!(dialled.fingerprint, Some(other.fingerprint()));
    assert_eq!(accepted.fingerprint, Some(one.fingerprint()));
}

#[tokio::test]
async fn nothing_of_a_link_can_be_read_on_its_way() {
    let [near, far] = two_of_a_group().await;
    let proxy = Proxy::before(far.local_address(), |_| {}).await;
    let (dialled, accepted) = soon(async { tokio::join!(near.connect(&proxy.address), far.accept()) }).await;
    let (dialled, mut accepted) = (dialled.expect("it is passed on"), accepted.expect("it is passed on"));
    let secret = b"the weights of a model, worth a lot".repeat(50);
    let mut frame = hello();
    frame.body.payload = secret.clone().into();
    frame.header.payload_bytes = secret.len() as u32;
    dialled.sender.send(frame, Flush::Now).expect("the link is up");
    let heard = soon(recv(&mut *accepted.receiver)).await.expect("it arrives").expect("whole");
    assert_eq!(heard.body.payload, secret);
    drop((dialled, accepted));
    let [said, answered] = proxy.recorded().await;
    assert!(said.len() > secret.len());
    for words in [said, answered] {
        assert!(!words.windows(10).any(|words| words == &secret[..10]));
    }
}

#[tokio::test]
async fn a_byte_that_is_changed_on_its_way_ends_the_link() {
    let [near, far] = two_of_a_group().await;
    // The handshake is let through; what is longer than any message of it is not.
    let proxy = Proxy::before(far.local_address(), |words| {
        if words.len() > 4_000 {
            words[2_000] ^= 1;
        }
    })
    .await;
    let (dialled, accepted) = soon(async { tokio::join!(near.connect(&proxy.address), far.accept()) }).await;
    let (dialled, mut accepted) = (dialled.expect("it is passed on"), accepted.expect("it is passed on"));
    accepted.receiver.set_limits(rpc_core::FrameLimits { message_bytes_max: 1 << 20, parts_max: 0 });
    let mut frame = hello();
    frame.body.payload = vec![5; 100_000].into();
    frame.header.payload_bytes = 100_000;
    dialled.sender.send(frame, Flush::Now).expect("the link is up");
    match soon(recv(&mut *accepted.receiver)).await {
        Err(LinkError::Io(error)) => assert!(error.to_string().contains("TLS"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_link_that_is_cut_has_not_ended_in_order() {
    let [near, far] = two_of_a_group().await;
    // Between two frames, where a plain link could not tell.
    let (dialled, mut accepted) = honest(&near, &far).await;
    dialled.sender.close(rpc_core::Close::AfterQueued);
    assert!(matches!(soon(recv(&mut *accepted.receiver)).await, Ok(None)), "this one says that it ends");

    let proxy = Proxy::before(far.local_address(), |_| {}).await;
    let (dialled, accepted) = soon(async { tokio::join!(near.connect(&proxy.address), far.accept()) }).await;
    let (dialled, mut accepted) = (dialled.expect("it is passed on"), accepted.expect("it is passed on"));
    dialled.sender.send(hello(), Flush::Now).expect("the link is up");
    assert!(matches!(soon(recv(&mut *accepted.receiver)).await, Ok(Some(_))));
    proxy.cut();
    match soon(recv(&mut *accepted.receiver)).await {
        Err(LinkError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_has_no_certificate_or_one_of_somebody_else_hears_an_alert_and_is_no_link() {
    let [near, far] = two_of_a_group().await;
    let stranger = identity();
    let trusting = Roster::default();
    trusting.trust(&group(&[&stranger]));
    // Of the group's members only the fingerprints of the certificates are secret to nobody.
    let everybody =
        |identity: &Identity| rustls_configs::link_client(identity, &trusting, ALPN).expect("a client");
    let error = forged(&far, everybody(&stranger)).await.expect_err("it does not trust the server, for one");
    assert!(error.to_string().contains("certificate"), "{error}");

    // One that trusts anybody, as an attacker would.
    let anybody = rustls_configs::store_client_with_token().expect("a client");
    let mut config = (*anybody).clone();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let error = forged(&far, Arc::new(config)).await.expect_err("it has shown no certificate");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn a_worker_of_another_group_is_refused_on_either_side() {
    let (one, other, stranger) = (identity(), identity(), identity());
    let ours = group(&[&one, &other]);
    let (near, far) = (transport(&one, &ours).await, transport(&other, &ours).await);
    // It knows the group, and the group does not know it.
    let outsider = transport(&stranger, &group(&[&one, &other, &stranger])).await;
    let mut link = soon(outsider.connect(&far.local_address())).await.expect("it hears of it when it reads");
    match soon(recv(&mut *link.receiver)).await {
        Err(LinkError::Io(error)) => assert!(error.to_string().contains("alert"), "{error}"),
        other => panic!("{other:?}"),
    }
    let error = soon(near.connect(&outsider.local_address())).await.expect_err("it is not in the group");
    assert!(error.to_string().contains("none of this group's"), "{error}");
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn before_the_group_is_known_nobody_is_let_in() {
    let (one, other) = (identity(), identity());
    let mut security = LinkSecurity::new(Protection::Encryption);
    security.identity = Some(other.clone());
    let early = bind(security).await;
    let ours = group(&[&one, &other]);
    let near = transport(&one, &ours).await;
    let mut link = soon(near.connect(&early.local_address())).await.expect("it hears of it when it reads");
    assert!(soon(recv(&mut *link.receiver)).await.is_err());
    early.trust(&ours);
    assert_nobody_got_in(&near, &early).await;
}

#[tokio::test]
async fn plain_words_and_old_versions_have_no_answer_but_an_alert() {
    const ALERT: u8 = 21;
    let [near, far] = two_of_a_group().await;
    for words in
        [&hello().header.to_bytes()[..], b"RPCTOKEN\x01 and a nonce that is long enough", &[0xff; 4096]]
    {
        assert_eq!(say(&far, words).await.first(), Some(&ALERT));
    }
    // The first bytes of a hello of TLS 1.0, which is what a downgrade would leave over.
    let old = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1][..], &[7; 32], &[0, 0, 2, 0, 47, 1, 0]].concat();
    assert_eq!(say(&far, &old).await.first(), Some(&ALERT));
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn a_dialler_that_expects_tls_takes_nothing_less() {
    let [near, far] = two_of_a_group().await;
    // Somebody in between who answers plainly, as a worker without security would.
    let plain = bind(LinkSecurity::default()).await;
    let plain_address = plain.local_address();
    let accepting = tokio::spawn(async move {
        let mut link = plain.accept().await.expect("it is dialled");
        let _violation = recv(&mut *link.receiver).await;
        link.sender.send(hello(), Flush::Now)
    });
    let error = soon(near.connect(&plain_address)).await.expect_err("that is no TLS");
    assert!(error.to_string().contains("TLS"), "{error}");
    drop(accepting);
    // Somebody in between who takes the newest version out of the offer.
    let proxy = Proxy::before(far.local_address(), |words| {
        let newest = [0x2b, 0, 3, 2, 3, 4]; // supported_versions: TLS 1.3
        if let Some(at) = words.windows(newest.len()).position(|words| words == newest) {
            words[at + 5] = 3;
        }
    })
    .await;
    soon(near.connect(&proxy.address)).await.expect_err("nothing else is offered");
    let [said, _] = proxy.recorded().await;
    assert!(
        said.windows(6).any(|words| words == [0x2b, 0, 3, 2, 3, 3]),
        "the proxy has found what to change"
    );
    assert_nobody_got_in(&near, &far).await;
}

#[tokio::test]
async fn garbage_in_the_middle_of_a_handshake_is_no_link() {
    let [near, far] = two_of_a_group().await;
    let mut hello = Vec::new();
    let roster = Roster::default();
    let config = rustls_configs::link_client(&identity(), &roster, ALPN).expect("a client");
    let mut client =
        rustls::ClientConnection::new(config, rustls_configs::link_server_name()).expect("a client");
    client.write_tls(&mut hello).expect("into memory");
    let mut stream: TcpStream = knock(&far).await;
    stream.write_all(&hello).await.expect("it listens");
    stream.write_all(&[0x17; 3_000]).await.expect("it listens");
    let answer = heard(&mut stream).await;
    assert!(!answer.is_empty(), "its half of the handshake, and an alert");
    assert_nobody_got_in(&near, &far).await;
}
