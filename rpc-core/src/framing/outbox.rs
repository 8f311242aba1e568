//! What waits to be written, as a pure state machine: frames in; heads and bulk out.
//!
//! ```text
//! push(frame) ─► order ─► urgent: [segment][segment]  ─┐ take_heads
//!                         normal: [segment][segment]… ─┴───────────► Batch
//!                                 [bulk][bulk]…        ────────────► BulkFrame, once its head is taken
//! ```
//! Heads of a lane keep their order. A batch takes whole heads and, unless one is longer, no more of a lane than a
//! bound; so whoever takes from both lanes in turn starves neither.

use std::collections::VecDeque;

use bytes::Bytes;

use super::batch::{
    Batch, FIRST_SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_GROWTH, SEGMENT_KEPT_BYTES, SEGMENTS_KEPT, Segment,
};
use super::order::{Order, has_bulk};
use super::{BULK_MIN, ItemId, Lane};
use crate::message::Body;
use crate::transport::Frame;
use crate::wire::{HEADER_BYTES, Header, frame};

const PART_LENGTH_BYTES: usize = size_of::<u64>();
/// Payloads up to this size are copied into a gathered segment; longer ones are shared.
const COPIED_PAYLOAD_MAX: usize = 16 << 10;
/// Parts up to this size are copied into a gathered segment; longer ones are shared.
const COPIED_PART_MAX: usize = 4 << 10;
/// Bytes of one lane after which a batch is closed at the next head's end: how much of the normal lane an urgent
/// frame may have to wait for, unless one head is longer.
const BATCH_LANE_BYTES: usize = 128 << 10;

/// Frames that wait to be written.
///
/// ```
/// use rpc_core::framing::{Assembler, Batch, HeadDecoder, Lane, Outbox};
/// use rpc_core::{Body, Frame, FrameLimits, Part, wire::Header};
///
/// let parts = vec![Part::from_vec(vec![7_u8; 100_000])];
/// let header = Header { part_count: 1, ..Header::control(0x10, 1) };
/// let mut outbox = Outbox::new();
/// outbox.push(Frame { header, body: Body { payload: Default::default(), parts } });
///
/// // The head, as bytes that a transport would write:
/// let mut batch = Batch::default();
/// outbox.take_heads(Lane::Normal, &mut batch);
/// let mut slices = [std::io::IoSlice::new(&[]); 8];
/// let used = batch.slices(&mut slices, usize::MAX);
/// let mut input = bytes::BytesMut::new();
/// slices[..used].iter().for_each(|slice| input.extend_from_slice(slice));
///
/// // On the other side:
/// let limits = FrameLimits { message_bytes_max: 1 << 20, parts_max: 10 };
/// let mut assembler = Assembler::default();
/// let head = HeadDecoder::new(limits).decode(&mut input)?.expect("it is whole");
/// assert!(assembler.head(head)?.is_none(), "its part has not come");
///
/// let bulk = outbox.take_bulk(Lane::Normal).expect("the head was taken");
/// for (item, bytes) in &bulk.items {
///     assembler.extend(*item, bytes)?;
/// }
/// outbox.done(bulk.lane, bulk.number);
/// assert_eq!(assembler.next().expect("all of it is here").body.parts[0][..3], [7, 7, 7]);
/// # Ok::<(), rpc_core::LinkError>(())
/// ```
#[derive(Debug, Default)]
pub struct Outbox {
    lanes: [Heads; 2],
    spare: Spare,
    /// Made for the first frame that is not like nearly all of them: most links never have bulk, and what they have is
    /// to lie close together.
    order: Option<Box<Order>>,
    /// Whether a frame of call 0 says where it stands in the other lane.
    marks: bool,
}

/// The bulk items of one frame whose head has been taken.
#[derive(Debug)]
pub struct BulkFrame {
    /// The frame's lane.
    pub lane: Lane,
    /// Its number among those of its lane that have bulk.
    pub number: u64,
    /// Its items, in order: the payload if it is one, then parts. At least one; each of [`BULK_MIN`] bytes or more.
    pub items: VecDeque<(ItemId, Bytes)>,
}

