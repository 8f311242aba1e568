//! [`TcpStoreServer`]: a [`MemoryStore`] behind a socket.
//!
//! Each connection is one task with one request under way, so what a client can make the server keep is
//! bounded by [`StoreLimits`]: small requests and replies by the number of connections, large ones by a
//! budget that they wait for. Waits have a budget of their own, because they hold it for as long as they take:
//! no number of them holds up the set that they wait for. A client that misbehaves is logged and loses its
//! connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpc_core::{Incarnation, StoreError};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::codec::{
    CLIENT_HELLO_BYTES, Instance, Malformed, REQUEST_BYTES_MAX, Reply, Request, ServerHello, Status,
    body_bytes, is_client_hello, is_wait,
};
use super::frame::{self, Lost};
use crate::limits::StoreLimits;
use crate::memory::MemoryStore;

/// A new connection has to say hello within this.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// A connection without a request for this long is closed; clients connect again when they need to.
const IDLE_TIME: Duration = Duration::from_secs(600);
/// Requests and replies up to this size do not count against the budget.
const SMALL_BYTES: usize = 64 << 10;
/// Pause of the listener after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a store over TCP until dropped.
///
/// Many jobs can share it by prefix. It listens in the background of the Tokio runtime that it was bound in;
/// dropping it closes the listener and all connections. Whoever reaches the port can use the store: bind it
/// to an address that only the job's machines reach.
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
    request_budget: Budget,
    wait_budget: Budget,
    reply_budget: Budget,
    /// Set by drop. The tasks end a little later, and must not greet anybody in between.
    closed: AtomicBool,
}

impl TcpStoreServer {
    /// Listens at `addr`, a `host:port` of this machine; port 0 takes a free one.
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
        match TcpListener::bind(addr).await {
            Ok(listener) => Self::serve(listener, limits, 0),
            Err(error) => Err(StoreError::Io { address: addr.to_owned(), cause: error.to_string() }),
        }
    }

    /// Serves on `listener`. Clients that search for a store recognise it by `key`.
    pub(crate) fn serve(listener: TcpListener, limits: StoreLimits, key: u64) -> Result<Self, StoreError> {
        let io = |error: std::io::Error| StoreError::Io {
            address: listener.local_addr().map_or_else(|_| "?".into(), |addr| addr.to_string()),
            cause: error.to_string(),
        };
        let local_addr = listener.local_addr().map_err(io)?;
        let shared = Arc::new(Shared {
            content: MemoryStore::with_limits(limits),
            limits,
            instance: Incarnation::random().map_err(io)?.0,
            key,
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
        let status =
            if connections.len() < shared.limits.connections { Status::Welcome } else { Status::Full };
        if connections.len() >= 2 * shared.limits.connections {
            tracing::warn!(%peer, "too many connections to the store; closing this one");
            continue;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let connection = Connection { stream, peer, shared: &shared };
            match connection.run(status).await {
                Lost::Closed => {}
                Lost::Io(error) => tracing::debug!(%peer, %error, "lost a client of the store"),
                bad @ (Lost::Slow | Lost::Malformed(_)) => {
                    tracing::warn!(%peer, "closing a connection to the store: {bad}");
                }
            }
        });
    }
}

/// A reply, or why there is none, and the memory reserved for it.
type Answer<'a> = (Result<Reply, StoreError>, Option<SemaphorePermit<'a>>);

struct Connection<'a> {
    stream: TcpStream,
    peer: SocketAddr,
    shared: &'a Shared,
}

impl<'a> Connection<'a> {
    /// Serves until the connection is over, and says why it is.
    async fn run(mut self, status: Status) -> Lost {
        match self.serve(status).await {
            Ok(never) => match never {},
            Err(lost) => lost,
        }
    }

    async fn serve(&mut self, status: Status) -> Result<std::convert::Infallible, Lost> {
        self.stream.set_nodelay(true)?;
        self.greet(status).await?;
        loop {
            let head = match timeout(IDLE_TIME, frame::read_head(&mut self.stream)).await {
                Ok(head) => head?,
                Err(_) => return Err(Lost::Closed),
            };
            let request_bytes = body_bytes(head, REQUEST_BYTES_MAX)?;
            let (request, _request_memory) = self.read_request(request_bytes).await?;
            self.answer(request).await?;
        }
    }

    /// Reads a request of `bytes`, and reserves its memory if that is much. Only for a client that has sent as
    /// much as costs it nothing: one that only announces a large request takes no memory from the others.
    async fn read_request(&mut self, bytes: usize) -> Result<(Request, Option<SemaphorePermit<'a>>), Lost> {
        let shared = self.shared;
        let mut body = frame::read_body(&mut self.stream, bytes.min(SMALL_BYTES)).await?;
        let budget = if is_wait(&body) { &shared.wait_budget } else { &shared.request_budget };
        let memory = budget.reserve(bytes).await;
        frame::read_up_to(&mut self.stream, &mut body, bytes).await?;
        Ok((Request::decode(&body, shared.limits.wait_keys)?, memory))
    }

