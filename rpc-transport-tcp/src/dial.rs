//! Connects to a published address: on this machine by the local way, otherwise to the port.

use std::io;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::address::Address;
use crate::bounds::DIAL_ADDRESS_TIMEOUT;
use crate::local;
use crate::stream::Stream;

/// Connects to `address`, and says what to call the other end. `machine` is this one, if the local way is on.
pub(crate) async fn dial(address: &str, machine: Option<&str>) -> io::Result<(Stream, String)> {
    let Address { host_and_port, local } = Address::parse(address);
    if let Some(place) = local.filter(|place| Some(place.machine) == machine) {
        match local::dial(place.name).await {
            Ok(dialled) => return Ok(dialled),
            // Nothing on this machine keeps a peer from coming that the port would let in.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!(address = host_and_port, "dialling over TCP: {error}");
            }
            Err(error) => {
                tracing::debug!(address = host_and_port, %error, "no local way there; dialling over TCP")
            }
        }
    }
    dial_port(host_and_port).await
}

/// Tries the addresses of a name in turn, each for a bounded time but the last.
async fn dial_port(host_and_port: &str) -> io::Result<(Stream, String)> {
    let mut candidates = lookup_host(host_and_port).await?.peekable();
    let mut last = None;
    while let Some(candidate) = candidates.next() {
        let connecting = TcpStream::connect(candidate);
        let connected = if candidates.peek().is_none() {
            connecting.await
        } else {
            timeout(DIAL_ADDRESS_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected.and_then(refuse_own_end) {
            Ok(stream) => return Ok((Stream::Tcp(stream), format!("tcp {candidate}"))),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| no_address(host_and_port)))
}

/// Dialling a port of this host that nobody listens on can pick that same port as its own, and TCP then
/// connects the socket with itself.
fn refuse_own_end(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

pub(crate) fn no_address(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))
}
