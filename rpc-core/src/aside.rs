//! The aside: bytes of another protocol that travel at the end of a payload.
//!
//! What counts references needs to know of the handles in a message before anybody decodes it, and also when
//! nobody ever does. So they stand beside the encoded value. Agents and transports carry payloads as they
//! are and need not know:
//!
//! ```text
//! payload: | encoded value | aside | its length, u32 LE |        codec: id | FLAG
//! ```

use bytes::Bytes;

use crate::codec::CodecError;

/// Set in the codec of a request or response whose payload ends with an aside.
pub const FLAG: u8 = 0x80;

const LENGTH_BYTES: usize = 4;

/// Appends `aside` to the encoded value of a message and returns the codec byte to go with it.
///
/// # Errors
/// An aside of 4 GiB or more.
pub fn append(codec: u8, payload: &mut Vec<u8>, aside: &[u8]) -> Result<u8, CodecError> {
    let length = u32::try_from(aside.len()).map_err(|_| CodecError::new("aside", "it is too long"))?;
    payload.reserve(aside.len() + LENGTH_BYTES);
    payload.extend_from_slice(aside);
    payload.extend_from_slice(&length.to_le_bytes());
    Ok(codec | FLAG)
}

/// Takes the aside off a payload that came with `codec`. Returns the value's codec, the value and the aside;
/// all share the payload's bytes.
///
/// # Errors
/// The flag is set, but there is no aside of the length that stands there.
pub fn split(codec: u8, mut payload: Bytes) -> Result<(u8, Bytes, Option<Bytes>), CodecError> {
    if codec & FLAG == 0 {
        return Ok((codec, payload, None));
    }
    let missing = || CodecError::new("aside", "the payload is shorter than what it announces");
    let at = payload.len().checked_sub(LENGTH_BYTES).ok_or_else(missing)?;
    let length = payload.split_off(at);
    let length = length.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
    let at = payload.len().checked_sub(length as usize).ok_or_else(missing)?;
    let aside = payload.split_off(at);
    Ok((codec & !FLAG, payload, Some(aside)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_without_the_flag_is_left_alone() {
        let payload = Bytes::from_static(b"abc\x00\x00\x00\x00");
        assert_eq!(split(1, payload.clone()).unwrap(), (1, payload, None));
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut payload = b"value".to_vec();
        assert_eq!(append(1, &mut payload, b"xy").unwrap(), 0x81);
        assert_eq!(payload, b"valuexy\x02\x00\x00\x00");
    }

    #[test]
    fn a_length_that_reaches_too_far_is_an_error() {
        for bytes in [&b""[..], b"\x01\x00\x00", b"\x01\x00\x00\x00", b"a\xff\xff\xff\xff"] {
            assert!(split(0x81, Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_appended_is_split_off_again(value: Vec<u8>, aside: Vec<u8>, codec in 0_u8..128) {
            let mut payload = value.clone();
            let flagged = append(codec, &mut payload, &aside).unwrap();
            let (back, payload, split_off) = split(flagged, payload.into()).unwrap();
            prop_assert_eq!((back, &payload[..], &split_off.unwrap()[..]), (codec, &value[..], &aside[..]));
        }
    }
}
