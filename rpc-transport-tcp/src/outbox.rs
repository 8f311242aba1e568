//! What waits to be written, as a pure state machine: frames in, slices of bytes out.
//!
//! Two lanes, by [`Header::is_urgent`](rpc_core::wire::Header::is_urgent). Frames of a lane keep their
//! order. A writer takes a [`Batch`], which ends at a frame boundary, and writes all of it before it takes
//! the next, so urgent frames overtake normal ones only between whole frames.
//!
//! ```text
//! push(frame) ─► urgent: [segment][segment]  ─┐  refill      slices() ─► vectored write
//!                normal: [segment][segment]… ─┴────► Batch   advance(n) ◄─ bytes written
//! ```
//!
//! A *segment* is a run of bytes that one slice covers. Headers, small payloads and small parts are copied
//! into gathered segments, so that a burst of small frames is one slice and needs no allocation for each.
//! Larger payloads and parts are shared and never copied.
//!
//! A batch takes from both lanes, the urgent one first, so neither can starve the other.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use rpc_core::wire::HEADER_BYTES;
use rpc_core::{Body, Frame, Part};

use crate::bounds::{
    BATCH_LANE_BYTES, COPIED_PART_MAX, COPIED_PAYLOAD_MAX, FIRST_SEGMENT_BYTES, NEXT_SEGMENT_BYTES,
};

const PART_LENGTH_BYTES: usize = size_of::<u64>();
/// First segments that are kept for reuse. One is enough: most links send either requests or replies.
const SPARES_MAX: usize = 1;
/// Room for segments that an empty lane or batch keeps.
const SEGMENTS_KEPT: usize = 16;

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    urgent: Lane,
    normal: Lane,
    spares: Spares,
}

impl Outbox {
    /// Queues `frame` and returns its length on the wire.
    pub(crate) fn push(&mut self, frame: Frame) -> u64 {
        let Frame { header, body: Body { payload, parts } } = frame;
        debug_assert_eq!(header.payload_bytes as usize, payload.len(), "the header announces its body");
        debug_assert_eq!(usize::from(header.part_count), parts.len(), "the header announces its body");
        let lane = if header.is_urgent() { &mut self.urgent } else { &mut self.normal };
        let header = header.to_bytes();
        let lengths_len = parts.len() * PART_LENGTH_BYTES;
        let mut wire_len = (HEADER_BYTES + payload.len() + lengths_len) as u64;

        if payload.len() <= COPIED_PAYLOAD_MAX {
            let gathered = lane.gather(HEADER_BYTES + payload.len() + lengths_len, &mut self.spares);
            gathered.extend_from_slice(&header);
            gathered.extend_from_slice(&payload);
        } else {
            lane.gather(HEADER_BYTES, &mut self.spares).extend_from_slice(&header);
            lane.share(Bulk::Payload(payload));
        }
        if !parts.is_empty() {
            let gathered = lane.gather(lengths_len, &mut self.spares);
            for part in &parts {
                gathered.extend_from_slice(&(part.len() as u64).to_le_bytes());
            }
        }
        for part in parts {
            wire_len += part.len() as u64;
            if part.len() <= COPIED_PART_MAX {
                lane.gather(part.len(), &mut self.spares).extend_from_slice(&part);
            } else {
                lane.share(Bulk::Part(part));
            }
        }
        lane.end_frame();
        wire_len
    }

    /// Moves whole frames into `batch`, which is empty: the urgent lane first, then the normal one.
    pub(crate) fn refill(&mut self, batch: &mut Batch) {
        debug_assert!(batch.is_empty(), "a batch is written whole before the next");
        self.spares.absorb(&mut batch.retired);
        self.urgent.drain_into(batch);
        self.normal.drain_into(batch);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.urgent.segments.is_empty() && self.normal.segments.is_empty()
    }

    /// Heap memory that stays while nothing is queued, in bytes.
    #[cfg(test)]
    fn idle_bytes(&self) -> usize {
        self.spares.0.iter().map(Vec::capacity).sum::<usize>()
            + (self.urgent.segments.capacity() + self.normal.segments.capacity()) * size_of::<Segment>()
    }
}

/// Frames of one urgency, in order.
#[derive(Debug, Default)]
struct Lane {
    segments: VecDeque<Segment>,
}

#[derive(Debug)]
struct Segment {
    bytes: Bulk,
    /// Whether its last byte is the last one of a frame.
    ends_frame: bool,
}

