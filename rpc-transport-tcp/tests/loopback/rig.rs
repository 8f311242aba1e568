//! Links over TCP.

use std::time::Duration;

use rpc_core::{BindOptions, Link, Transport};
use rpc_transport_tcp::TcpTransport;
use socket2::SockRef;
use tokio::net::TcpStream;

pub(crate) use crate::frames::*;

pub(crate) async fn bind() -> TcpTransport {
    let mut options = BindOptions::new("127.0.0.1:0");
    options.local_links = false;
    TcpTransport::bind(options).await.unwrap()
}

/// A dialled link and the accepted one at its other end.
pub(crate) async fn pair() -> (Link, Link) {
    let transport = bind().await;
    let address = transport.local_address();
    let (dialled, accepted) = tokio::join!(transport.connect(&address), transport.accept());
    let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_leads_to(&dialled, &address);
    dialled.receiver.set_limits(LIMITS);
    accepted.receiver.set_limits(LIMITS);
    (dialled, accepted)
}

/// A link and the bare socket at its other end.
pub(crate) async fn half_pair() -> (Link, Stranger) {
    let transport = bind().await;
    let stream = knock(&transport.local_address()).await;
    let mut link = transport.accept().await.unwrap();
    link.receiver.set_limits(LIMITS);
    (link, stream)
}

/// A socket without a transport.
pub(crate) type Stranger = TcpStream;

pub(crate) async fn knock(address: &str) -> Stranger {
    TcpStream::connect(address).await.unwrap()
}

/// Ends `stream` so that the other end of it, `link` if that is one already, finds an error.
pub(crate) fn reset(_: Option<&Link>, stream: Stranger) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[track_caller]
pub(crate) fn assert_leads_to(link: &Link, address: &str) {
    assert_eq!(link.remote, format!("tcp {address}"));
}
