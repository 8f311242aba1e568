//! The file of a [`FileStore`](super::FileStore): a log of changes that each process replays.
//!
//! ```text
//! file   = magic(8) record*
//! record = payload_bytes(u32) check_of_those_4_bytes(u32) check_of_payload(u32) payload
//! payload = 1 key_bytes(u16) key value                 set
//!         | 2 key_bytes(u16) key                       delete
//! ```
//! Numbers are little-endian.
//!
//! All writing and replaying is done under the file's lock. A process that dies while it appends leaves a
//! prefix of one record at the end; the next one to take the lock finds that the record reaches beyond the
//! end of the file, or that its check is wrong and nothing follows it, and cuts it off. The length has a check
//! of its own, because a damaged one could make all that follows look like such a prefix.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rpc_core::StoreError;

use crate::hash::fnv1a;
use crate::limits::StoreLimits;
use crate::map::Map;

const MAGIC: &[u8; 8] = b"RPCFILE1";
const HEAD_BYTES: usize = 12;
/// The file never grows beyond this.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How long another process may hold the lock. It does so for microseconds, unless it was stopped.
const LOCK_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// What the file says up to `end`.
    map: Map,
    end: u64,
}

/// A change of one key.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    Set { key: &'a str, value: &'a [u8] },
    Delete { key: &'a str },
}

impl Log {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Io {
                address: address(path),
                cause: format!("{error}; its directory must exist, so create that first"),
            },
            _ => io_error(path, &error),
        })?;
        let mut log = Self { path: path.to_owned(), file, map: Map::default(), end: 0 };
        log.locked(|_| Ok(()))?;
        Ok(log)
    }

    pub(crate) fn address(&self) -> String {
        address(&self.path)
    }

    /// The content as of the last look.
    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// The content now. Takes the lock only if the file has changed.
    pub(crate) fn current(&mut self) -> Result<&Map, StoreError> {
        let len = self.file.metadata().map_err(|error| io_error(&self.path, &error))?.len();
        if len != self.end {
            self.locked(|_| Ok(()))?;
        }
        Ok(&self.map)
    }

    /// Runs `operation` under the lock, on the content as it is now.
    pub(crate) fn locked<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lock()?;
        let result = self.catch_up().and_then(|()| operation(self));
        self.file.unlock().map_err(|error| io_error(&self.path, &error))?;
        result
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.map.set(key, value)?;
        self.append(&Change::Set { key, value })
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<bool, StoreError> {
        if !self.map.delete(key) {
            return Ok(false);
        }
        self.append(&Change::Delete { key }).map(|()| true)
    }

    fn lock(&self) -> Result<(), StoreError> {
        let until = Instant::now() + LOCK_WAIT;
        let mut pause = Duration::from_micros(50);
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(io_error(&self.path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let cause = format!("another process has held its lock for {LOCK_WAIT:?}");
                    return Err(StoreError::Io { address: self.address(), cause });
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
            }
        }
    }

    /// Replays what others have appended, and cuts off what one of them did not finish.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let tail = self.read_tail().map_err(|error| io_error(&self.path, &error))?;
        let mut rest = tail.as_slice();
        if self.end == 0 {
            match rest.strip_prefix(MAGIC) {
                Some(records) => rest = records,
                None if MAGIC.starts_with(rest) => return self.write_at(0, MAGIC),
                None => {
                    let cause = "it does not begin with the mark of one".into();
                    return Err(StoreError::NotAStore { address: self.address(), cause });
                }
            }
            self.end = MAGIC.len() as u64;
        }
        loop {
            match next_record(rest) {
                Scan::Record { change, bytes } => {
                    match change {
                        Change::Set { key, value } => self.map.set(key, value)?,
                        Change::Delete { key } => drop(self.map.delete(key)),
                    }
                    self.end += bytes as u64;
                    rest = &rest[bytes..];
                }
                Scan::End => return Ok(()),
                Scan::Torn => {
                    tracing::warn!(file = %self.path.display(), bytes = rest.len(), "cutting off a half-written record");
                    return self.file.set_len(self.end).map_err(|error| io_error(&self.path, &error));
                }
                Scan::Damaged => {
                    let cause = format!("it is damaged at byte {}; remove it and start again", self.end);
                    return Err(StoreError::Io { address: self.address(), cause });
                }
            }
        }
    }

    fn read_tail(&mut self) -> io::Result<Vec<u8>> {
        let len = self.file.metadata()?.len();
        if len < self.end {
            return Err(io::Error::other("somebody has shortened it"));
        }
        let mut tail = Vec::new();
        if len > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
        }
        if len > self.end {
            self.file.seek(SeekFrom::Start(self.end))?;
            (&self.file).take(len - self.end).read_to_end(&mut tail)?;
        }
        Ok(tail)
    }

    fn append(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        let record = encode(change);
        let written = if self.end + record.len() as u64 > FILE_BYTES_MAX {
            Err(StoreError::Full { bound: "file_bytes".into(), limit: FILE_BYTES_MAX })
        } else {
            self.write_at(self.end, &record)
        };
        if written.is_err() {
            // The map is ahead of the file now. Forget it; the next operation replays the file, and cuts off
            // what may have been written of the record.
            (self.map, self.end) = (Map::new(StoreLimits::default()), 0);
        }
        written
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let write = |mut file: &File| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write(&self.file).map_err(|error| io_error(&self.path, &error))?;
        self.end = at + bytes.len() as u64;
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Scan<'a> {
    Record { change: Change<'a>, bytes: usize },
    End,
    Torn,
    Damaged,
}

fn next_record(bytes: &[u8]) -> Scan<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return if bytes.is_empty() { Scan::End } else { Scan::Torn };
    };
    let [l0, l1, l2, l3, d0, d1, d2, d3, c0, c1, c2, c3] = *head;
    let length = [l0, l1, l2, l3];
    if check(&length) != u32::from_le_bytes([d0, d1, d2, d3]) {
        return Scan::Damaged;
    }
    let payload_bytes = u32::from_le_bytes(length) as usize;
    let Some(payload) = rest.get(..payload_bytes) else { return Scan::Torn };
    let last = rest.len() == payload_bytes;
    match (check(payload) == u32::from_le_bytes([c0, c1, c2, c3]), decode(payload)) {
        (true, Some(change)) => Scan::Record { change, bytes: HEAD_BYTES + payload_bytes },
        (false, _) if last => Scan::Torn,
        _ => Scan::Damaged,
    }
}

