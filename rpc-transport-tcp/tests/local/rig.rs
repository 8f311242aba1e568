//! Links over Unix sockets.

use rpc_core::{BindOptions, Flush, Link, Transport};
use rpc_transport_tcp::TcpTransport;
use tokio::net::UnixStream;

pub(crate) use crate::frames::*;

pub(crate) async fn bind() -> TcpTransport {
    TcpTransport::bind(BindOptions::new("127.0.0.1:0")).await.unwrap()
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
pub(crate) type Stranger = UnixStream;

pub(crate) async fn knock(address: &str) -> Stranger {
    let (_, name) = address.rsplit_once(':').expect("a name stands last");
    UnixStream::connect(format!("\0rpc-{name}")).await.unwrap()
}

/// Ends `stream` so that the other end of it, `link` if that is one already, finds an error: there is one if something
/// has not been read.
pub(crate) fn reset(link: Option<&Link>, stream: Stranger) {
    if let Some(link) = link {
        link.sender.send(request(0, 10, &[]), Flush::Now).unwrap();
    }
    drop(stream);
}

#[track_caller]
pub(crate) fn assert_leads_to(link: &Link, _: &str) {
    assert_eq!(link.remote, format!("local process {}", std::process::id()));
}
