//! Transports with doors, and strangers at them.

use std::io;
use std::time::Duration;

use rpc_core::wire::{Header, frame};
use rpc_core::{
    BindOptions, Body, Close, Flush, Frame, JoinToken, Link, LinkSecurity, Protection, Transport, recv,
};
use rpc_transport_tcp::TcpTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) async fn bind(security: LinkSecurity) -> TcpTransport {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.security = security;
    options.local_links = false;
    TcpTransport::bind(options).await.expect("a free port")
}

pub(crate) async fn with_token(token: &JoinToken) -> TcpTransport {
    let mut security = LinkSecurity::new(Protection::Token);
    security.token = Some(token.clone());
    bind(security).await
}

pub(crate) fn hello() -> Frame {
    Frame { header: Header::control(frame::HELLO, 0), body: Body::default() }
}

/// An honest link from one transport to another.
pub(crate) async fn honest(from: &TcpTransport, to: &TcpTransport) -> (Link, Link) {
    let address = to.local_address();
    let (near, far) = soon(async { tokio::join!(from.connect(&address), to.accept()) }).await;
    let (near, mut far) = (near.expect("it lets its own in"), far.expect("it accepts"));
    near.sender.send(hello(), Flush::Now).expect("the link is up");
    let heard = soon(recv(&mut *far.receiver)).await.expect("the link lives").expect("and goes on");
    assert_eq!(heard.header.kind, frame::HELLO);
    (near, far)
}

/// Asserts that no stranger has become a link: the next one is an honest one.
pub(crate) async fn assert_nobody_got_in(from: &TcpTransport, to: &TcpTransport) {
    let (near, far) = honest(from, to).await;
    let polled = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::pin!(to.accept()).as_mut().poll(cx).is_pending())
    });
    assert!(polled.await, "somebody else has come in");
    near.sender.close(Close::Now);
    drop(far);
}

pub(crate) async fn knock(transport: &TcpTransport) -> TcpStream {
    TcpStream::connect(transport.local_address()).await.expect("it listens")
}

/// Says `words`, and returns what is heard until the end.
pub(crate) async fn say(transport: &TcpTransport, words: &[u8]) -> Vec<u8> {
    let mut stranger = knock(transport).await;
    let _it_may_close_meanwhile = stranger.write_all(words).await;
    heard(&mut stranger).await
}

/// What comes until the other side has closed.
pub(crate) async fn heard(stranger: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _end_or_reset = soon(stranger.read_to_end(&mut heard)).await;
    heard
}

/// Passes everything on between two sockets, as somebody in between does, and records it.
pub(crate) struct Proxy {
    pub(crate) address: String,
    recorded: tokio::task::JoinHandle<io::Result<[Vec<u8>; 2]>>,
}

impl Proxy {
    /// For one connection to `to`. What the dialler says goes through `change`.
    pub(crate) async fn before(to: String, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let recorded = tokio::spawn(async move {
            let (mut near, _) = listener.accept().await?;
            let mut far = TcpStream::connect(to).await?;
            let ((mut near_read, mut near_write), (mut far_read, mut far_write)) =
                (near.split(), far.split());
            let forth = async {
                let mut said = Vec::new();
                let mut piece = vec![0; 16 << 10];
                while let Ok(len @ 1..) = near_read.read(&mut piece).await {
                    let mut words = piece[..len].to_vec();
                    change(&mut words);
                    said.extend_from_slice(&words);
                    if far_write.write_all(&words).await.is_err() {
                        break;
                    }
                }
                let _ = far_write.shutdown().await;
                said
            };
            let back = async {
                let mut said = Vec::new();
                let mut piece = vec![0; 16 << 10];
                while let Ok(len @ 1..) = far_read.read(&mut piece).await {
                    said.extend_from_slice(&piece[..len]);
                    if near_write.write_all(&piece[..len]).await.is_err() {
                        break;
                    }
                }
                let _ = near_write.shutdown().await;
                said
            };
            let (forth, back) = tokio::join!(forth, back);
            Ok([forth, back])
        });
        Self { address, recorded }
    }

    /// Ends both connections, as whoever holds the line can.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "a plain link cannot tell"))]
    pub(crate) fn cut(&self) {
        self.recorded.abort();
    }

    /// What the dialler and the acceptor have said.
    pub(crate) async fn recorded(self) -> [Vec<u8>; 2] {
        soon(self.recorded).await.expect("the proxy does not panic").expect("it was dialled")
    }
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("should have happened long ago")
}
