//! The bytes of a stream into frames, as a pure state machine: heads, and pieces of bulk between them.
//!
//! What arrives is read into one buffer for many small frames, and [`Decoder::decode`] cuts frames out of it. The rest
//! of a piece that has not arrived whole is read straight into its final memory, which [`Decoder::direct`] gives.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use rpc_core::framing::{Assembler, HeadDecoder, ItemId};
use rpc_core::wire::{HEADER_BYTES, Header, frame};
use rpc_core::{Frame, FrameLimits, LinkError, PartPool, Violation};

use crate::bounds::DIRECT_READ_MIN;

/// Cuts frames out of a stream of bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    heads: HeadDecoder,
    assembler: Assembler,
    /// The piece whose bytes are next, and how many.
    piece: Option<(ItemId, usize)>,
}

impl Decoder {
    pub(crate) fn new(limits: FrameLimits) -> Self {
        Self { heads: HeadDecoder::new(limits), assembler: Assembler::default(), piece: None }
    }

    /// One that has the memory for bulk from `pool`.
    pub(crate) fn with_pool(limits: FrameLimits, pool: PartPool) -> Self {
        Self { assembler: Assembler::with_pool(pool), ..Self::new(limits) }
    }

    /// Changes the limits for the headers that have not been decoded yet.
    pub(crate) fn set_limits(&mut self, limits: FrameLimits) {
        self.heads.set_limits(limits);
    }

    /// Whether the stream may end here, given that `input` is what has not been decoded.
    pub(crate) fn at_boundary(&self, input: &BytesMut) -> bool {
        input.is_empty() && self.heads.is_between_heads() && self.piece.is_none() && self.assembler.is_idle()
    }

    /// Whether bulk is on its way, so that most of the next bytes belong elsewhere than in a buffer.
    pub(crate) fn expects_bulk(&self) -> bool {
        !self.assembler.is_idle()
    }

    /// Takes bytes off `input` until a frame is whole. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A broken limit, or no memory for what is within the limits. The stream is of no use afterwards.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, LinkError> {
        loop {
            if let Some(frame) = self.assembler.next() {
                return Ok(Some(frame));
            }
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((item, left)) = &mut self.piece {
                let here = input.len().min(*left);
                self.assembler.extend(*item, &input[..here])?;
                input.advance(here);
                *left -= here;
                if *left > 0 {
                    return Ok(None);
                }
                self.piece = None;
            } else if self.heads.is_between_heads()
                && let Some(header) = header_of_piece(input)
            {
                input.advance(HEADER_BYTES);
                self.begin_piece(&header)?;
            } else {
                let Some(head) = self.heads.decode(input)? else { return Ok(None) };
                if let Some(frame) = self.assembler.head(head)? {
                    return Ok(Some(frame));
                }
            }
        }
    }

    fn begin_piece(&mut self, header: &Header) -> Result<(), Violation> {
        let item = ItemId::from_header(header)?;
        if u64::from(header.payload_bytes) > self.assembler.missing(item)? {
            return Err(Violation::BulkTooLong { frame: item.frame, item: item.item });
        }
        self.piece = Some((item, header.payload_bytes as usize));
        Ok(())
    }

    /// How much more [`decode`](Self::decode) needs in its input in one piece, beyond what is there.
    pub(crate) fn wanted(&self, input: &BytesMut) -> usize {
        if self.piece.is_some() { 1 } else { self.heads.wanted(input) }
    }

    /// Memory that is to be read into directly, if enough is missing for that to pay. The input of
    /// [`decode`](Self::decode) is empty then. Never an empty slice.
    ///
    /// # Errors
    /// More is begun than may be, or no memory for it.
    pub(crate) fn direct(&mut self) -> Result<Option<&mut [MaybeUninit<u8>]>, LinkError> {
        match self.piece {
            Some((item, left)) if left >= DIRECT_READ_MIN => {
                Ok(Some(&mut self.assembler.space(item)?[..left]))
            }
            _ => Ok(None),
        }
    }

    /// Counts `len` bytes as read into [`direct`](Self::direct).
    ///
    /// # Safety
    /// The first `len` bytes of the slice that `direct` returns now are initialised.
    pub(crate) unsafe fn filled(&mut self, len: usize) {
        let Some((item, left)) = &mut self.piece else {
            unreachable!("`direct` returns a slice in a piece only")
        };
        *left = left.checked_sub(len).expect("read past the end of a piece");
        // SAFETY: initialised says the caller; the slice was the start of this item's space.
        unsafe { self.assembler.filled(*item, len) };
        if *left == 0 {
            self.piece = None;
        }
    }
}

/// The header at the start of `input`, if it is one of a piece.
fn header_of_piece(input: &BytesMut) -> Option<Header> {
    let bytes = input.first_chunk::<HEADER_BYTES>()?;
    // Heads are nearly all there is, and they are read by whom they belong to.
    (Header::kind_in(bytes) == frame::BULK).then(|| Header::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
