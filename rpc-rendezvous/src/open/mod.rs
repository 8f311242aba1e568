//! [`open_store`]: from a [`Meeting`] to a [`Store`].

mod beside;
mod host;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Store, StoreError};
use tokio::time::Instant;

pub(crate) use self::beside::Candidates;
use self::host::Hosting;
use crate::file::FileStore;
use crate::launch::{Meeting, StoreHost};
use crate::memory::FOREVER;
use crate::security::StoreSecurity;
use crate::tcp::{Place, TcpStore};

/// A store that is ready for use.
///
/// On the rank that hosts it this is also its server, which stops when this is dropped. Keep it until the
/// others no longer need the store.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenStore {
    /// The store.
    pub store: Arc<dyn Store>,
    hosting: Option<Hosting>,
}

impl OpenStore {
    /// Where this process serves the store, if it does.
    pub fn hosted_at(&self) -> Option<SocketAddr> {
        self.hosting.as_ref()?.local_addr()
    }

    /// Drops this, and returns when the port is free again.
    pub async fn close(self) {
        if let Some(hosting) = self.hosting {
            hosting.close().await;
        }
    }

    fn client(store: impl Store) -> Self {
        Self { store: Arc::new(store), hosting: None }
    }
}

/// Opens the store at `meeting`, as the worker of this `rank` in this `job`. Rank 0 hosts it if `meeting`
/// says so; if another job of this framework already hosts one at the same address, rank 0 becomes its
/// client, and takes the address over when that server stops.
///
/// `security` says who may use a store over TCP, and has to be the same for all of the job. With
/// [`StoreSecurity::Open`] an address other than loopback lets everybody who reaches the port use the store; a
/// warning says so. A store in a file is guarded by the file's permissions, whatever `security` is.
///
/// # Errors
/// [`StoreError::Denied`] if the store and this process do not trust each other, which can be the store of another
/// job at the same address; [`StoreError::NotAStore`] if something else holds the port,
/// [`StoreError::Unreachable`] if nobody hosted the store within `timeout`, [`StoreError::Io`] if the port or
/// file cannot be had.
///
/// # Cancel safety
/// Dropping the future closes what it had opened.
pub async fn open_store(
    meeting: &Meeting,
    rank: u32,
    job: &str,
    timeout: Duration,
    security: &StoreSecurity,
) -> Result<OpenStore, StoreError> {
    let deadline = Instant::now() + timeout.min(FOREVER);
    match meeting {
        Meeting::File(path) => {
            let path = path.clone();
            let open = tokio::task::spawn_blocking(move || FileStore::open(path));
            match open.await {
                Ok(store) => Ok(OpenStore::client(store?)),
                Err(stopped) => {
                    Err(StoreError::Io { address: meeting.to_string(), cause: stopped.to_string() })
                }
            }
        }
        Meeting::Tcp { host, port, host_by } => {
            let place = match host_by {
                StoreHost::Rank0 if rank == 0 => {
                    return host::host_or_share(host, *port, security, deadline).await;
                }
                StoreHost::Rank0 | StoreHost::Launcher => Place::at(host, *port),
                StoreHost::Rank0Beside => {
                    let candidates = Candidates::new(host, *port, job);
                    if rank == 0 {
                        return host::host_beside(candidates, security, deadline).await;
                    }
                    Place::Beside(candidates)
                }
            };
            Ok(OpenStore::client(TcpStore::connect_place(place, security, deadline).await?))
        }
    }
}
