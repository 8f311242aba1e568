//! Stand-ins and shorthands that several tests use.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{BoxFuture, Incarnation, Store, StoreError, WorkerName};
use rpc_rendezvous::{Joining, MemoryStore, TcpStore, TcpStoreServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) async fn server() -> (TcpStoreServer, String) {
    let server = TcpStoreServer::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().to_string();
    (server, address)
}

pub(crate) async fn client(address: &str) -> Arc<dyn Store> {
    Arc::new(TcpStore::connect(address, LONG).await.unwrap())
}

/// An address where nobody listens, and that the system gives to nobody who does not ask for it by number.
pub(crate) struct Free {
    pub(crate) address: String,
    /// Bound, but not listening. A listener may still bind the same port.
    _held: TcpSocket,
}

pub(crate) fn free() -> Free {
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    Free { address: held.local_addr().unwrap().to_string(), _held: held }
}

/// What a stand-in does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Answers whatever comes with this.
    Says(&'static [u8]),
    /// Reads, and hangs up.
    HangsUp,
    /// Holds the connection and says nothing.
    Silent,
}

/// Another service, which listens for as long as this lives.
pub(crate) struct StandIn {
    pub(crate) address: String,
    _task: JoinSet<()>,
}

impl StandIn {
    pub(crate) async fn listen(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                match manner {
                    Manner::Silent => held.push(stream),
                    Manner::HangsUp => drop(stream.read(&mut [0; 64]).await),
                    Manner::Says(answer) => {
                        let _ = stream.read(&mut [0; 64]).await;
                        let _ = stream.write_all(answer).await;
                    }
                }
            }
        });
        Self { address, _task: task }
    }
}

/// A network between clients and a server, whose connections can be cut.
pub(crate) struct Proxy {
    pub(crate) address: String,
    cut: tokio::sync::watch::Sender<u64>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, cuts) = tokio::sync::watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (server, mut cuts) = (server.clone(), cuts.clone());
                cuts.mark_unchanged();
                lines.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, cut, _task: task }
    }

    /// Cuts all connections. New ones are let through.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

/// A store whose host can go away, and another come in its place.
#[derive(Debug)]
pub(crate) struct Mortal {
    /// `None` while there is no host.
    host: Mutex<Option<MemoryStore>>,
    died: tokio::sync::watch::Sender<()>,
}

impl Default for Mortal {
    fn default() -> Self {
        Self { host: Mutex::new(Some(MemoryStore::default())), died: tokio::sync::watch::Sender::new(()) }
    }
}

impl Mortal {
    pub(crate) fn die(&self) {
        *self.host.lock() = None;
        self.died.send_replace(());
    }

    pub(crate) fn live_again(&self) {
        *self.host.lock() = Some(MemoryStore::default());
    }

    async fn with<T>(
        &self,
        operation: impl AsyncFnOnce(&MemoryStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unreachable { address: "mortal:1".into(), cause: "refused".into() };
        let mut died = self.died.subscribe();
        let host = self.host.lock().clone().ok_or_else(gone)?;
        tokio::select! {
            done = operation(&host) => done,
            _ = died.changed() => Err(gone()),
        }
    }
}

impl Store for Mortal {
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.set(key, value).await))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.get(key).await))
    }

    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.wait(keys, timeout).await))
    }

    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.add(key, delta).await))
    }

    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.compare_set(key, expected, new).await))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.with(async move |host: &MemoryStore| host.delete(key).await))
    }
}

/// Worker `name` with `rank` of `world_size`.
pub(crate) fn worker(name: &str, rank: u32, world_size: u32) -> Joining {
    Joining {
        job: "job".into(),
        name: WorkerName::new(name).unwrap(),
        rank,
        world_size,
        incarnation: Incarnation::random().unwrap(),
        backend: "tcp".into(),
        address: format!("10.0.0.{rank}:1"),
        fingerprint: None,
        protection: rpc_core::Protection::None,
        timeout: LONG,
    }
}
