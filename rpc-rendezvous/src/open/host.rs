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
pub(super) async fn host_or_share(host: &str, port: u16, deadline: Instant) -> Result<OpenStore, StoreError> {
    let address = host_port(host, port);
    let mut patience = Patience::default();
    let mut pause = BIND_PAUSE.0;
    loop {
        match bind(host, port).await {
            Ok(listener) => {
                return Ok(OpenStore::host(TcpStoreServer::serve(listener, StoreLimits::default(), 0)?));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(StoreError::Io { address, cause: error.to_string() }),
        }
        let found = knock(&address, deadline).await;
        let failure = patience.judge(&address, &found)?;
        match (found, failure) {
            (Knock::Store(stream, hello), None) => {
                tracing::info!(address, "sharing the store that another job hosts here");
                let store = TcpStore::over(Place::at(host, port), stream, &hello);
                return Ok(share(store, host, port, hello.key));
            }
            (_, Some(failure)) if Instant::now() + pause >= deadline => return Err(failure),
            _ => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(BIND_PAUSE.1);
    }
}

/// Hosts the store at the first candidate that is free.
pub(super) async fn host_beside(candidates: Candidates, deadline: Instant) -> Result<OpenStore, StoreError> {
    for port in candidates.ports.clone() {
        let address = host_port(&candidates.host, port);
        // An earlier server of this process may be just about to let go.
        let patience_until = deadline.min(Instant::now() + LET_GO_TIME);
        loop {
            match bind(&candidates.host, port).await {
                Ok(listener) => {
                    let server = TcpStoreServer::serve(listener, StoreLimits::default(), candidates.key)?;
                    return Ok(OpenStore::host(server));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    tracing::debug!(address, %error, "trying the next candidate");
                    break;
                }
            }
            match knock(&address, patience_until).await {
                Knock::Store(stream, hello) if hello.is_welcome() && hello.key == candidates.key => {
                    let host = candidates.host.clone();
                    let store = TcpStore::over(Place::Beside(candidates), stream, &hello);
                    return Ok(share(store, &host, port, hello.key));
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
fn share(store: TcpStore, host: &str, port: u16, key: u64) -> OpenStore {
    let host = host.to_owned();
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            sleep(TAKE_OVER_PAUSE).await;
            let Ok(listener) = bind(&host, port).await else { continue };
            match TcpStoreServer::serve(listener, StoreLimits::default(), key) {
                Ok(_server) => std::future::pending::<()>().await,
                Err(error) => tracing::warn!(%error, "could not take the store over"),
            }
        }
    });
    OpenStore { store: Arc::new(store), hosting: Some(Hosting::StandBy(task)) }
}

/// Listens at `host:port`, or at all addresses where `host` is how other machines call this one.
///
/// Loopback stays loopback. A name that is not `localhost` but resolves to loopback is this machine's own
/// name seen from inside, and an address that cannot be bound is that of a router or bridge in front.
async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let literal: Option<IpAddr> = host.parse().ok();
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let inside = literal.is_some() || host == "localhost";
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for address in addresses.iter().filter(|address| inside || !address.ip().is_loopback()) {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(warned(listener)),
            Err(error) => last = error,
        }
        // IPv6 may be off while `localhost` still names it.
        if last.kind() != io::ErrorKind::AddrNotAvailable {
            return Err(last);
        }
    }
    if addresses.is_empty() || (inside && addresses.iter().all(|address| address.ip().is_loopback())) {
        return Err(last);
    }
    let ipv6 = addresses.iter().all(SocketAddr::is_ipv6);
    let everywhere: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    TcpListener::bind((everywhere, port)).await.map(warned)
}

fn warned(listener: TcpListener) -> TcpListener {
    if let Ok(address) = listener.local_addr()
        && !address.ip().is_loopback()
    {
        tracing::warn!(%address, "the store is open to everybody who reaches this port");
    }
    listener
}
