//! What a stream begins with: the byte that says what it is, and for an item whose it is.
//!
//! ```text
//! lane    0 urgent, 1 normal | heads of frames ...
//! item    2 | header of kind BULK (32 B): lane, frame, item | the item's bytes
//! ```
//! Each side opens both lanes, once. The end of an item is that of its stream.

use rpc_core::Violation;
use rpc_core::framing::{ItemId, Lane};
use rpc_core::wire::{HEADER_BYTES, Header};

/// First byte of an item's stream.
const ITEM: u8 = 2;
/// Length of what an item's stream begins with.
pub(crate) const ITEM_PRELUDE_BYTES: usize = 1 + HEADER_BYTES;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Lane(Lane),
    Item(ItemId),
}

/// First byte of a lane.
pub(crate) const fn lane_kind(lane: Lane) -> u8 {
    lane as u8
}

/// What an item's stream begins with.
pub(crate) fn item_prelude(item: ItemId) -> [u8; ITEM_PRELUDE_BYTES] {
    let mut prelude = [ITEM; ITEM_PRELUDE_BYTES];
    prelude[1..].copy_from_slice(&item.header(0).to_bytes());
    prelude
}

/// What the stream is that begins with `bytes`, and how many of them say so; `None` while more are needed.
///
/// # Errors
/// It is nothing that there is.
pub(crate) fn kind(bytes: &[u8]) -> Result<Option<(Kind, usize)>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if let Some(lane) = Lane::ALL.into_iter().find(|lane| lane_kind(*lane) == first) {
        return Ok(Some((Kind::Lane(lane), 1)));
    }
    if first != ITEM {
        return Err(Violation::UnknownStream(first));
    }
    let Some(header) = rest.first_chunk() else { return Ok(None) };
    let header = Header::from_bytes(header);
    if header.kind != rpc_core::wire::frame::BULK {
        return Err(Violation::UnknownFrame(header.kind));
    }
    Ok(Some((Kind::Item(ItemId::from_header(&header)?), ITEM_PRELUDE_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preludes_are_read_as_they_are_written_and_no_earlier() {
        for lane in Lane::ALL {
            assert_eq!(kind(&[lane_kind(lane), 9, 9]), Ok(Some((Kind::Lane(lane), 1))));
            let item = ItemId { lane, frame: 77, item: 3 };
            let prelude = item_prelude(item);
            assert_eq!(kind(&prelude), Ok(Some((Kind::Item(item), prelude.len()))));
            for len in 0..prelude.len() {
                assert_eq!(kind(&prelude[..len]), Ok(None), "{len}");
            }
        }
    }

    #[test]
    fn garbage_is_a_violation() {
        assert_eq!(kind(b"GET / HTTP/1.1"), Err(Violation::UnknownStream(b'G')));
        let mut prelude = item_prelude(ItemId { lane: Lane::Normal, frame: 0, item: 0 });
        prelude[7] = 0x10;
        assert_eq!(kind(&prelude), Err(Violation::UnknownFrame(0x10)));
        prelude[1..].fill(0xff);
        assert!(kind(&prelude).is_err());
    }
}