impl Outbox {
    /// For a transport that has one ordered stream for both lanes.
    pub fn new() -> Self {
        Self::default()
    }

    /// For a transport that has a stream for each lane.
    pub fn for_many_streams() -> Self {
        Self { marks: true, ..Self::default() }
    }

    /// Queues `frame` and returns its length, head and bulk. Marks for many streams and headers of items are not
    /// counted.
    pub fn push(&mut self, frame: Frame) -> u64 {
        debug_assert_eq!(frame.header.payload_bytes as usize, frame.body.payload.len(), "header and payload");
        debug_assert_eq!(usize::from(frame.header.part_count), frame.body.parts.len(), "header and parts");
        let parts = frame.body.parts.len() * PART_LENGTH_BYTES;
        let wire_len = (HEADER_BYTES + parts) as u64 + frame.body.len_bytes();
        let with_bulk = has_bulk(&frame);
        if !with_bulk && self.is_quiet() {
            // Nearly every frame: there is nothing that it could overtake.
            if frame.header.call != 0 {
                let lane = Lane::of(&frame.header);
                self.lanes[lane as usize].write(lane, frame, false, &mut self.spare);
                return wire_len;
            }
            if self.is_settled() {
                self.write(frame);
                return wire_len;
            }
        }
        let settled = self.is_settled();
        if let Some(frame) = self.order.get_or_insert_default().push(frame, with_bulk, settled) {
            self.write(frame);
        }
        wire_len
    }

    /// Moves heads of `lane` to the end of `batch`: at least one, if there is one, and none that begins after the
    /// bound.
    pub fn take_heads(&mut self, lane: Lane, batch: &mut Batch) {
        self.spare.absorb(&mut batch.retired);
        if !self.lanes[lane as usize].segments.is_empty() {
            self.lanes[lane as usize].drain_into(batch);
            self.go_on();
        }
    }

    /// All that is queued, if it is whole heads in one run of bytes and nothing waits behind them: nearly always, where calls
    /// are made one at a time. A way past a [`Batch`], which costs more than the rest of such a write.
    ///
    /// Once it is written, its memory may be given back with [`reuse`](Self::reuse).
    pub fn take_lone(&mut self) -> Option<Vec<u8>> {
        if !self.is_quiet() {
            return None;
        }
        let [urgent, normal] = &mut self.lanes;
        let lane = match (urgent.segments.len(), normal.segments.len()) {
            (1, 0) => urgent,
            (0, 1) => normal,
            _ => return None,
        };
        match lane.segments.pop_front()? {
            Entry { bytes: Segment::Gathered(bytes), announces: 0, .. } => Some(bytes),
            other => {
                lane.segments.push_front(other);
                None
            }
        }
    }

    /// Keeps the memory of `bytes` for what is queued next, if it is not too much to keep.
    pub fn reuse(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() <= SEGMENT_KEPT_BYTES {
            self.spare.absorb(&mut Some(bytes));
        }
    }

    /// The bulk of the next frame of `lane` whose head has been taken. At most
    /// [`BULK_FRAMES_MAX`](super::BULK_FRAMES_MAX) of a lane are given out and not [`done`](Self::done).
    pub fn take_bulk(&mut self, lane: Lane) -> Option<BulkFrame> {
        self.lanes[lane as usize].bulk.as_mut()?.announced.pop_front()
    }

    /// All bytes of a frame that [`take_bulk`](Self::take_bulk) gave are out, in the sense of the
    /// [module](super)'s text. What waited for that goes on.
    pub fn done(&mut self, lane: Lane, number: u64) {
        let (Some(bulk), Some(order)) = (&mut self.lanes[lane as usize].bulk, &mut self.order) else {
            return;
        };
        if let Some(at) = bulk.under_way.iter().position(|(other, _)| *other == number) {
            let (_, call) = bulk.under_way.swap_remove(at);
            order.done(lane, call);
            self.go_on();
        }
    }