/// The bytes of a segment.
#[derive(Debug)]
enum Bulk {
    Gathered(Vec<u8>),
    Payload(Bytes),
    Part(Part),
}

impl Bulk {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) => bytes,
            Self::Payload(bytes) => bytes,
            Self::Part(part) => part,
        }
    }
}

impl Lane {
    /// The segment to which `len` more bytes are to be appended without growing it.
    fn gather(&mut self, len: usize, spares: &mut Spares) -> &mut Vec<u8> {
        let fits = |segment: &Segment| matches!(&segment.bytes, Bulk::Gathered(bytes) if bytes.capacity() - bytes.len() >= len);
        if !self.segments.back().is_some_and(fits) {
            let bytes = if self.segments.is_empty() && len <= FIRST_SEGMENT_BYTES {
                spares.take()
            } else {
                Vec::with_capacity(len.max(NEXT_SEGMENT_BYTES))
            };
            self.segments.push_back(Segment { bytes: Bulk::Gathered(bytes), ends_frame: false });
        }
        match self.segments.back_mut() {
            Some(Segment { bytes: Bulk::Gathered(bytes), ends_frame }) => {
                *ends_frame = false;
                bytes
            }
            _ => unreachable!("the last segment is the gathered one that was found or made above"),
        }
    }

    fn share(&mut self, bytes: Bulk) {
        self.segments.push_back(Segment { bytes, ends_frame: false });
    }

    fn end_frame(&mut self) {
        if let Some(last) = self.segments.back_mut() {
            last.ends_frame = true;
        }
    }

    /// Moves at least one frame, if there is one, and no frame that begins after the bound.
    fn drain_into(&mut self, batch: &mut Batch) {
        let mut moved = 0;
        while let Some(Segment { bytes, ends_frame }) = self.segments.pop_front() {
            moved += bytes.as_slice().len();
            batch.segments.push_back(bytes);
            if ends_frame && moved >= BATCH_LANE_BYTES {
                break;
            }
        }
        if self.segments.is_empty() && self.segments.capacity() > SEGMENTS_KEPT {
            self.segments.shrink_to(SEGMENTS_KEPT);
        }
    }
}

/// Emptied first segments, so that a quiet link needs no allocation for each frame.
#[derive(Debug, Default)]
struct Spares(Vec<Vec<u8>>);

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(FIRST_SEGMENT_BYTES))
    }

    fn absorb(&mut self, retired: &mut Vec<Vec<u8>>) {
        while self.0.len() < SPARES_MAX
            && let Some(mut bytes) = retired.pop()
        {
            bytes.clear();
            self.0.push(bytes);
        }
        retired.clear();
    }
}

/// Whole frames on their way out. Belongs to whoever writes, so that no lock is held meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    segments: VecDeque<Bulk>,
    /// Bytes of the first segment that are written already; fewer than it has.
    written: usize,
    /// First segments that have been written, to be reused.
    retired: Vec<Vec<u8>>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Points `slices` at the next bytes, `bytes_max` at most, and returns how many slices it used.
    ///
    /// Zero only if the batch is empty.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> usize {
        let mut left = bytes_max;
        let mut skip = self.written;
        let mut used = 0;
        for (slot, segment) in slices.iter_mut().zip(&self.segments) {
            let bytes = &segment.as_slice()[skip..];
            let bytes = &bytes[..bytes.len().min(left)];
            *slot = IoSlice::new(bytes);
            left -= bytes.len();
            skip = 0;
            used += 1;
            if left == 0 {
                break;
            }
        }
        used
    }

    /// Counts the next `len` bytes as written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.written += len;
        while let Some(first) = self.segments.front() {
            let first_len = first.as_slice().len();
            if self.written < first_len {
                return;
            }
            self.written -= first_len;
            if let Some(Bulk::Gathered(bytes)) = self.segments.pop_front()
                && bytes.capacity() == FIRST_SEGMENT_BYTES
                && self.retired.len() < SPARES_MAX
            {
                self.retired.push(bytes);
            }
        }
        debug_assert_eq!(self.written, 0, "no more is written than the batch had");
        if self.segments.capacity() > SEGMENTS_KEPT {
            self.segments.shrink_to(SEGMENTS_KEPT);
        }
    }
}

#[cfg(test)]
mod tests;
