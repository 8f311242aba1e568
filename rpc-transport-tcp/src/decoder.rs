//! Bytes into frames, as a pure state machine.
//!
//! ```text
//!            ┌── no parts ───────────────────────────────► frame
//! Header ─► Payload ─► Lengths ─► Parts (one after another) ─► frame
//! ```
//!
//! What arrives is read into one buffer for many small frames, and [`Decoder::decode`] cuts frames out of
//! it: payloads as shared slices of it, parts as aligned copies. A payload or part that has not arrived
//! whole gets memory of its own; [`Decoder::direct`] then says where the next bytes can be read to without
//! passing through the buffer.
//!
//! # What hostile bytes can cost
//! Limits are checked before anything is allocated: the payload's when the header is there, the sum when
//! the part lengths are. Lengths are collected as they arrive. Payload and parts are allocated one at a
//! time and only then, as address space that costs no memory before bytes have been written to it.

use std::fmt;
use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use rpc_core::wire::{HEADER_BYTES, Header};
use rpc_core::{Body, Frame, FrameLimits, LinkError, OutOfMemory, Part, PartBuf};

use crate::bounds::{COPIED_READ_MAX, DIRECT_READ_MIN};
use crate::pages;

const PART_LENGTH_BYTES: usize = size_of::<u64>();

/// Cuts frames out of a stream of bytes.
pub(crate) struct Decoder {
    limits: FrameLimits,
    stage: Stage,
}

enum Stage {
    Header,
    Payload { header: Header, payload: Option<Vec<u8>> },
    Lengths { header: Header, payload: Bytes, lengths: Vec<u64>, announced: u64 },
    Parts { header: Header, payload: Bytes, lengths: Vec<u64>, parts: Vec<Part>, current: Option<PartBuf> },
}

impl Decoder {
    pub(crate) fn new(limits: FrameLimits) -> Self {
        Self { limits, stage: Stage::Header }
    }

    /// Changes the limits for the headers that have not been decoded yet.
    pub(crate) fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Whether the stream may end here, given that `input` is what has not been decoded.
    pub(crate) fn at_boundary(&self, input: &BytesMut) -> bool {
        matches!(self.stage, Stage::Header) && input.is_empty()
    }

