//! [`open_store`].

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Store, StoreError};

use crate::launch::Meeting;
use crate::tcp::TcpStoreServer;

/// A store, and on the rank that hosts it the server, which stops when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// On the rank that hosts the store, its server.
    pub server: Option<TcpStoreServer>,
}

/// Opens the store at `meeting`, hosting it if that is this rank's part.
///
/// # Errors
/// [`StoreError`].
pub async fn open_store(
    _meeting: &Meeting,
    _rank: u32,
    _job: &str,
    _timeout: Duration,
) -> Result<OpenStore, StoreError> {
    todo!()
}
