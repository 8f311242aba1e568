//! Memory that values are encoded into, so that a small payload is allocated once, in its own length.
//!
//! A vector that grows with the value is allocated several times, and once more when it becomes
//! [`Bytes`](bytes::Bytes) with room to spare. Each thread keeps one vector of up to [`KEPT_MAX`] bytes instead. A
//! value that encodes another while it is encoded finds none, and has one of its own.

use std::cell::Cell;

/// Longest payload that is copied out, and longest vector that a thread keeps, in bytes.
const KEPT_MAX: usize = 4 << 10;
/// What a thread begins with, in bytes.
const FIRST_BYTES: usize = 256;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Has `encode` append to an empty vector, and returns what it has written.
///
/// # Errors
/// Those of `encode`.
pub(super) fn write<E>(encode: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    // A thread that is ending has none any more.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    if scratch.capacity() == 0 {
        scratch.reserve(FIRST_BYTES);
    }
    let mut written = encode(scratch)?;
    if written.capacity() > KEPT_MAX {
        return Ok(written);
    }
    let exact = written.as_slice().to_vec();
    written.clear();
    let _ = SCRATCH.try_with(|scratch| scratch.set(written));
    Ok(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(bytes: &[u8]) -> impl FnOnce(Vec<u8>) -> Result<Vec<u8>, ()> {
        move |mut out| {
            assert!(out.is_empty(), "nothing of another value");
            out.extend_from_slice(bytes);
            Ok(out)
        }
    }

    #[test]
    fn a_payload_has_its_own_length_whatever_was_written_before() {
        for len in [0, 1, FIRST_BYTES + 1, KEPT_MAX, 3] {
            let written = write(append(&vec![7; len])).unwrap();
            assert_eq!((written.len(), written.capacity()), (len, len));
        }
        assert_eq!(write(append(&vec![7; KEPT_MAX + 1])).unwrap().len(), KEPT_MAX + 1);
        assert!(SCRATCH.take().capacity() <= KEPT_MAX);
    }

    #[test]
    fn a_value_that_encodes_another_meanwhile_loses_nothing() {
        let outer = write(|mut out| {
            out.push(1);
            assert_eq!(write(append(&[2, 3])).unwrap(), [2, 3]);
            out.push(4);
            Ok::<_, ()>(out)
        });
        assert_eq!(outer.unwrap(), [1, 4]);
        assert_eq!(write(|_| Err::<Vec<u8>, _>("no")), Err("no"));
    }
}
