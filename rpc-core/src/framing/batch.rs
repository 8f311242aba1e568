//! Bytes on their way out, as runs that one slice of a vectored write covers.
//!
//! A *segment* is such a run. Headers, small payloads and small parts are copied into gathered segments, so that a
//! burst of small frames is one slice and needs no allocation for each. What is larger is shared, never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::part::Part;

/// Capacity of the first segment of a lane that has never had more to send at a time.
pub(super) const FIRST_SEGMENT_BYTES: usize = 512;
/// How many times as large as the last segment the next one is, if that is full.
pub(super) const SEGMENT_GROWTH: usize = 8;
/// Longest segment that an idle link keeps, to be the first one again.
pub(super) const SEGMENT_KEPT_BYTES: usize = 8 << 10;
/// Longest segment, unless one value needs more.
pub(super) const SEGMENT_BYTES_MAX: usize = 64 << 10;
/// Room for segments that an empty lane or batch keeps.
pub(super) const SEGMENTS_KEPT: usize = 16;

/// The bytes of a segment.
#[derive(Debug)]
pub(super) enum Segment {
    Gathered(Vec<u8>),
    Shared(Bytes),
    Part(Part),
}

impl Segment {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Gathered(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Part(part) => part,
        }
    }
}

/// What is to be written next, in this order. Belongs to whoever writes, so that no lock is held meanwhile.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) segments: VecDeque<Segment>,
    /// Bytes of the first segment that are written already; fewer than it has.
    written: usize,
    /// A segment that has been written, to be used again.
    pub(super) retired: Option<Vec<u8>>,
}

impl Batch {
    /// What is left of `bytes` when the first `written` of them are; fewer than it has.
    pub fn rest_of(bytes: Vec<u8>, written: usize) -> Self {
        debug_assert!(written < bytes.len(), "there is a rest");
        Self { segments: [Segment::Gathered(bytes)].into(), written, retired: None }
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Appends a copy of `bytes`.
    pub fn gather(&mut self, bytes: &[u8]) {
        match self.segments.back_mut() {
            Some(Segment::Gathered(last)) if last.capacity() - last.len() >= bytes.len() => {
                last.extend_from_slice(bytes);
            }
            _ if bytes.is_empty() => {}
            _ => self.segments.push_back(Segment::Gathered(bytes.to_vec())),
        }
    }

    /// Appends `bytes` without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.segments.push_back(Segment::Shared(bytes));
        }
    }

    /// Points `slices` at the next bytes, `bytes_max` at most, and returns how many slices it used.
    ///
    /// Zero only if the batch is empty.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> usize {
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
    ///
    /// # Panics
    /// In debug builds, if the batch has fewer.
    pub fn advance(&mut self, len: usize) {
        self.written += len;
        while let Some(first) = self.segments.front() {
            let first_len = first.as_slice().len();
            if self.written < first_len {
                return;
            }
            self.written -= first_len;
            if let Some(Segment::Gathered(bytes)) = self.segments.pop_front()
                && bytes.capacity() <= SEGMENT_KEPT_BYTES
                && self.retired.as_ref().is_none_or(|retired| retired.capacity() < bytes.capacity())
            {
                self.retired = Some(bytes);
            }
        }
        debug_assert_eq!(self.written, 0, "no more is written than the batch had");
        if self.segments.capacity() > SEGMENTS_KEPT {
            self.segments.shrink_to(SEGMENTS_KEPT);
        }
    }
}
