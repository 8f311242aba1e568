//! A hostile network: replay, a man in the middle, stripped TLS, garbage, connections that stay half open.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{Denial, Store};
use rpc_rendezvous::{StoreLimits, StoreSecurity, TcpStore, TcpStoreServer};
use rpc_security::rustls_configs::{store_client_with_token, store_server_with_token};
use rpc_security::{Binding, EXCHANGE_TIME, TokenExchange, prove};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{connect, denied, ours, over_the_network, server, token, works};
use crate::support::LONG;

const HELLO: &[u8] = b"RPCSTORE\x01\x00";
const NONCE_BYTES: usize = 32;
const REFUSED: u8 = 1;

/// Copies what comes from one to the other, and records it.
async fn tap<R, W>(mut from: R, mut to: W, record: Arc<Mutex<Vec<u8>>>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        record.lock().extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// What both sides have said to somebody in between.
#[derive(Clone, Default)]
struct Heard {
    from_client: Arc<Mutex<Vec<u8>>>,
    from_server: Arc<Mutex<Vec<u8>>>,
}

impl Heard {
    async fn between<N, F>(&self, near: N, far: F)
    where
        N: AsyncRead + AsyncWrite,
        F: AsyncRead + AsyncWrite,
    {
        let (from_client, to_client) = tokio::io::split(near);
        let (from_server, to_server) = tokio::io::split(far);
        tokio::join!(
            tap(from_client, to_server, Arc::clone(&self.from_client)),
            tap(from_server, to_client, Arc::clone(&self.from_server))
        );
    }
}

/// Terminates TLS with a certificate of its own and has a session of its own with the server, as nothing that is
/// said before the exchange could tell.
#[tokio::test]
async fn a_man_in_the_middle_with_a_certificate_of_its_own_is_believed_by_neither_side() {
    let (_server, address) = server(&token(&ours())).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let middle = over_the_network(&listener.local_addr().unwrap().to_string());
    let heard = Heard::default();
    let mut task = JoinSet::new();
    task.spawn({
        let heard = heard.clone();
        async move {
            let (near, _) = listener.accept().await.unwrap();
            let near = TlsAcceptor::from(store_server_with_token().unwrap()).accept(near).await.unwrap();
            let far = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("store").unwrap();
            let connector = TlsConnector::from(store_client_with_token().unwrap());
            let far = connector.connect(name, far).await.unwrap();
            heard.between(near, far).await;
        }
    });
    assert_eq!(denied(&middle, &token(&ours())).await, Denial::TokenDiffers);
    task.join_all().await;
    let (from_client, from_server) = (heard.from_client.lock().clone(), heard.from_server.lock().clone());
    assert!(from_client.starts_with(TokenExchange::START), "it was in the middle of the exchange");
    assert_eq!(from_client.len(), TokenExchange::START.len() + 1 + NONCE_BYTES + 32, "and of nothing more");
    assert_eq!((from_server.len(), from_server.last()), (NONCE_BYTES + 1, Some(&REFUSED)));
    for said in [from_client, from_server] {
        let secret = ours();
        let secret = secret.expose().as_bytes();
        assert!(!said.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

/// Answers in the clear, as a store that has let the client in, where TLS is expected.
#[tokio::test]
async fn a_client_is_not_talked_out_of_tls() {
    let welcome = [&b"RPCSTORE\x01\x00\x00"[..], &[7; 16], &[0; 12]].concat();
    let nonce = [9; NONCE_BYTES].to_vec();
    for answer in [welcome, nonce] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = over_the_network(&listener.local_addr().unwrap().to_string());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = vec![0; 5];
            stream.read_exact(&mut said).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            let _ = stream.read_to_end(&mut said).await;
            said
        });
        assert_eq!(denied(&address, &token(&ours())).await, Denial::TlsMissing);
        let said = task.join_all().await.concat();
        assert_eq!(said[0], 0x16, "a handshake of TLS");
        for start in [&b"RPCTOKEN"[..], b"RPCSTORE"] {
            assert!(!said.windows(start.len()).any(|bytes| bytes == start), "it said {start:?} in the clear");
        }
    }
}

/// An address of this machine that is not loopback, if it has one: that of the way to an address for documentation,
/// to which nothing is sent.
fn outward_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The right token in the clear is not taken over a network either: who listens there could go on with the connection.
#[tokio::test]
async fn a_server_takes_no_plain_connection_from_a_network() {
    let Some(outward) = outward_address() else { return };
    let security = token(&ours());
    let server = TcpStoreServer::bind_secured("0.0.0.0:0", StoreLimits::default(), &security).await.unwrap();
    let address = std::net::SocketAddr::new(outward, server.local_addr().port());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let exchange = TokenExchange::client(&ours(), Binding::socket("rpc-store/1", address)).unwrap();
    let proved = prove(&mut stream, exchange, EXCHANGE_TIME).await;
    assert!(proved.is_err(), "it says that it wants TLS, which is no exchange");
    assert_eq!(denied(&address.to_string(), &StoreSecurity::Open).await, Denial::TlsExpected);
    works(&connect(&address.to_string(), &security).await.unwrap()).await;
}

/// A good exchange with a store on this machine, and what was said in it.
async fn recorded_exchange(address: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let binding = Binding::socket("rpc-store/1", stream.peer_addr().unwrap());
    let (near, far) = tokio::io::duplex(1024);
    let heard = Heard::default();
    let good = {
        let (heard, mut near) = (heard.clone(), near);
        async move {
            let exchange = TokenExchange::client(&ours(), binding).unwrap();
            tokio::select! {
                () = heard.between(far, &mut stream) => panic!("the store hung up"),
                proved = prove(&mut near, exchange, EXCHANGE_TIME) => proved.unwrap(),
            }
            stream.write_all(HELLO).await.unwrap();
            let mut welcome = [0; 39];
            stream.read_exact(&mut welcome).await.unwrap();
            assert_eq!(welcome[10], 0);
        }
    };
    good.await;
    heard.from_client.lock().clone()
}

#[tokio::test]
async fn a_recorded_proof_is_worth_nothing_on_another_connection() {
    let (_server, address) = server(&token(&ours())).await;
    let recorded = recorded_exchange(&address).await;
    let mut replay = TcpStream::connect(&address).await.unwrap();
    replay.write_all(&[&recorded[..], HELLO].concat()).await.unwrap();
    let mut said = Vec::new();
    let _ = replay.read_to_end(&mut said).await;
    assert_eq!((said.len(), said.last()), (NONCE_BYTES + 1, Some(&REFUSED)), "and no hello of a store");
    works(&connect(&address, &token(&ours())).await.unwrap()).await;
}

/// What the server says to `bytes` until it hangs up, which it has to.
async fn say(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut said = Vec::new();
    let end = tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await;
    let _ = end.expect("the server closes the connection");
    said
}

#[tokio::test]
async fn garbage_before_and_during_the_exchange_reaches_no_store_and_harms_nobody() {
    let (server, address) = server(&token(&ours())).await;
    let store = connect(&address, &token(&ours())).await.unwrap();
    server.store().set("secret", b"value").await.unwrap();
    let get = b"RPCSTORE\x01\x00\x09\x00\x00\x00\x02\x06\x00secret";
    let begin = [&b"RPCTOKEN\x01"[..], &[1; NONCE_BYTES]].concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 4096],
        b"RPCTOKEN\x02garbagegarbagegarbagegarbagegarbagegarbage",
        &[0x16; 4096],                                  // a handshake of TLS, and not
        &[0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff], // one that announces 16 MiB
        &[&begin[..], &[0; 4096]].concat(),
        &[&begin[..], &[0; 32], get].concat(),
        get,
    ] {
        let said = say(&address, bytes).await;
        assert!(!said.windows(5).any(|bytes| bytes == b"value"), "{bytes:?}");
        works(&store).await;
    }
}