    /// Whether there is nothing to take and nothing that waits.
    pub fn is_empty(&self) -> bool {
        self.is_settled() && self.is_quiet()
    }

    /// Whether there is nothing that a frame could overtake.
    fn is_quiet(&self) -> bool {
        self.order.as_ref().is_none_or(|order| order.is_quiet())
    }

    /// Lets frames leave that could not before.
    fn go_on(&mut self) {
        if self.is_quiet() {
            return;
        }
        loop {
            let settled = self.is_settled();
            let Some(frame) = self.order.as_mut().and_then(|order| order.poll(settled)) else { return };
            self.write(frame);
        }
    }

    /// Whether every head has been taken.
    fn is_settled(&self) -> bool {
        self.lanes.iter().all(|lane| lane.segments.is_empty())
    }

    fn write(&mut self, frame: Frame) {
        let lane = Lane::of(&frame.header);
        let before = self.lanes[lane.other() as usize].frames;
        let heads = &mut self.lanes[lane as usize];
        if self.marks && frame.header.call == 0 {
            let mark = mark(lane, before).to_bytes();
            heads.gather(HEADER_BYTES, &mut self.spare).extend_from_slice(&mark);
        }
        let with_bulk = has_bulk(&frame);
        heads.write(lane, frame, with_bulk, &mut self.spare);
    }

    /// Heap memory that stays while nothing is queued, in bytes.
    #[cfg(test)]
    fn idle_bytes(&self) -> usize {
        self.spare.0.as_ref().map_or(0, Vec::capacity)
            + self.lanes.iter().map(|lane| lane.segments.capacity() * size_of::<Entry>()).sum::<usize>()
    }
}

/// What stands before a frame of call 0 on many streams: how many frames of the other lane come before it.
pub(super) const fn mark(lane: Lane, before: u64) -> Header {
    Header { codec: lane as u8, ..Header::control(frame::MARK, before) }
}

/// The heads of one lane, in order, and the bulk that goes with them.
#[derive(Debug, Default)]
struct Heads {
    segments: VecDeque<Entry>,
    frames: u64,
    /// Made for the first frame with bulk.
    bulk: Option<Box<LaneBulk>>,
}

/// The bulk of one lane.
#[derive(Debug, Default)]
struct LaneBulk {
    /// Of heads that are in [`Heads::segments`].
    unannounced: VecDeque<BulkFrame>,
    /// Of heads that have been taken.
    announced: VecDeque<BulkFrame>,
    /// Number and call of each frame that is not done.
    under_way: Vec<(u64, u64)>,
    /// So many there were.
    frames: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: Segment,
    /// Whether its last byte is the last one of a head.
    ends_head: bool,
    /// How many heads that announce bulk end in it.
    announces: usize,
}

impl Heads {
    fn write(&mut self, lane: Lane, frame: Frame, with_bulk: bool, spare: &mut Spare) {
        let Frame { header, body: Body { payload, parts } } = frame;
        if parts.is_empty() && payload.len() <= COPIED_PAYLOAD_MAX {
            // Nearly every frame.
            let gathered = self.gather(HEADER_BYTES + payload.len(), spare);
            gathered.extend_from_slice(&header.to_bytes());
            gathered.extend_from_slice(&payload);
            return self.end_head(false);
        }
        let number = self.bulk.as_ref().map_or(0, |bulk| bulk.frames);
        let mut items = VecDeque::new();
        let lengths_len = parts.len() * PART_LENGTH_BYTES;

        if payload.len() <= COPIED_PAYLOAD_MAX {
            let gathered = self.gather(HEADER_BYTES + payload.len() + lengths_len, spare);
            gathered.extend_from_slice(&header.to_bytes());
            gathered.extend_from_slice(&payload);
        } else {
            self.gather(HEADER_BYTES, spare).extend_from_slice(&header.to_bytes());
            if payload.len() < BULK_MIN {
                self.share(Segment::Shared(payload));
            } else {
                items.push_back((ItemId { lane, frame: number, item: 0 }, payload));
            }
        }
        if !parts.is_empty() {
            let gathered = self.gather(lengths_len, spare);
            for part in &parts {
                gathered.extend_from_slice(&(part.len() as u64).to_le_bytes());
            }
        }
        for (item, part) in (1..).zip(parts) {
            if part.len() <= COPIED_PART_MAX {
                self.gather(part.len(), spare).extend_from_slice(&part);
            } else if part.len() < BULK_MIN {
                self.share(Segment::Part(part));
            } else {
                items.push_back((ItemId { lane, frame: number, item }, Bytes::from_owner(part)));
            }
        }
        if with_bulk {
            let bulk = self.bulk.get_or_insert_default();
            bulk.frames += 1;
            bulk.under_way.push((number, header.call));
            bulk.unannounced.push_back(BulkFrame { lane, number, items });
        }
        self.end_head(with_bulk);
    }