    async fn greet(&mut self, status: Status) -> Result<(), Lost> {
        let mut hello = [0; CLIENT_HELLO_BYTES];
        match timeout(HELLO_TIME, self.stream.read_exact(&mut hello)).await {
            Ok(read) => read?,
            Err(_) => return Err(Lost::Slow),
        };
        if !is_client_hello(&hello) {
            return Err(Malformed::Magic.into());
        }
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(Lost::Closed);
        }
        let Shared { instance, key, limits, .. } = *self.shared;
        let connections = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        let hello = ServerHello { status, instance, key, connections };
        frame::write(&mut self.stream, &hello.to_bytes()).await?;
        match status {
            Status::Welcome => Ok(()),
            Status::Full => {
                tracing::warn!(peer = %self.peer, limit = self.shared.limits.connections, "the store has no connection left");
                Err(Lost::Closed)
            }
        }
    }

    async fn answer(&mut self, request: Request) -> Result<(), Lost> {
        let shared = self.shared;
        let content = &shared.content;
        // What the reply may copy is reserved before it is copied.
        let (reply, _reply_memory) = match request {
            Request::Set { key, value } => {
                (content.with(|map| map.set(&key, &value)).map(|()| Reply::Done), None)
            }
            Request::Add { key, delta } => (content.with(|map| map.add(&key, delta)).map(Reply::Sum), None),
            Request::Delete { key } => (Ok(Reply::Deleted(content.with(|map| map.delete(&key)))), None),
            Request::Get { key } => {
                let memory = self.reserve_values(std::slice::from_ref(&key)).await;
                let value = content.read(|map| map.get(&key).map(<[u8]>::to_vec));
                (Ok(value.map_or(Reply::NoValue, Reply::Value)), memory)
            }
            Request::CompareSet { key, expected, new } => {
                let memory = self.reserve_values(std::slice::from_ref(&key)).await;
                let now = content.with(|map| map.compare_set(&key, expected.as_deref(), &new));
                (now.map(Reply::Value), memory)
            }
            Request::Wait { timeout_ms, keys } => self.wait(Duration::from_millis(timeout_ms), &keys).await?,
        };
        let reply = reply.unwrap_or_else(refusal);
        let frame = reply.to_frame().or_else(|error| refusal(error).to_frame());
        drop(reply);
        match frame {
            Ok(frame) => frame::write(&mut self.stream, &frame).await,
            Err(_) => Err(Lost::Closed),
        }
    }

    /// Waits for the keys, or until the client closes the connection.
    async fn wait(&mut self, limit: Duration, keys: &[String]) -> Result<Answer<'a>, Lost> {
        let shared = self.shared;
        let deadline = tokio::time::Instant::now() + limit.min(crate::memory::FOREVER);
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let ready = tokio::select! {
                ready = shared.content.ready(keys, left) => ready,
                gone = end_of(&mut self.stream) => return Err(gone),
            };
            if let Err(error) = ready {
                return Ok((Err(error), None));
            }
            let bytes = shared.content.read(|map| map.value_bytes(keys));
            let memory = shared.reply_budget.reserve(bytes).await;
            match shared.content.read(|map| map.values(keys)) {
                Ok(Some(values)) => return Ok((Ok(Reply::Values(values)), memory)),
                Ok(None) => {}
                Err(error) => return Ok((Err(error), None)),
            }
        }
    }

    async fn reserve_values(&self, keys: &[String]) -> Option<SemaphorePermit<'a>> {
        let shared = self.shared;
        let bytes = shared.content.read(|map| map.value_bytes(keys));
        shared.reply_budget.reserve(bytes).await
    }
}

/// Memory for large requests or replies.
#[derive(Debug)]
struct Budget {
    bytes: usize,
    free: Semaphore,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { bytes, free: Semaphore::new(bytes) }
    }

    /// Waits for `bytes` if that is much, or for all there is if it is more.
    async fn reserve(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        if bytes <= SMALL_BYTES {
            return None;
        }
        self.free.acquire_many(bytes.min(self.bytes) as u32).await.ok()
    }
}

/// Resolves when the client is gone, or says something while it has to wait.
async fn end_of(stream: &mut TcpStream) -> Lost {
    match stream.read(&mut [0]).await {
        Ok(0) => Lost::Closed,
        Ok(_) => Malformed::OutOfTurn.into(),
        Err(error) => error.into(),
    }
}

fn refusal(error: StoreError) -> Reply {
    match error {
        StoreError::TimedOut { missing, .. } => Reply::TimedOut { missing },
        StoreError::NotANumber { key } => Reply::NotANumber { key },
        StoreError::Full { bound, limit } => Reply::Full { bound, limit },
        // The content of a server is in memory and has no other errors.
        other => Reply::Full { bound: other.to_string(), limit: 0 },
    }
}
