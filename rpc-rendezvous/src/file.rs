//! [`FileStore`]: a store in one file, for processes that share a file system.

use std::path::Path;
use std::time::Duration;

use rpc_core::{BoxFuture, Store, StoreError};

/// A store in one file.
#[derive(Debug)]
pub struct FileStore {}

impl FileStore {
    /// Opens the store in the file `path`, which is created if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(_path: impl AsRef<Path>) -> Result<Self, StoreError> {
        todo!()
    }
}

impl Store for FileStore {
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