    /// What was written last is the end of a head.
    fn end_head(&mut self, with_bulk: bool) {
        self.frames += 1;
        if let Some(last) = self.segments.back_mut() {
            last.ends_head = true;
            last.announces += usize::from(with_bulk);
        }
    }

    /// The segment to which `len` more bytes are to be appended without growing it.
    fn gather(&mut self, len: usize, spare: &mut Spare) -> &mut Vec<u8> {
        let fits = |entry: &Entry| matches!(&entry.bytes, Segment::Gathered(bytes) if bytes.capacity() - bytes.len() >= len);
        if !self.segments.back().is_some_and(fits) {
            let bytes = match self.segments.back() {
                None => spare.take(len),
                Some(last) => {
                    let grown = SEGMENT_GROWTH * last.bytes.as_slice().len();
                    Vec::with_capacity(len.max(grown.clamp(FIRST_SEGMENT_BYTES, SEGMENT_BYTES_MAX)))
                }
            };
            self.share(Segment::Gathered(bytes));
        }
        match self.segments.back_mut() {
            Some(Entry { bytes: Segment::Gathered(bytes), ends_head, .. }) => {
                *ends_head = false;
                bytes
            }
            _ => unreachable!("the last segment is the gathered one that was found or made above"),
        }
    }

    fn share(&mut self, bytes: Segment) {
        self.segments.push_back(Entry { bytes, ends_head: false, announces: 0 });
    }

    fn drain_into(&mut self, batch: &mut Batch) {
        let mut moved = 0;
        while let Some(Entry { bytes, ends_head, announces }) = self.segments.pop_front() {
            moved += bytes.as_slice().len();
            batch.segments.push_back(bytes);
            if announces > 0
                && let Some(LaneBulk { unannounced, announced, .. }) = self.bulk.as_deref_mut()
            {
                announced.extend(unannounced.drain(..announces));
            }
            if ends_head && moved >= BATCH_LANE_BYTES {
                break;
            }
        }
        if self.segments.is_empty() && self.segments.capacity() > SEGMENTS_KEPT {
            self.segments.shrink_to(SEGMENTS_KEPT);
        }
    }
}

/// An emptied segment, so that a quiet link needs no allocation for each frame. One is enough: most links send either
/// requests or replies.
#[derive(Debug, Default)]
struct Spare(Option<Vec<u8>>);

impl Spare {
    /// A first segment with room for `len` bytes.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let fits = |bytes: &Vec<u8>| bytes.capacity() >= len;
        self.0.take().filter(fits).unwrap_or_else(|| Vec::with_capacity(len.max(FIRST_SEGMENT_BYTES)))
    }

    /// Takes over what a batch has written.
    fn absorb(&mut self, retired: &mut Option<Vec<u8>>) {
        if let Some(mut bytes) = retired.take()
            && self.0.as_ref().is_none_or(|spare| spare.capacity() < bytes.capacity())
        {
            bytes.clear();
            self.0 = Some(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
