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
use crate::message::{Body, Response};
use crate::observe::note;

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

/// Has `response` carry the aside of the payload that came with `codec`, if there is one: for who answers in place of
/// somebody else, so that the handles in that answer arrive whatever the caller gets to see.
pub fn carry_over(mut codec: u8, payload: &Bytes, response: Response) -> Response {
    if codec & FLAG == 0 {
        return response;
    }
    let mut payload = payload.clone();
    let split = note::split(&mut codec, &mut payload).and_then(|_| split(codec, payload));
    let Ok((_, _, Some(aside))) = split else { return response };
    let mut carrying = response.body.payload.to_vec();
    match append(response.codec, &mut carrying, &aside) {
        Ok(codec) => Response { codec, body: Body { payload: carrying.into(), ..response.body }, ..response },
        Err(_) => response,
    }
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

    #[test]
    fn an_answer_in_place_of_another_has_the_aside_of_that() {
        use crate::message::Outcome;
        let mut payload = b"value".to_vec();
        let codec = append(1, &mut payload, b"xy").unwrap();
        let mut payload = Bytes::from(payload);
        let failed = || Response::failed(Outcome::BadResult, &["expected"]);
        let mut noted = codec;
        note::append_to(&mut noted, &mut payload, b"a note behind it".to_vec());
        let carrying = carry_over(noted, &payload, failed());
        assert_eq!((carrying.outcome, carrying.codec), (Outcome::BadResult, FLAG));
        let (codec, text, aside) = split(carrying.codec, carrying.body.payload).unwrap();
        assert_eq!((codec, text), (0, failed().body.payload));
        assert_eq!(aside.as_deref(), Some(&b"xy"[..]));
        assert_eq!(carry_over(1, &payload, failed()).codec, 0, "there was none");
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
