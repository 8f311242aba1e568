//! Where a worker listens when nobody says: where the others can reach it, and nowhere else.
//!
//! That is loopback if the job meets there, else the address that this machine uses towards the meeting
//! place, on which every other worker can be expected to reach it too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::error::InitError;
use crate::security::is_loopback;

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

/// What to listen on so that workers that meet at `meeting`, which is `host_and_port`, reach this one.
pub(crate) async fn listen_towards(
    host_and_port: &str,
    meeting: &[SocketAddr],
    timeout: Duration,
) -> Result<String, InitError> {
    let local = if is_loopback(meeting) {
        loopback_like(meeting)
    } else {
        retry(host_and_port, timeout, || route_to(meeting)).await?
    };
    Ok(SocketAddr::new(local, 0).to_string())
}

/// IPv4 if there is a choice: the name `localhost` usually has both.
fn loopback_like(meeting: &[SocketAddr]) -> IpAddr {
    let v4 = meeting.iter().find(|address| address.is_ipv4());
    v4.map_or(Ipv6Addr::LOCALHOST.into(), |_| Ipv4Addr::LOCALHOST.into())
}

/// The local address that the system would use towards the first of `addresses` that it can reach.
/// Connecting a UDP socket asks the routing table and sends nothing.
async fn route_to(addresses: &[SocketAddr]) -> io::Result<IpAddr> {
    let mut last = io::Error::other("the name has no address");
    // A host's own name is often listed at 127.0.1.1 on that host alone; its other addresses serve better.
    let remote_first = addresses.iter().filter(|address| !address.ip().is_loopback());
    for address in remote_first {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(address).await.and_then(|()| socket.local_addr()) {
            Ok(local) => return Ok(local.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
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

    async fn listen(host_and_port: &str) -> Result<String, InitError> {
        let meeting = resolve(host_and_port, Duration::ZERO).await?;
        listen_towards(host_and_port, &meeting, Duration::ZERO).await
    }

    #[tokio::test]
    async fn a_meeting_on_loopback_is_answered_on_loopback() {
        assert_eq!(listen("127.0.0.1:29500").await.unwrap(), "127.0.0.1:0");
        assert_eq!(listen("127.3.2.1:29500").await.unwrap(), "127.0.0.1:0");
        assert_eq!(listen("[::1]:29500").await.unwrap(), "[::1]:0");
        assert_eq!(listen("localhost:29500").await.unwrap(), "127.0.0.1:0");
    }

    #[tokio::test]
    async fn towards_another_machine_it_is_the_address_that_routes_there() {
        // An address for documentation: nothing is sent to it. A machine without a route has none.
        match listen("192.0.2.1:29500").await {
            Ok(bind) => assert!(!bind.starts_with("127.") && !bind.starts_with("0.0.0.0"), "{bind}"),
            Err(error) => assert!(matches!(error, InitError::Address { .. }), "{error}"),
        }
    }

    #[tokio::test]
    async fn a_host_without_an_address_is_named_in_the_error() {
        let error = listen("no-such-host.invalid:1").await.unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }
}