#[tokio::test]
async fn garbage_after_the_exchange_costs_its_own_connection() {
    let (_server, address) = server(&token(&ours())).await;
    let store = connect(&address, &token(&ours())).await.unwrap();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let binding = Binding::socket("rpc-store/1", stream.peer_addr().unwrap());
    let exchange = TokenExchange::client(&ours(), binding).unwrap();
    prove(&mut stream, exchange, EXCHANGE_TIME).await.unwrap();
    stream.write_all(&[0xff; 100]).await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert_eq!(said, b"");
    works(&store).await;
}

async fn with_few_handshakes() -> (TcpStoreServer, String) {
    let limits = StoreLimits { handshakes: 8, ..Default::default() };
    let server = TcpStoreServer::bind_secured("127.0.0.1:0", limits, &token(&ours())).await.unwrap();
    let address = server.local_addr().to_string();
    (server, address)
}

/// Beginnings of connections that then say nothing more.
async fn half_open(address: &str, count: usize) -> Vec<TcpStream> {
    let beginnings = [&b""[..], b"R", b"RPCTOKEN\x01", &[0x16], &[0x16, 3, 1, 2, 0, 1]];
    let mut streams = Vec::new();
    for beginning in beginnings.iter().cycle().take(count) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn connections_that_stay_half_open_make_room_for_honest_clients() {
    let (_server, address) = with_few_handshakes().await;
    let mut silent = half_open(&address, 100).await;
    for address in [address.clone(), over_the_network(&address)] {
        let within = Duration::from_secs(4); // less than a place is held for
        works(&TcpStore::connect_secured(&address, within, &token(&ours())).await.unwrap()).await;
    }
    let mut oldest = silent.remove(0);
    assert_eq!(oldest.read(&mut [0]).await.unwrap_or(0), 0, "it has made room");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stays_half_open_is_closed_after_a_while() {
    let (_server, address) = with_few_handshakes().await;
    for mut stream in half_open(&address, 5).await {
        let began = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
}
