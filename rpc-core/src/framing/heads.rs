//! Bytes into heads of frames, as a pure state machine.
//!
//! ```text
//!            ┌── no parts ──────────────────────────────────► head
//! Header ─► Payload ─► Lengths ─► Parts (one after another) ─► head
//! ```
//! What arrives is read into one buffer for many small frames, and [`HeadDecoder::decode`] cuts heads out of it:
//! payloads as shared slices of it, parts as aligned copies. Payloads and parts that are bulk are skipped, because
//! they travel beside the frame.
//!
//! # What hostile bytes can cost
//! Limits are checked before anything is allocated: the payload's when the header is there, the sum when the part
//! lengths are. Lengths are collected as they arrive, and parts allocated one at a time, each below
//! [`BULK_MIN`]. So a head costs what has come of it, times six where it announces nothing but bulk.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::BULK_MIN;
use crate::message::Body;
use crate::part::{OutOfMemory, Part, PartBuf};
use crate::transport::{Frame, FrameLimits, LinkError};
use crate::wire::{HEADER_BYTES, Header};

const PART_LENGTH_BYTES: usize = size_of::<u64>();
/// Payloads up to this size are copied out of the buffer, which costs less than counting the slices of it, and keeps
/// a small message that lives long from keeping a whole buffer alive.
const COPIED_READ_MAX: usize = 256;

/// A frame as far as it stands in its head, for [`Assembler::head`](super::Assembler::head).
#[derive(Debug)]
pub struct Head {
    /// Empty where there is bulk.
    pub(super) frame: Frame,
    /// In order of items.
    pub(super) bulk: Vec<Announced>,
}

impl Head {
    /// The frame's header.
    pub fn header(&self) -> &Header {
        &self.frame.header
    }

    /// Whether a part of the frame travels beside it.
    pub fn has_bulk(&self) -> bool {
        !self.bulk.is_empty()
    }
}

/// A bulk item that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) item: u32,
    /// In bytes; 0 once it has come.
    pub(super) len: u64,
}

/// Cuts heads out of a stream of bytes.
pub struct HeadDecoder {
    limits: FrameLimits,
    stage: Stage,
}

enum Stage {
    Header,
    Payload { header: Header },
    Lengths { header: Header, payload: Bytes, lengths: Vec<u64>, announced: u64 },
    Parts { head: Head, lengths: Vec<u64>, current: Option<PartBuf> },
}

