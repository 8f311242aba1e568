//! [`Map`]: the content of a store and the meaning of its operations, without I/O, clock or locks.

use std::collections::HashMap;

use rpc_core::StoreError;

use crate::limits::StoreLimits;

/// Keys and values within [`StoreLimits`]. An operation that fails changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Map {
    entries: HashMap<String, Vec<u8>>,
    bytes: usize,
    limits: StoreLimits,
}

impl Map {
    pub(crate) fn new(limits: StoreLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let old = self.entries.get_mut(key);
        let freed = old.as_ref().map_or(0, |old| cost(key, old));
        let bytes = self.bytes - freed + cost(key, value);
        within("key_bytes", key.len(), self.limits.key_bytes)?;
        within("value_bytes", value.len(), self.limits.value_bytes)?;
        within("total_bytes", bytes, self.limits.total_bytes)?;
        match old {
            Some(old) => *old = value.to_vec(),
            None => drop(self.entries.insert(key.to_owned(), value.to_vec())),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// What `key` would hold after adding `delta`.
    pub(crate) fn sum(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        let number = match self.get(key) {
            None => 0,
            Some(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| StoreError::NotANumber { key: key.to_owned() })?,
        };
        let full = || StoreError::Full { bound: "counter".into(), limit: i64::MAX as u64 };
        number.checked_add(delta).ok_or_else(full)
    }

    pub(crate) fn add(&mut self, key: &str, delta: i64) -> Result<i64, StoreError> {
        let sum = self.sum(key, delta)?;
        self.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub(crate) fn compare_set(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        match self.get(key) {
            now if now == expected => self.set(key, new).map(|()| new.to_vec()),
            Some(other) => Ok(other.to_vec()),
            // Nothing there to compare with: the caller's expectation is the best word for "not this".
            None => Ok(expected.unwrap_or_default().to_vec()),
        }
    }

    pub(crate) fn delete(&mut self, key: &str) -> bool {
        let Some(old) = self.entries.remove(key) else { return false };
        self.bytes -= cost(key, &old);
        true
    }

    /// The first of `keys` that has no value.
    pub(crate) fn first_missing(&self, keys: &[String]) -> Option<usize> {
        keys.iter().position(|key| !self.entries.contains_key(key))
    }

    /// Those of `keys` that have no value.
    pub(crate) fn missing(&self, keys: &[String]) -> Vec<String> {
        keys.iter().filter(|key| !self.entries.contains_key(*key)).cloned().collect()
    }

    /// Length of the values of those of `keys` that have one.
    pub(crate) fn value_bytes(&self, keys: &[String]) -> usize {
        keys.iter().filter_map(|key| self.get(key)).map(<[u8]>::len).sum()
    }

    /// The values of all of `keys`, or `None` if one has none.
    pub(crate) fn values(&self, keys: &[String]) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        within("reply_bytes", self.value_bytes(keys), self.limits.reply_bytes)?;
        Ok(keys.iter().map(|key| self.get(key).map(<[u8]>::to_vec)).collect())
    }

    pub(crate) fn check_wait(&self, keys: &[String]) -> Result<(), StoreError> {
        within("wait_keys", keys.len(), self.limits.wait_keys)
    }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + StoreLimits::ENTRY_OVERHEAD_BYTES
}

fn within(bound: &str, value: usize, limit: usize) -> Result<(), StoreError> {
    if value <= limit {
        return Ok(());
    }
    Err(StoreError::Full { bound: bound.into(), limit: limit as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(result: Result<(), StoreError>) -> String {
        match result {
            Err(StoreError::Full { bound, .. }) => bound,
            other => panic!("expected a bound to be reached, got {other:?}"),
        }
    }

    #[test]
    fn each_bound_is_named_and_a_refused_set_changes_nothing() {
        let limits = StoreLimits { key_bytes: 4, value_bytes: 8, total_bytes: 150, ..Default::default() };
        let mut map = Map::new(limits);
        map.set("a", b"12345678").unwrap();
        assert_eq!(full(map.set("abcde", b"")), "key_bytes");
        assert_eq!(full(map.set("a", b"123456789")), "value_bytes");
        map.set("b", b"").unwrap();
        assert_eq!(full(map.set("c", b"")), "total_bytes");
        assert_eq!(map.get("a"), Some(&b"12345678"[..]));
        assert!(map.delete("b"));
        map.set("c", b"").expect("a deleted entry gives its bytes back");
    }

    #[test]
    fn replacing_values_counts_only_the_live_one() {
        let mut map = Map::new(StoreLimits { total_bytes: 100, ..Default::default() });
        for _ in 0..1000 {
            map.set("k", b"0123456789").unwrap();
        }
        assert!(map.delete("k"));
        assert_eq!(map.bytes, 0);
    }

    #[test]
    fn a_counter_that_would_overflow_stays_as_it_is() {
        let mut map = Map::default();
        map.set("n", i64::MAX.to_string().as_bytes()).unwrap();
        assert!(matches!(map.add("n", 1), Err(StoreError::Full { .. })));
        assert_eq!(map.add("n", -1), Ok(i64::MAX - 1));
    }
}
