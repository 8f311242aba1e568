//! [`TcpStoreServer`]: a [`MemoryStore`] behind a socket.
//!
//! Each connection is one task with one request under way, so what a client can make the server keep is
//! bounded by [`StoreLimits`]: small requests and replies by the number of connections, large ones by a
//! budget that they wait for. Waits have a budget of their own, because they hold it for as long as they take:
//! no number of them holds up the set that they wait for. A client that misbehaves is logged and loses its
//! connection.
//!
//! Who has not yet shown that it may use the store ([`Guard`]), or has not said hello, waits in an
//! [`Anteroom`] of its own: however many there are, they take no place of those who have.

mod complaints;
mod connection;
mod guard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpc_core::{Anteroom, Incarnation, StoreError};
use rpc_security::TokenExchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use self::complaints::Complaints;
use self::connection::{Budget, Entered};
use self::guard::{Guard, Unwelcome};
use super::codec::{CLIENT_HELLO_BYTES, Instance, Malformed, ServerHello, Status, is_client_hello};
use super::frame::{self, Lost};
use super::stream::Stream;
use crate::limits::StoreLimits;
use crate::memory::MemoryStore;
use crate::security::StoreSecurity;

/// A new connection has to show that it may use the store, and to say hello, within this.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// So long, and for so many bytes, is listened to a client that was refused: closing earlier could take the
/// refusal from it.
const LINGER: (Duration, usize) = (Duration::from_millis(500), 4096);
/// Pause of the listener after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a store over TCP until dropped.
///
/// Many jobs can share it by prefix. It listens in the background of the Tokio runtime that it was bound in;
/// dropping it closes the listener and all connections. Who may use it is said by [`StoreSecurity`].
#[derive(Debug)]
pub struct TcpStoreServer {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    content: MemoryStore,
    limits: StoreLimits,
    instance: Instance,
    key: u64,
    guard: Guard,
    anteroom: Anteroom,
    connections: Arc<Semaphore>,
    complaints: Complaints,
    request_budget: Budget,
    wait_budget: Budget,
    reply_budget: Budget,
    /// Set by drop. The tasks end a little later, and must not greet anybody in between.
    closed: AtomicBool,
}

impl TcpStoreServer {
    /// Listens at `addr`, a `host:port` of this machine; port 0 takes a free one. Whoever reaches it can use the
    /// store.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses, for instance because the port is taken.
    ///
    /// # Panics
    /// Outside of a Tokio runtime with I/O and time.
    pub async fn bind(addr: &str) -> Result<Self, StoreError> {
        Self::bind_with(addr, StoreLimits::default()).await
    }

    /// As [`bind`](Self::bind), with bounds of your own.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_with(addr: &str, limits: StoreLimits) -> Result<Self, StoreError> {
        Self::bind_secured(addr, limits, &StoreSecurity::Open).await
    }

    /// As [`bind_with`](Self::bind_with), for those whom `security` lets in.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and [`StoreError::Denied`] if the certificate in `security` cannot be used, or TLS is
    /// needed and not built in: for a token if this is no loopback address, for certificates always.
    pub async fn bind_secured(
        addr: &str,
        limits: StoreLimits,
        security: &StoreSecurity,
    ) -> Result<Self, StoreError> {
        match TcpListener::bind(addr).await {
            Ok(listener) => Self::serve(listener, limits, 0, security),
            Err(error) => Err(StoreError::Io { address: addr.to_owned(), cause: error.to_string() }),
        }
    }

    /// Serves on `listener`. Clients that search for a store recognise it by `key`.
    pub(crate) fn serve(
        listener: TcpListener,
        limits: StoreLimits,
        key: u64,
        security: &StoreSecurity,
    ) -> Result<Self, StoreError> {
        let io = |error: std::io::Error| StoreError::Io {
            address: listener.local_addr().map_or_else(|_| "?".into(), |addr| addr.to_string()),
            cause: error.to_string(),
        };
        let local_addr = listener.local_addr().map_err(io)?;
        let guard = Guard::new(security, local_addr.ip().is_loopback())
            .map_err(|cause| StoreError::Denied { address: local_addr.to_string(), cause })?;
        let shared = Arc::new(Shared {
            content: MemoryStore::with_limits(limits),
            limits,
            instance: Incarnation::random().map_err(io)?.0,
            key,
            guard,
            anteroom: Anteroom::new("connections to the store", limits.handshakes, HELLO_TIME),
            connections: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            complaints: Complaints::default(),
            request_budget: Budget::new(limits.buffer_bytes),
            wait_budget: Budget::new(limits.buffer_bytes),
            reply_budget: Budget::new(limits.buffer_bytes),
            closed: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        tracing::debug!(%local_addr, "serving the store");
        Ok(Self { local_addr, shared, accepting })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it serves, for use in this process without a connection.
    pub fn store(&self) -> MemoryStore {
        self.shared.content.clone()
    }

    /// Stops as dropping does, and returns when the port is free again.
    pub async fn close(mut self) {
        self.stop();
        // It was aborted, or its runtime is gone; either way it holds no socket any more.
        let _ = (&mut self.accepting).await;
    }

    fn stop(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.accepting.abort();
    }
}

impl Drop for TcpStoreServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the store's listener failed; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        // The place is taken now, and not when the task first runs.
        let entering = shared.anteroom.admit(enter(stream, Arc::clone(&shared)));
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let lost = match entering.await {
                Ok(Ok(entered)) => entered.serve(Arc::clone(&shared)).await,
                Ok(Err(lost)) => lost,
                Err(dismissed) => return shared.complaints.about(peer, &dismissed),
            };
            match lost {
                Lost::Closed => {}
                Lost::Io(error) => tracing::debug!(%peer, %error, "lost a client of the store"),
                bad => shared.complaints.about(peer, &bad),
            }
        });
    }
}

/// Brings a new connection to where its first request can come.
async fn enter(socket: TcpStream, shared: Arc<Shared>) -> Result<Entered, Lost> {
    socket.set_nodelay(true)?;
    let mut stream = match shared.guard.admit(socket).await {
        Ok(stream) => stream,
        Err(Unwelcome::Lost(lost)) => return Err(lost),
        Err(Unwelcome::Told(socket, status)) => return Err(refuse(Stream::Plain(socket), status).await),
    };
    let mut hello = [0; CLIENT_HELLO_BYTES];
    stream.read_exact(&mut hello).await?;
    if hello.starts_with(TokenExchange::START) {
        return Err(refuse(stream, Status::TokenUnexpected).await);
    }
    if !is_client_hello(&hello) {
        return Err(Malformed::Magic.into());
    }
    if shared.closed.load(Ordering::Acquire) {
        return Err(Lost::Closed);
    }
    let place = Arc::clone(&shared.connections).try_acquire_owned().ok();
    let status = if place.is_some() { Status::Welcome } else { Status::Full };
    let Shared { instance, key, limits, .. } = *shared;
    let connections = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    frame::write(&mut stream, &ServerHello { status, instance, key, connections }.to_bytes()).await?;
    match place {
        Some(place) => Ok(Entered { stream, place }),
        None => Err(Lost::Full(limits.connections)),
    }
}

/// Tells a client why it may not use the store.
async fn refuse(mut stream: Stream, status: Status) -> Lost {
    let told = async {
        frame::write(&mut stream, &ServerHello::refusing(status).to_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(LINGER.1 as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        Ok::<_, Lost>(())
    };
    // Whether it has heard makes no difference here.
    let _ = timeout(LINGER.0, told).await;
    Lost::Refused(status)
}