    /// Takes bytes off `input` until a frame is whole. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A broken limit, or no memory for what is within the limits. The stream is of no use afterwards.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, LinkError> {
        loop {
            match &mut self.stage {
                Stage::Header => {
                    let Some(bytes) = input.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
                    let header = Header::from_bytes(bytes);
                    self.limits.check(&header, u64::from(header.payload_bytes))?;
                    input.advance(HEADER_BYTES);
                    let payload_len = header.payload_bytes as usize;
                    if header.part_count == 0 && input.len() >= payload_len {
                        // Nearly every frame: whole and without parts, so no stage has to be remembered.
                        let body = Body { payload: cut(input, payload_len), parts: Vec::new() };
                        return Ok(Some(Frame { header, body }));
                    }
                    self.stage = Stage::Payload { header, payload: None };
                }
                Stage::Payload { header, payload } => {
                    let header = *header;
                    let Some(payload) = take_payload(payload, header.payload_bytes as usize, input)? else {
                        return Ok(None);
                    };
                    if header.part_count == 0 {
                        self.stage = Stage::Header;
                        return Ok(Some(Frame { header, body: Body { payload, parts: Vec::new() } }));
                    }
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
                    self.stage = Stage::Parts {
                        header: *header,
                        payload: std::mem::take(payload),
                        lengths: std::mem::take(lengths),
                        parts: Vec::with_capacity(count),
                        current: None,
                    };
                }
                Stage::Parts { header, payload, lengths, parts, current } => {
                    while let Some(&length) = lengths.get(parts.len()) {
                        let Some(part) = take_part(current, length, input)? else { return Ok(None) };
                        parts.push(part);
                    }
                    let header = *header;
                    let body = Body { payload: std::mem::take(payload), parts: std::mem::take(parts) };
                    self.stage = Stage::Header;
                    return Ok(Some(Frame { header, body }));
                }
            }
        }
    }

    /// How much more [`decode`](Self::decode) needs in its input in one piece, beyond what is there.
    pub(crate) fn wanted(&self, input: &BytesMut) -> usize {
        let whole = match &self.stage {
            Stage::Header => HEADER_BYTES,
            Stage::Payload { header, payload: None } => header.payload_bytes as usize,
            Stage::Lengths { .. } => PART_LENGTH_BYTES,
            Stage::Payload { payload: Some(_), .. } | Stage::Parts { .. } => 1,
        };
        whole.saturating_sub(input.len())
    }

    /// Memory that is to be read into directly, if enough is missing for that to pay. The input of
    /// [`decode`](Self::decode) is empty then. Never an empty slice.
    pub(crate) fn direct(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        let spare = match &mut self.stage {
            Stage::Payload { header, payload: Some(payload) } => {
                let missing = header.payload_bytes as usize - payload.len();
                &mut payload.spare_capacity_mut()[..missing]
            }
            Stage::Parts { current: Some(part), .. } => part.spare_capacity_mut(),
            _ => return None,
        };
        (spare.len() >= DIRECT_READ_MIN).then_some(spare)
    }

    /// Counts `len` bytes as read into [`direct`](Self::direct).
    ///
    /// # Safety
    /// The first `len` bytes of the slice that `direct` returns now are initialised.
    pub(crate) unsafe fn filled(&mut self, len: usize) {
        match &mut self.stage {
            Stage::Payload { header, payload: Some(payload) } => {
                let filled = payload.len() + len;
                assert!(filled <= header.payload_bytes as usize, "read past the end of a payload");
                // SAFETY: within the capacity, which is at least `payload_bytes`; initialised says the
                // caller.
                unsafe { payload.set_len(filled) };
            }
            Stage::Parts { current: Some(part), .. } => {
                // SAFETY: initialised says the caller.
                unsafe { part.advance(len) };
            }
            _ => unreachable!("`direct` returns a slice in these two stages only"),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Header => "header",
            Stage::Payload { .. } => "payload",
            Stage::Lengths { .. } => "part lengths",
            Stage::Parts { .. } => "parts",
        };
        f.debug_struct("Decoder").field("limits", &self.limits).field("stage", &stage).finish()
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

/// The payload once it is whole. `own` is its memory while it is not.
fn take_payload(
    own: &mut Option<Vec<u8>>,
    len: usize,
    input: &mut BytesMut,
) -> Result<Option<Bytes>, OutOfMemory> {
    if own.is_none() {
        if input.len() >= len {
            return Ok(Some(cut(input, len)));
        }
        if len < DIRECT_READ_MIN {
            return Ok(None);
        }
        let mut memory = Vec::new();
        memory.try_reserve_exact(len).map_err(|_| OutOfMemory { bytes: len })?;
        pages::prefer_large(memory.spare_capacity_mut());
        *own = Some(memory);
    }
    let Some(payload) = own else { unreachable!("made above") };
    let here = input.len().min(len - payload.len());
    payload.extend_from_slice(&input[..here]);
    input.advance(here);
    Ok(if payload.len() == len { own.take().map(Bytes::from) } else { None })
}

/// The next part once it is whole. `current` is its memory while it is not.
fn take_part(
    current: &mut Option<PartBuf>,
    length: u64,
    input: &mut BytesMut,
) -> Result<Option<Part>, OutOfMemory> {
    if current.is_none() {
        let capacity = usize::try_from(length).map_err(|_| OutOfMemory { bytes: usize::MAX })?;
        let memory = current.insert(PartBuf::with_capacity(capacity)?);
        pages::prefer_large(memory.spare_capacity_mut());
    }
    let Some(part) = current else { unreachable!("made above") };
    let here = input.len().min(part.capacity() - part.len());
    part.extend_from_slice(&input[..here]);
    input.advance(here);
    Ok(if part.is_full() { current.take().map(PartBuf::freeze) } else { None })
}

#[cfg(test)]
mod tests;
