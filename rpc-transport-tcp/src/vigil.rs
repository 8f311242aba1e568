//! Whether the peer's host still answers.
//!
//! A host that loses its power or its network says nothing, and TCP by itself tries for a quarter of an
//! hour. Keepalive finds a silent host while nothing is on the way to it; this module does while something
//! is.
//!
//! `TCP_USER_TIMEOUT` would be the system's way, but it also ends a connection whose peer is alive and reads
//! nothing for a while: a process that computes, swaps or sits in a debugger. So the vigil looks at what the
//! system knows of the connection (`TCP_INFO`) and asks something else: has the host answered the last thing
//! that it was sent? The system of a busy peer does, whatever the process is doing.
//!
//! Systems other than Linux have keepalive and their own retransmission limit only.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::watch;

/// Never returns: the system does not say enough.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn watch(_: &tokio::net::TcpStream, _: std::time::Duration) -> std::io::Error {
    std::future::pending().await
}
