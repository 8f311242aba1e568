//! [`FileStore`]: a store in one file, for processes that share a file system.

mod log;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{BoxFuture, Store, StoreError};
use tokio::time::Instant;

use self::log::Log;
use crate::map::Map;
use crate::memory::FOREVER;

/// Between two looks of a wait at the file: first and longest.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A store in one file, shared by any number of processes that see the file.
///
/// Each operation holds the system's advisory lock of the file, so the file system must support locks. The
/// file is a log: it grows with each change up to 64 MiB ([`StoreError::Full`]), and a record that a dying
/// process left half written is cut off by whoever comes next. The file stays when the last process is gone;
/// remove it, or use another job name, before the next job meets there. Waits look at the file's length at
/// intervals of up to 50 ms.
#[derive(Clone, Debug)]
pub struct FileStore {
    log: Arc<Mutex<Log>>,
}

impl FileStore {
    /// Opens the store in the file `path`, which is created if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the file cannot be opened or locked, [`StoreError::NotAStore`] if it holds
    /// something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { log: Arc::new(Mutex::new(Log::open(path.as_ref())?)) })
    }

    /// Runs `operation` where it may block on the disk and on the lock.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Log) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let log = Arc::clone(&self.log);
        match tokio::task::spawn_blocking(move || operation(&mut log.lock())).await {
            Ok(result) => result,
            Err(stopped) => {
                let address = self.log.lock().address();
                Err(StoreError::Io { address, cause: format!("the runtime is shutting down: {stopped}") })
            }
        }
    }
}

impl Store for FileStore {
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(self.blocking(move |log| log.locked(|log| log.set(&key, &value))))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let key = key.to_owned();
        Box::pin(self.blocking(move |log| Ok(log.current()?.get(&key).map(<[u8]>::to_vec))))
    }

    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let keys: Arc<[String]> = keys.into();
            let deadline = Instant::now() + timeout.min(FOREVER);
            let mut pause = LOOK_AGAIN.0;
            loop {
                let wanted = Arc::clone(&keys);
                let found = self.blocking(move |log| look(log.current()?, &wanted)).await?;
                let missing = match found {
                    Ok(values) => return Ok(values),
                    Err(missing) => missing,
                };
                if Instant::now() >= deadline {
                    return Err(StoreError::TimedOut { after: timeout, missing });
                }
                tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
                pause = (pause * 2).min(LOOK_AGAIN.1);
            }
        })
    }

    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        let key = key.to_owned();
        let add = move |log: &mut Log| {
            let sum = log.map().sum(&key, delta)?;
            log.set(&key, sum.to_string().as_bytes())?;
            Ok(sum)
        };
        Box::pin(self.blocking(move |log| log.locked(add)))
    }

    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        let (key, expected, new) = (key.to_owned(), expected.map(<[u8]>::to_vec), new.to_vec());
        let compare_set = move |log: &mut Log| match log.map().get(&key) {
            now if now == expected.as_deref() => log.set(&key, &new).map(|()| new),
            Some(other) => Ok(other.to_vec()),
            None => Ok(expected.unwrap_or_default()),
        };
        Box::pin(self.blocking(move |log| log.locked(compare_set)))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let key = key.to_owned();
        Box::pin(self.blocking(move |log| log.locked(|log| log.delete(&key))))
    }
}

/// All values, or the keys that have none.
type Looked = Result<Vec<Vec<u8>>, Vec<String>>;

fn look(map: &Map, keys: &[String]) -> Result<Looked, StoreError> {
    map.check_wait(keys)?;
    Ok(map.values(keys)?.ok_or_else(|| map.missing(keys)))
}
