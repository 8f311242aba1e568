//! [`MemoryStore`]: a store for the workers of one process.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{BoxFuture, Store, StoreError};
use tokio::sync::Notify;

use crate::limits::StoreLimits;
use crate::map::Map;

/// A store in memory, for workers that share a process. Clones share the content.
///
/// It is bounded by [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    map: Mutex<Map>,
    /// Told after each change that may end a wait.
    changed: Notify,
}

impl MemoryStore {
    /// An empty store with bounds of your own.
    pub fn with_limits(limits: StoreLimits) -> Self {
        Self { shared: Arc::new(Shared { map: Mutex::new(Map::new(limits)), changed: Notify::new() }) }
    }

    /// Reads or changes the content, and wakes who may wait for the change.
    pub(crate) fn with<T>(&self, operation: impl FnOnce(&mut Map) -> T) -> T {
        let result = operation(&mut self.shared.map.lock());
        self.shared.changed.notify_waiters();
        result
    }

    /// Reads the content.
    pub(crate) fn read<T>(&self, operation: impl FnOnce(&Map) -> T) -> T {
        operation(&self.shared.map.lock())
    }

    /// Waits until all of `keys` have values, without copying them.
    pub(crate) async fn ready(&self, keys: &[String], timeout: Duration) -> Result<(), StoreError> {
        self.read(|map| map.check_wait(keys))?;
        let all_there = async {
            // Looking at the one key that was missing keeps a change cheap when many wait for many.
            let mut missing = 0;
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let looked = self.read(|map| match keys.get(missing) {
                    Some(key) if map.get(key).is_none() => Some(missing),
                    _ => map.first_missing(keys),
                });
                match looked {
                    None => return,
                    Some(at) => missing = at,
                }
                changed.await;
            }
        };
        match tokio::time::timeout(timeout, all_there).await {
            Ok(()) => Ok(()),
            Err(_) => {
                Err(StoreError::TimedOut { after: timeout, missing: self.read(|map| map.missing(keys)) })
            }
        }
    }
}

impl Store for MemoryStore {
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.with(|map| map.set(key, value)) })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { Ok(self.read(|map| map.get(key).map(<[u8]>::to_vec))) })
    }

    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + timeout.min(FOREVER);
            loop {
                let left = deadline.saturating_duration_since(tokio::time::Instant::now());
                self.ready(keys, left).await.map_err(|error| since(error, timeout))?;
                // A key may have been deleted since; then the wait goes on.
                if let Some(values) = self.read(|map| map.values(keys))? {
                    return Ok(values);
                }
            }
        })
    }

    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move { self.with(|map| map.add(key, delta)) })
    }

    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move { self.with(|map| map.compare_set(key, expected, new)) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.with(|map| map.delete(key))) })
    }
}

/// Longer than any process lives, and short enough to be added to a point in time.
pub(crate) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Reports the whole wait, where only the rest of it timed out.
pub(crate) fn since(error: StoreError, whole: Duration) -> StoreError {
    match error {
        StoreError::TimedOut { missing, .. } => StoreError::TimedOut { after: whole, missing },
        other => other,
    }
}
