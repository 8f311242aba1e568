//! [`MemoryStore`]: a store for the workers of one process.

use std::time::Duration;

use rpc_core::{BoxFuture, Store, StoreError};

/// A store in memory, for workers that share a process. Clones share the content.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {}

impl Store for MemoryStore {
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
