//! Rank 0's part: binding the port, or sharing it with another job's store.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rpc_core::StoreError;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Candidates, OpenStore};
use crate::launch::host_port;
use crate::limits::StoreLimits;
use crate::security::{StoreSecurity, is_local_host};
use crate::tcp::{Knock, Patience, Place, TcpStore, TcpStoreServer, knock};

/// Between two attempts to get a port that a server which stops may still hold: first and longest.
const BIND_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// So long may a store of ours take to let go of its port.
const LET_GO_TIME: Duration = Duration::from_millis(300);
/// A rank 0 that shares another job's store looks this often whether the address has become free.
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(500);

/// What rank 0 keeps running.
#[derive(Debug)]
pub(super) enum Hosting {
    Server(TcpStoreServer),
    /// A task that takes the address over when the server of another job stops.
    StandBy(JoinSet<()>),
}

impl Hosting {
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Server(server) => Some(server.local_addr()),
            Self::StandBy(_) => None,
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Server(server) => server.close().await,
            Self::StandBy(mut task) => task.shutdown().await,
        }
    }
}

impl OpenStore {
    /// The host reads and writes the content itself, without a connection.
    fn host(server: TcpStoreServer) -> Self {
        Self { store: Arc::new(server.store()), hosting: Some(Hosting::Server(server)) }
    }
}

/// Hosts the store at `host:port`, or shares the one that is there.
///
/// Jobs that share a store share its token as well: one with another token is denied.
pub(super) async fn host_or_share(
    host: &str,
    port: u16,
    security: &StoreSecurity,
    deadline: Instant,
) -> Result<OpenStore, StoreError> {
    let place = Place::at(host, port);
    let access = place.access(security)?;
    let address = host_port(host, port);
    let mut patience = Patience::default();
    let mut pause = BIND_PAUSE.0;
    loop {
        match bind(host, port, security).await {
            Ok(listener) => {
                let server = TcpStoreServer::serve(listener, StoreLimits::default(), 0, security)?;
                return Ok(OpenStore::host(server));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(StoreError::Io { address, cause: error.to_string() }),
        }
        let found = knock(&address, &access, deadline).await;
        let failure = patience.judge(&address, &found)?;
        match (found, failure) {
            (Knock::Store(stream, hello), None) => {
                tracing::info!(address, "sharing the store that another job hosts here");
                let store = TcpStore::over(place, access, stream, &hello);
                return Ok(share(store, host, port, hello.key, security));
            }
            (_, Some(failure)) if Instant::now() + pause >= deadline => return Err(failure),
            _ => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(BIND_PAUSE.1);
    }
}

/// Hosts the store at the first candidate that is free.
pub(super) async fn host_beside(
    candidates: Candidates,
    security: &StoreSecurity,
    deadline: Instant,
) -> Result<OpenStore, StoreError> {
    let access = Place::Beside(candidates.clone()).access(security)?;
    for port in candidates.ports.clone() {
        let address = host_port(&candidates.host, port);
        // An earlier server of this process may be just about to let go.
        let patience_until = deadline.min(Instant::now() + LET_GO_TIME);
        loop {
            match bind(&candidates.host, port, security).await {
                Ok(listener) => {
                    let server =
                        TcpStoreServer::serve(listener, StoreLimits::default(), candidates.key, security)?;
                    return Ok(OpenStore::host(server));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    tracing::debug!(address, %error, "trying the next candidate");
                    break;
                }
            }
            match knock(&address, &access, patience_until).await {
                Knock::Store(stream, hello) if hello.is_welcome() && hello.key == candidates.key => {
                    let host = candidates.host.clone();
                    let store = TcpStore::over(Place::Beside(candidates), access, stream, &hello);
                    return Ok(share(store, &host, port, hello.key, security));
                }
                Knock::Nobody(_) | Knock::HungUp(_) if Instant::now() < patience_until => {
                    sleep(BIND_PAUSE.0).await;
                }
                _ => {
                    tracing::debug!(address, "taken by another service; trying the next candidate");
                    break;
                }
            }
        }
    }
    let cause = "none of these ports could be bound; set MASTER_PORT to another port".into();
    Err(StoreError::Io { address: candidates.address(), cause })
}

/// A client that takes the address over when its server stops, so that its own job can start over there.
fn share(store: TcpStore, host: &str, port: u16, key: u64, security: &StoreSecurity) -> OpenStore {
    let (host, security) = (host.to_owned(), security.clone());
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            sleep(TAKE_OVER_PAUSE).await;
            let Ok(listener) = bind(&host, port, &security).await else { continue };
            match TcpStoreServer::serve(listener, StoreLimits::default(), key, &security) {
                Ok(_server) => std::future::pending::<()>().await,
                Err(error) => tracing::warn!(%error, "could not take the store over"),
            }
        }
    });
    OpenStore { store: Arc::new(store), hosting: Some(Hosting::StandBy(task)) }
}

