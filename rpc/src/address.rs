//! Where a worker listens when nobody says: where the others can reach it, and nowhere else.
//!
//! That is loopback if the job meets there, else the address that this machine uses towards the meeting
//! place, on which the other workers can be expected to reach it too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rpc_rendezvous::is_local_host;
use tokio::net::UdpSocket;

use crate::error::InitError;

/// What workers listen on when they meet in memory or in a file.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// How long to wait between two attempts to find a host: names of just started machines appear late.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// As they are written together: an IPv6 address in brackets.
pub(crate) fn join_host_and_port(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(v6) => SocketAddr::new(v6.into(), port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

/// The addresses of `host_and_port`, asking again until `timeout` is over.
pub(crate) async fn resolve(host_and_port: &str, timeout: Duration) -> Result<Vec<SocketAddr>, InitError> {
    retry(host_and_port, timeout, || lookup(host_and_port)).await
}

async fn lookup(host_and_port: &str) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host(host_and_port).await?.collect();
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

/// What to listen on so that workers that meet at `host` and `port` reach this one.
pub(crate) async fn listen_towards(host: &str, port: u16, timeout: Duration) -> Result<String, InitError> {
    let local = if !is_local_host(host) {
        let meeting = join_host_and_port(host, port);
        retry(&meeting, timeout, || route_to(&meeting)).await?
    } else if host.parse::<Ipv6Addr>().is_ok() {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    Ok(SocketAddr::new(local, 0).to_string())
}

/// An address of the range for documentation. Routes to it are those to anywhere.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// The local address that the system would use towards the first address of `host_and_port` that it can
/// reach.
async fn route_to(host_and_port: &str) -> io::Result<IpAddr> {
    let mut addresses = lookup(host_and_port).await?;
    addresses.retain(|address| !address.ip().is_loopback());
    if addresses.is_empty() {
        // This machine's own name, seen from inside.
        addresses.push(ANYWHERE);
    }
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        match local_address_towards(address).await {
            Ok(local) => return Ok(local),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connecting a UDP socket asks the routing table and sends nothing.
async fn local_address_towards(address: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket.local_addr()?.ip())
}

async fn retry<T, Fut: Future<Output = io::Result<T>>>(
    host_and_port: &str,
    timeout: Duration,
    attempt: impl Fn() -> Fut,
) -> Result<T, InitError> {
    let started = tokio::time::Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let after = started.elapsed();
        if after + RETRY_EVERY > timeout {
            return Err(InitError::Address {
                host: host_and_port.to_owned(),
                after,
                cause: error.to_string(),
            });
        }
        tracing::info!(host = host_and_port, %error, "no way there yet, trying again");
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listen(host: &str) -> Result<String, InitError> {
        listen_towards(host, 29500, Duration::ZERO).await
    }

    #[tokio::test]
    async fn a_meeting_on_loopback_is_answered_on_loopback() {
        assert_eq!(listen("127.0.0.1").await.unwrap(), "127.0.0.1:0");
        assert_eq!(listen("127.3.2.1").await.unwrap(), "127.0.0.1:0");
        assert_eq!(listen("::1").await.unwrap(), "[::1]:0");
        assert_eq!(listen("localhost").await.unwrap(), "127.0.0.1:0");
    }

    #[tokio::test]
    async fn towards_another_machine_it_is_the_address_that_routes_there() {
        // An address for documentation: nothing is sent to it. A machine without a route has none.
        match listen("192.0.2.1").await {
            Ok(bind) => assert!(!bind.starts_with("127.") && !bind.starts_with("0.0.0.0"), "{bind}"),
            Err(error) => assert!(matches!(error, InitError::Address { .. }), "{error}"),
        }
    }

    #[tokio::test]
    async fn a_host_without_an_address_is_named_in_the_error() {
        let error = listen("no-such-host.invalid").await.unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }
}
