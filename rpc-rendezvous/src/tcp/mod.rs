//! The store over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use rpc_core::{BoxFuture, Store, StoreError};

/// Serves a store until dropped.
#[derive(Debug)]
pub struct TcpStoreServer {}

impl TcpStoreServer {
    /// Listens at `addr` (`host:port`).
    ///
    /// # Errors
    /// [`StoreError::Io`].
    #[expect(clippy::unused_async, reason = "first version")]
    pub async fn bind(_addr: &str) -> Result<Self, StoreError> {
        todo!()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }
}

/// A client of a [`TcpStoreServer`].
#[derive(Debug)]
pub struct TcpStore {}

impl TcpStore {
    /// Connects to the store at `addr` (`host:port`), for at most `timeout`.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`], [`StoreError::NotAStore`].
    pub async fn connect(_addr: &str, _timeout: Duration) -> Result<Self, StoreError> {
        todo!()
    }
}

impl Store for TcpStore {
    fn set<'a>(&'a self, _key: &'a str, _value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        todo!()
    }
    fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        todo!()
    }
    fn wait<'a>(
        &'a self,
        _keys: &'a [String],
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        todo!()
    }
    fn add<'a>(&'a self, _key: &'a str, _delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        todo!()
    }
    fn compare_set<'a>(
        &'a self,
        _key: &'a str,
        _expected: Option<&'a [u8]>,
        _new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        todo!()
    }
    fn delete<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        todo!()
    }
}
