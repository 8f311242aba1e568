//! Options of the sockets.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(target_os = "linux")]
use tokio::net::UnixStream;

#[cfg(target_os = "linux")]
use crate::bounds::LOCAL_SEND_BUFFER_BYTES;
use crate::bounds::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};

/// Prepares a connected socket of TCP.
///
/// Its buffers stay the system's. On loopback smaller ones, or a bound of what is not yet sent, had no effect on small
/// messages beside large ones: the receiver keeps up. Between hosts the system has to find out how much a network holds.
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

/// Prepares a connected socket of this machine, which needs less than TCP does (see [`local`](crate::local)).
///
/// What was written is in the peer's queue at once, so this buffer is all that the two sides can be apart. With the system's own
/// the writer of a large message stops four times in each MiB, until most of it is read. Room for a piece of bulk and the
/// beginning of the next one, with the system's accounts, makes large messages a fifth to a third faster; small ones
/// beside them wait no longer. With a quarter of it everything is slower, with twice as much nothing is faster.
#[cfg(target_os = "linux")]
pub(crate) fn configure_local(stream: &UnixStream) -> io::Result<()> {
    // The system gives less if it is set up so, and that is no error.
    SockRef::from(stream).set_send_buffer_size(LOCAL_SEND_BUFFER_BYTES)
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