/// Listens at `host:port`.
///
/// Loopback by number and `localhost` stay on this machine. Any other host is how other machines call this
/// one: if it resolves only to loopback here, or to an address that cannot be bound because a gateway
/// translates it, the listener takes all addresses.
async fn bind(host: &str, port: u16, security: &StoreSecurity) -> io::Result<TcpListener> {
    let local = is_local_host(host);
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let mut usable: Vec<SocketAddr> =
        resolved.iter().copied().filter(|address| address.ip().is_loopback() == local).collect();
    // Both families may be `localhost`, and those who write it as a number write the older one.
    usable.sort_by_key(SocketAddr::is_ipv6);
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address to listen on");
    for address in usable {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(warned(listener, security)),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => last = error,
            Err(error) => return Err(error),
        }
    }
    if local || resolved.is_empty() {
        return Err(last);
    }
    let ipv6 = resolved.iter().all(SocketAddr::is_ipv6);
    let everywhere: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    TcpListener::bind((everywhere, port)).await.map(|listener| warned(listener, security))
}

fn warned(listener: TcpListener, security: &StoreSecurity) -> TcpListener {
    if matches!(security, StoreSecurity::Open)
        && let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "the store is open to everybody who reaches this port");
    }
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: StoreSecurity = StoreSecurity::Open;

    #[tokio::test]
    async fn loopback_stays_loopback() {
        for host in ["127.0.0.1", "localhost", "127.0.1.1"] {
            let listener = bind(host, 0, &OPEN).await.unwrap();
            assert!(listener.local_addr().unwrap().ip().is_loopback(), "{host}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_not_on_this_machine_is_served_on_all() {
        // An address for documentation, as a gateway's would be.
        let listener = bind("192.0.2.1", 0, &OPEN).await.unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
    }

    /// The first candidate is another service's, the second the store of another job.
    #[tokio::test]
    async fn taken_candidates_are_skipped_by_rank_0_and_by_clients() {
        let deadline = Instant::now() + Duration::from_secs(20);
        let job = rpc_core::Incarnation::random().unwrap().to_string();
        let candidates = Candidates::new("127.0.0.1", 29_500, &job);
        let _service = bind("127.0.0.1", candidates.ports[0], &OPEN).await;
        let stranger = bind("127.0.0.1", candidates.ports[1], &OPEN).await;
        let _stranger = stranger.map(|it| TcpStoreServer::serve(it, StoreLimits::default(), 1, &OPEN));

        let place = Place::Beside(candidates.clone());
        let (client, host) = tokio::join!(
            TcpStore::connect_place(place, &OPEN, deadline),
            host_beside(candidates.clone(), &OPEN, deadline)
        );
        let host = host.unwrap();
        let port = host.hosted_at().unwrap().port();
        assert!(candidates.ports[2..].contains(&port), "{port}: {candidates:?}");
        let (client, store): (_, &dyn rpc_core::Store) = (client.unwrap(), &*host.store);
        store.set("k", b"v").await.unwrap();
        assert_eq!(rpc_core::Store::get(&client, "k").await, Ok(Some(b"v".to_vec())));
    }

    #[tokio::test]
    async fn all_candidates_taken_is_an_error_that_lists_them() {
        let job = rpc_core::Incarnation::random().unwrap().to_string();
        let mut candidates = Candidates::new("127.0.0.1", 29_500, &job);
        candidates.ports.truncate(2);
        let _held = (
            bind("127.0.0.1", candidates.ports[0], &OPEN).await,
            bind("127.0.0.1", candidates.ports[1], &OPEN).await,
        );
        let ports = format!("ports {}, {}", candidates.ports[0], candidates.ports[1]);
        let error =
            host_beside(candidates, &OPEN, Instant::now() + Duration::from_secs(20)).await.unwrap_err();
        assert!(error.to_string().contains(&ports), "{error}");
    }
}
