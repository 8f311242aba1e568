//! Notes: what those who follow a call on its two sides tell each other.
//!
//! A note stands at the very end of a payload, behind an [aside](crate::aside) and a trace context, of requests and of
//! responses. A bit of the codec says that it is there, so that a call that nobody follows is not a byte longer.
//!
//! ```text
//! payload: | what else there is | note | its length, u16 LE |        codec: id | FLAG
//! ```

use bytes::{Bytes, BytesMut};

use crate::codec::CodecError;

/// Set in the codec of a message whose payload ends with a note.
pub(crate) const FLAG: u8 = 0x10;

const LENGTH_BYTES: usize = 2;
/// Room for most notes.
pub(crate) const BYTES_USUAL: usize = 32;

/// Appends what `write` writes to a payload, and returns the codec byte to go with it.
pub(crate) fn append(codec: u8, payload: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> u8 {
    let before = payload.len();
    payload.reserve(BYTES_USUAL);
    write(payload);
    let Ok(length) = u16::try_from(payload.len() - before) else {
        payload.truncate(before);
        return codec;
    };
    payload.extend_from_slice(&length.to_le_bytes());
    codec | FLAG
}

/// As [`append`], for a payload that is complete. Its bytes are moved only if they are shared, or have no room behind.
pub(crate) fn append_to(codec: &mut u8, payload: &mut Bytes, note: &[u8]) {
    let Ok(length) = u16::try_from(note.len()) else { return };
    let mut bytes = BytesMut::from(std::mem::take(payload));
    bytes.extend_from_slice(note);
    bytes.extend_from_slice(&length.to_le_bytes());
    *payload = bytes.freeze();
    *codec |= FLAG;
}

/// Takes the note off, if the codec says that there is one.
///
/// # Errors
/// The payload is shorter than what it announces. The codec says nothing of a note then.
#[inline]
pub(crate) fn split(codec: &mut u8, payload: &mut Bytes) -> Result<Option<Bytes>, CodecError> {
    if *codec & FLAG == 0 { Ok(None) } else { split_off(codec, payload).map(Some) }
}

#[cold]
fn split_off(codec: &mut u8, payload: &mut Bytes) -> Result<Bytes, CodecError> {
    *codec &= !FLAG;
    let missing = || CodecError::new("note", "the payload is shorter than what it announces");
    let (rest, length) = payload.split_last_chunk::<LENGTH_BYTES>().ok_or_else(missing)?;
    let at = rest.len().checked_sub(u16::from_le_bytes(*length).into()).ok_or_else(missing)?;
    let mut note = payload.split_off(at);
    note.truncate(note.len() - LENGTH_BYTES);
    Ok(note)
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
        append_to(&mut codec, &mut bytes, b"abc");
        assert_eq!((codec, &bytes[..]), (0x91, &payload[..]));
    }

    #[test]
    fn a_note_that_is_too_long_is_left_out() {
        let long = vec![7; usize::from(u16::MAX) + 1];
        let mut payload = b"value".to_vec();
        assert_eq!(append(1, &mut payload, |note| note.extend_from_slice(&long)), 1);
        let (mut codec, mut bytes) = (1, Bytes::from_static(b"value"));
        append_to(&mut codec, &mut bytes, &long);
        assert_eq!((payload.as_slice(), codec, &bytes[..]), (&b"value"[..], 1, &b"value"[..]));
    }

    #[test]
    fn a_cut_one_is_an_error_once() {
        let (mut codec, mut payload) = (FLAG | 1, Bytes::from_static(b"\x02\x00"));
        assert!(split(&mut codec, &mut payload).is_err());
        assert_eq!((codec, split(&mut codec, &mut payload).unwrap()), (1, None));
    }

    proptest! {
        #[test]
        fn what_is_appended_comes_off(value: Vec<u8>, note: Vec<u8>, codec in 0_u8..16) {
            let mut payload = value.clone();
            let mut flagged = append(codec, &mut payload, |out| out.extend_from_slice(&note));
            let mut payload = Bytes::from(payload);
            prop_assert_eq!(split(&mut flagged, &mut payload).unwrap().unwrap(), note);
            prop_assert_eq!((flagged, payload), (codec, Bytes::from(value)));
        }

        #[test]
        fn garbage_never_panics(mut codec: u8, payload: Vec<u8>) {
            let _ = split(&mut codec, &mut payload.into());
        }
    }
}