fn encode(change: &Change<'_>) -> Vec<u8> {
    let (tag, key, value) = match *change {
        Change::Set { key, value } => (1, key, value),
        Change::Delete { key } => (2, key, &[][..]),
    };
    let payload_bytes = 3 + key.len() + value.len();
    let mut record = Vec::with_capacity(HEAD_BYTES + payload_bytes);
    let length = (payload_bytes as u32).to_le_bytes();
    record.extend(length);
    record.extend(check(&length).to_le_bytes());
    record.extend([0; 4]);
    record.push(tag);
    record.extend((key.len() as u16).to_le_bytes());
    record.extend(key.as_bytes());
    record.extend(value);
    let check = check(&record[HEAD_BYTES..]);
    record[8..HEAD_BYTES].copy_from_slice(&check.to_le_bytes());
    record
}

fn decode(payload: &[u8]) -> Option<Change<'_>> {
    let ([tag, k0, k1], rest) = payload.split_first_chunk::<3>()?;
    let (key, value) = rest.split_at_checked(usize::from(u16::from_le_bytes([*k0, *k1])))?;
    let key = std::str::from_utf8(key).ok()?;
    match tag {
        1 => Some(Change::Set { key, value }),
        2 if value.is_empty() => Some(Change::Delete { key }),
        _ => None,
    }
}

fn check(bytes: &[u8]) -> u32 {
    fnv1a(bytes) as u32
}

fn address(path: &Path) -> String {
    format!("file {}", path.display())
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { address: address(path), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        (dir, path)
    }

    fn set(log: &mut Log, key: &str, value: &[u8]) {
        log.locked(|log| log.set(key, value)).unwrap();
    }

    #[test]
    fn a_writer_that_died_anywhere_in_a_record_costs_only_that_record() {
        let (_dir, path) = temp();
        let mut first = Log::open(&path).unwrap();
        set(&mut first, "kept", b"value");
        let whole = std::fs::read(&path).unwrap();
        let next = encode(&Change::Set { key: "lost", value: b"half written" });
        for written in 0..next.len() {
            std::fs::write(&path, [&whole[..], &next[..written]].concat()).unwrap();
            let mut log = Log::open(&path).unwrap();
            assert_eq!(log.map().get("kept"), Some(&b"value"[..]), "{written} bytes of the next record");
            assert_eq!(log.map().get("lost"), None);
            set(&mut log, "after", b"x");
            assert_eq!(Log::open(&path).unwrap().map().get("after"), Some(&b"x"[..]));
        }
    }

    #[test]
    fn a_creator_that_died_in_the_mark_leaves_an_empty_store() {
        let (_dir, path) = temp();
        for written in 0..MAGIC.len() {
            std::fs::write(&path, &MAGIC[..written]).unwrap();
            set(&mut Log::open(&path).unwrap(), "k", b"v");
            assert_eq!(Log::open(&path).unwrap().map().get("k"), Some(&b"v"[..]));
        }
    }

    #[test]
    fn another_file_is_refused_and_left_as_it_is() {
        let (_dir, path) = temp();
        std::fs::write(&path, b"my thesis, only copy").unwrap();
        assert!(matches!(Log::open(&path), Err(StoreError::NotAStore { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"my thesis, only copy");
    }

    #[test]
    fn damage_before_the_end_is_an_error_that_says_where() {
        let (_dir, path) = temp();
        let mut log = Log::open(&path).unwrap();
        set(&mut log, "a", b"1");
        set(&mut log, "b", b"2");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[MAGIC.len() + HEAD_BYTES + 4] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Log::open(&path).unwrap_err();
        assert!(error.to_string().contains("damaged at byte 8"), "{error}");
    }

    #[test]
    fn a_damaged_length_is_an_error_that_says_where_and_costs_nothing() {
        let (_dir, path) = temp();
        let mut log = Log::open(&path).unwrap();
        for key in ["a", "b", "c"] {
            set(&mut log, key, b"1");
        }
        let good = std::fs::read(&path).unwrap();
        for bit in 0..32 {
            let mut bytes = good.clone();
            bytes[MAGIC.len() + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let error = Log::open(&path).unwrap_err();
            assert!(error.to_string().contains("damaged at byte 8"), "bit {bit}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "bit {bit}");
        }
    }

    #[test]
    fn the_file_stops_growing_at_its_bound() {
        let (_dir, path) = temp();
        let mut log = Log::open(&path).unwrap();
        let value = vec![7; 1 << 20];
        let error = (0..100).find_map(|_| log.locked(|log| log.set("k", &value)).err()).unwrap();
        assert_eq!(error, StoreError::Full { bound: "file_bytes".into(), limit: FILE_BYTES_MAX });
        assert!(std::fs::metadata(&path).unwrap().len() <= FILE_BYTES_MAX);
        assert_eq!(log.current().unwrap().get("k"), Some(&value[..]), "the last good value stays");
    }
}