impl HeadDecoder {
    /// Starts with `limits`.
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, stage: Stage::Header }
    }

    /// Changes the limits for the headers that have not been decoded yet.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Whether the next byte is the first one of a header.
    pub fn is_between_heads(&self) -> bool {
        matches!(self.stage, Stage::Header)
    }

    /// Takes bytes off `input` until a head is whole. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A broken limit, or no memory for what is within the limits. The stream is of no use afterwards.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Head>, LinkError> {
        loop {
            match &mut self.stage {
                Stage::Header => {
                    let Some(bytes) = input.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
                    let header = Header::from_bytes(bytes);
                    self.limits.check(&header, u64::from(header.payload_bytes))?;
                    input.advance(HEADER_BYTES);
                    let payload_len = header.payload_bytes as usize;
                    if header.part_count == 0 && payload_len < BULK_MIN && input.len() >= payload_len {
                        // Nearly every frame: whole and without parts, so no stage has to be remembered.
                        let body = Body { payload: cut(input, payload_len), parts: Vec::new() };
                        return Ok(Some(Head { frame: Frame { header, body }, bulk: Vec::new() }));
                    }
                    self.stage = Stage::Payload { header };
                }
                Stage::Payload { header } => {
                    let header = *header;
                    let payload_len = header.payload_bytes as usize;
                    let payload = match payload_len {
                        BULK_MIN.. => Bytes::new(),
                        _ if input.len() < payload_len => return Ok(None),
                        _ => cut(input, payload_len),
                    };
                    let announced = u64::from(header.payload_bytes);
                    self.stage = Stage::Lengths { header, payload, lengths: Vec::new(), announced };
                }
                Stage::Lengths { header, payload, lengths, announced } => {
                    let count = usize::from(header.part_count);
                    while lengths.len() < count {
                        if input.len() < PART_LENGTH_BYTES {
                            return Ok(None);
                        }
                        let length = input.get_u64_le();
                        // A sum over 2^64 is over every limit, so it may as well stay at the top.
                        *announced = announced.saturating_add(length);
                        self.limits.check(header, *announced)?;
                        lengths.push(length);
                    }
                    let mut bulk = Vec::new();
                    if header.payload_bytes as usize >= BULK_MIN {
                        bulk.push(Announced { item: 0, len: u64::from(header.payload_bytes) });
                    }
                    let body = Body { payload: std::mem::take(payload), parts: Vec::with_capacity(count) };
                    self.stage = Stage::Parts {
                        head: Head { frame: Frame { header: *header, body }, bulk },
                        lengths: std::mem::take(lengths),
                        current: None,
                    };
                }
                Stage::Parts { head, lengths, current } => {
                    if !take_parts(head, lengths, current, input)? {
                        return Ok(None);
                    }
                    let Stage::Parts { head, .. } = std::mem::replace(&mut self.stage, Stage::Header) else {
                        unreachable!("this is the arm of that stage")
                    };
                    return Ok(Some(head));
                }
            }
        }
    }

    /// How much more [`decode`](Self::decode) needs in its input in one piece, beyond what is there.
    pub fn wanted(&self, input: &BytesMut) -> usize {
        let whole = match &self.stage {
            Stage::Header => HEADER_BYTES,
            Stage::Payload { header } => header.payload_bytes as usize,
            Stage::Lengths { .. } => PART_LENGTH_BYTES,
            Stage::Parts { .. } => 1,
        };
        whole.saturating_sub(input.len())
    }
}

impl fmt::Debug for HeadDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Header => "header",
            Stage::Payload { .. } => "payload",
            Stage::Lengths { .. } => "part lengths",
            Stage::Parts { .. } => "parts",
        };
        f.debug_struct("HeadDecoder").field("limits", &self.limits).field("stage", &stage).finish()
    }
}

/// The next `len` bytes of `input`: a slice that shares its memory, or a copy if that is cheaper.
fn cut(input: &mut BytesMut, len: usize) -> Bytes {
    match len {
        0 => Bytes::new(),
        1..=COPIED_READ_MAX => {
            let copy = Bytes::copy_from_slice(&input[..len]);
            input.advance(len);
            copy
        }
        _ => input.split_to(len).freeze(),
    }
}

/// Takes what is there of the parts that are not bulk, and announces the others. Whether all have been.
fn take_parts(
    head: &mut Head,
    lengths: &[u64],
    current: &mut Option<PartBuf>,
    input: &mut BytesMut,
) -> Result<bool, OutOfMemory> {
    let mut placeholder: Option<Part> = None;
    while let Some(&len) = lengths.get(head.frame.body.parts.len()) {
        let part = if len >= BULK_MIN as u64 {
            head.bulk.push(Announced { item: head.frame.body.parts.len() as u32 + 1, len });
            // One empty part for all of them: a peer may announce 65,535.
            match &placeholder {
                Some(part) => part.clone(),
                None => placeholder.insert(PartBuf::with_capacity(0)?.freeze()).clone(),
            }
        } else {
            match take_part(current, len as usize, input)? {
                Some(part) => part,
                None => return Ok(false),
            }
        };
        head.frame.body.parts.push(part);
    }
    Ok(true)
}

/// The next part once it is whole. `current` is its memory while it is not.
fn take_part(
    current: &mut Option<PartBuf>,
    len: usize,
    input: &mut BytesMut,
) -> Result<Option<Part>, OutOfMemory> {
    let mut part = match current.take() {
        Some(part) => part,
        None => PartBuf::with_capacity(len)?,
    };
    let here = input.len().min(part.capacity() - part.len());
    part.extend_from_slice(&input[..here]);
    input.advance(here);
    if part.is_full() {
        return Ok(Some(part.freeze()));
    }
    *current = Some(part);
    Ok(None)
}

#[cfg(test)]
mod tests;
