//! Options of the sockets.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(target_os = "linux")]
use tokio::net::UnixStream;

use crate::bounds::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};

/// Prepares a connected socket of TCP.
pub(crate) fn configure_tcp(stream: &TcpStream) -> io::Result<()> {
    // Frames are gathered before they are written, so the system has nothing to wait for.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(any(target_os = "openbsd", target_os = "solaris", target_os = "nto")))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    if stays_on_this_host(stream)? {
        unpace(&socket);
    }
    Ok(())
}

/// Prepares a connected socket of this machine. There is nothing to set (see [`local`](crate::local)).
#[cfg(target_os = "linux")]
pub(crate) fn configure_local(_: &UnixStream) -> io::Result<()> {
    Ok(())
}

fn stays_on_this_host(stream: &TcpStream) -> io::Result<bool> {
    let (local, peer) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
    Ok(peer.is_loopback() || peer == local)
}

/// Picks congestion control that does not pace.
///
/// Between two processes of one host there is no queue to spare: the bytes are copied from one socket to
/// the other. Algorithms that pace (BBR, which some distributions choose for the whole system) send on a
/// timer according to a bandwidth that they measured, and so cost half of the throughput of large
/// messages. Reno is part of every Linux kernel and open to every user.
fn unpace(socket: &SockRef<'_>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_congestion(b"reno") {
        tracing::debug!(%error, "keeping the system's congestion control");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}
