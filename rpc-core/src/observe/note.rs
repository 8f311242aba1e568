//! Notes: what those who follow a call on its two sides tell each other.
//!
//! A note stands at the very end of a payload, behind an [aside](crate::aside) and a trace context, of requests and of
//! responses. A bit of the codec says that it is there, so that a call that nobody follows is not a byte longer.
//!
//! ```text
//! payload: | what else there is | note | its length, u16 LE |        codec: id | FLAG
//! ```

use std::cell::Cell;

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::CodecError;

/// Set in the codec of a message whose payload ends with a note.
pub(crate) const FLAG: u8 = 0x10;

const LENGTH_BYTES: usize = 2;
/// Payloads up to this long are copied into memory that has room for the note too, which is quicker than to make theirs
/// longer.
const COPIED_MAX: usize = 1 << 10;
/// Longest vector that a thread keeps to write notes into.
const KEPT_MAX: usize = 1 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A note that has come, with its length behind it.
#[derive(Clone, Debug)]
pub(crate) struct Note(Bytes);

impl Note {
    /// What has been written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - LENGTH_BYTES]
    }
}

/// Memory to write a note into: empty, and this thread's own. To be given to [`append_to`].
pub(crate) fn scratch() -> Vec<u8> {
    // Who writes a note while another is written has one of its own, and so has a thread that is ending.
    SCRATCH.try_with(Cell::take).unwrap_or_default()
}

fn keep(mut note: Vec<u8>) {
    note.clear();
    if note.capacity() <= KEPT_MAX {
        let _ = SCRATCH.try_with(|scratch| scratch.set(note));
    }
}

/// Appends what `write` writes to a payload, and returns the codec byte to go with it.
pub(crate) fn append(codec: u8, payload: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> u8 {
    let mut note = scratch();
    write(&mut note);
    let length = u16::try_from(note.len()).ok();
    if let Some(length) = length {
        if payload.len() <= COPIED_MAX {
            *payload = with_note(payload, &note, length);
        } else {
            payload.reserve_exact(note.len() + LENGTH_BYTES);
            payload.extend_from_slice(&note);
            payload.extend_from_slice(&length.to_le_bytes());
        }
    }
    keep(note);
    length.map_or(codec, |_| codec | FLAG)
}

/// As [`append`], for a payload that is complete, and a note that is written unless it is empty. The bytes of a long payload
/// are moved only if they are shared, or have no room behind.
pub(crate) fn append_to(codec: &mut u8, payload: &mut Bytes, note: Vec<u8>) {
    if let Ok(length @ 1..) = u16::try_from(note.len()) {
        if payload.len() <= COPIED_MAX {
            *payload = with_note(payload, &note, length).into();
        } else {
            let mut bytes = BytesMut::from(std::mem::take(payload));
            bytes.reserve(note.len() + LENGTH_BYTES);
            bytes.extend_from_slice(&note);
            bytes.extend_from_slice(&length.to_le_bytes());
            *payload = bytes.freeze();
        }
        *codec |= FLAG;
    }
    keep(note);
}

/// In its own length, so that nothing has to be known of it beside.
fn with_note(payload: &[u8], note: &[u8], length: u16) -> Vec<u8> {
    let mut whole = Vec::with_capacity(payload.len() + note.len() + LENGTH_BYTES);
    whole.extend_from_slice(payload);
    whole.extend_from_slice(note);
    whole.extend_from_slice(&length.to_le_bytes());
    whole
}

/// Takes the note off, if the codec says that there is one.
///
/// # Errors
/// The payload is shorter than what it announces. The codec says nothing of a note then.
#[inline]
pub(crate) fn split(codec: &mut u8, payload: &mut Bytes) -> Result<Option<Note>, CodecError> {
    if *codec & FLAG == 0 { Ok(None) } else { split_off(codec, payload).map(Some) }
}

#[cold]
fn split_off(codec: &mut u8, payload: &mut Bytes) -> Result<Note, CodecError> {
    *codec &= !FLAG;
    let missing = || CodecError::new("note", "the payload is shorter than what it announces");
    let (rest, length) = payload.split_last_chunk::<LENGTH_BYTES>().ok_or_else(missing)?;
    let at = rest.len().checked_sub(u16::from_le_bytes(*length).into()).ok_or_else(missing)?;
    // To have two slices of one allocation takes another one, which might as well be that of a short payload.
    if at <= COPIED_MAX {
        let before = Bytes::copy_from_slice(&rest[..at]);
        let mut note = std::mem::replace(payload, before);
        note.advance(at);
        return Ok(Note(note));
    }
    Ok(Note(payload.split_off(at)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let mut payload = b"value".to_vec();
        assert_eq!(append(1, &mut payload, |note| note.extend_from_slice(b"abc")), 0x11);
        assert_eq!(payload, b"valueabc\x03\x00");
        let (mut codec, mut bytes) = (0x81, Bytes::from_static(b"value"));
        append_to(&mut codec, &mut bytes, b"abc".to_vec());
        assert_eq!((codec, &bytes[..]), (0x91, &payload[..]));
    }

    #[test]
    fn a_note_that_is_too_long_is_left_out() {
        let long = vec![7; usize::from(u16::MAX) + 1];
        let mut payload = b"value".to_vec();
        assert_eq!(append(1, &mut payload, |note| note.extend_from_slice(&long)), 1);
        let (mut codec, mut bytes) = (1, Bytes::from_static(b"value"));
        append_to(&mut codec, &mut bytes, long);
        assert_eq!((payload.as_slice(), codec, &bytes[..]), (&b"value"[..], 1, &b"value"[..]));
    }

    #[test]
    fn a_cut_one_is_an_error_once() {
        let (mut codec, mut payload) = (FLAG | 1, Bytes::from_static(b"\x02\x00"));
        assert!(split(&mut codec, &mut payload).is_err());
        assert_eq!((codec, split(&mut codec, &mut payload).unwrap().is_none()), (1, true));
    }

    #[test]
    fn a_long_note_leaves_a_thread_no_longer_memory() {
        append(1, &mut Vec::new(), |note| note.resize(2 * KEPT_MAX, 7));
        assert_eq!(scratch().capacity(), 0);
        append(1, &mut Vec::new(), |note| note.resize(KEPT_MAX / 2, 7));
        assert!(scratch().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_appended_comes_off(value: Vec<u8>, longer in 0_usize..3, note: Vec<u8>, codec in 0_u8..16) {
            let value = [value, vec![7; longer * COPIED_MAX]].concat();
            let mut payload = value.clone();
            let mut flagged = append(codec, &mut payload, |out| out.extend_from_slice(&note));
            let mut payload = Bytes::from(payload);
            let off = split(&mut flagged, &mut payload).unwrap().unwrap();
            prop_assert_eq!(off.bytes(), &note[..]);
            prop_assert_eq!((flagged, &payload[..]), (codec, &value[..]));
            append_to(&mut flagged, &mut payload, note.clone());
            let off = split(&mut flagged, &mut payload).unwrap();
            prop_assert_eq!(off.is_none(), note.is_empty(), "nothing is not announced");
            prop_assert_eq!((off.as_ref().map_or(&[][..], Note::bytes), flagged, &payload[..]), (&note[..], codec, &value[..]));
        }

        #[test]
        fn garbage_never_panics(mut codec: u8, payload: Vec<u8>) {
            let _ = split(&mut codec, &mut payload.into());
        }
    }
}
