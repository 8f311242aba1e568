//! Outbox and assembler together, over a model of each way to travel: one ordered stream, and many.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::message::Body;
use crate::part::Part;
use crate::transport::{Frame, FrameLimits, LinkError};
use crate::wire::{HEADER_BYTES, Header};

const WIDE: FrameLimits = FrameLimits { message_bytes_max: 1 << 40, parts_max: u16::MAX as u32 };
const REQUEST: u8 = 0x10;

/// A frame that says in `method` when it was pushed, and in its bytes which it is.
fn frame_of(lane: Lane, call: u64, method: u64, payload: usize, parts: &[usize]) -> Frame {
    let kind = if lane == Lane::Urgent { frame::REPLY } else { REQUEST };
    let bytes = |item: usize, len: usize| vec![(method as usize * 7 + item) as u8; len];
    let header = Header {
        payload_bytes: payload as u32,
        part_count: parts.len() as u16,
        method,
        ..Header::control(kind, call)
    };
    let parts = parts.iter().enumerate().map(|(at, len)| Part::from_vec(bytes(at + 1, *len))).collect();
    Frame { header, body: Body { payload: bytes(0, payload).into(), parts } }
}

fn is_same(a: &Frame, b: &Frame) -> bool {
    let parts = |frame: &Frame| frame.body.parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>();
    a.header == b.header && a.body.payload == b.body.payload && parts(a) == parts(b)
}

fn take_heads(outbox: &mut Outbox, lane: Lane) -> Vec<u8> {
    let mut batch = Batch::default();
    outbox.take_heads(lane, &mut batch);
    let mut out = Vec::new();
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); 8];
        let used = batch.slices(&mut slices, usize::MAX);
        let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
        batch.advance(bytes.len());
        out.extend(bytes);
    }
    out
}

/// A sender, a receiver, and what is between them.
struct World {
    outbox: Outbox,
    assembler: Assembler,
    decoders: [HeadDecoder; 2],
    /// Streams of heads by lane.
    heads: [BytesMut; 2],
    /// What is left of each item on its way.
    items: BTreeMap<(u64, usize), (ItemId, Bytes)>,
    next_item: u64,
    /// Frames of which all is on its way, and the sender does not know whether it has arrived.
    not_done: VecDeque<(Lane, u64)>,
    pushed: Vec<Frame>,
    received: Vec<Frame>,
}

#[derive(Clone, Debug)]
enum Step {
    Push { urgent: bool, call: u64, payload: usize, parts: Vec<usize> },
    Take(bool),
    Done(Index),
    Heads { urgent: bool, len: usize },
    Item { which: Index, len: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 0_usize..100, 1 => (BULK_MIN - 1)..(BULK_MIN + 2), 1 => Just(BULK_MIN * 2)];
    prop_oneof![
        8 => (any::<bool>(), prop_oneof![0_u64..6, 0_u64..60], len(), vec(len(), 0..3))
            .prop_map(|(urgent, call, payload, parts)| Step::Push { urgent, call, payload, parts }),
        2 => any::<bool>().prop_map(Step::Take),
        2 => any::<Index>().prop_map(Step::Done),
        3 => (any::<bool>(), 1_usize..300).prop_map(|(urgent, len)| Step::Heads { urgent, len }),
        4 => (any::<Index>(), 1_usize..100_000).prop_map(|(which, len)| Step::Item { which, len }),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            outbox: Outbox::for_many_streams(),
            assembler: Assembler::default(),
            decoders: [HeadDecoder::new(WIDE), HeadDecoder::new(WIDE)],
            heads: Default::default(),
            items: BTreeMap::new(),
            next_item: 0,
            not_done: VecDeque::new(),
            pushed: Vec::new(),
            received: Vec::new(),
        }
    }

    fn apply(&mut self, step: Step) {
        let lane_of = |urgent| if urgent { Lane::Urgent } else { Lane::Normal };
        match step {
            Step::Push { urgent, call, payload, parts } => {
                let frame = frame_of(lane_of(urgent), call, self.pushed.len() as u64, payload, &parts);
                self.pushed.push(frame.clone());
                self.outbox.push(frame);
            }
            Step::Take(urgent) => self.take(lane_of(urgent)),
            Step::Done(which) => {
                if !self.not_done.is_empty() {
                    let at = which.index(self.not_done.len());
                    self.done(at);
                }
            }
            Step::Heads { urgent, len } => self.read_heads(lane_of(urgent), len),
            Step::Item { which, len } => {
                if !self.items.is_empty() {
                    let key = *self.items.keys().nth(which.index(self.items.len())).unwrap();
                    self.read_item(key, len);
                }
            }
        }
    }

    fn take(&mut self, lane: Lane) {
        self.heads[lane as usize].extend_from_slice(&take_heads(&mut self.outbox, lane));
        while let Some(bulk) = self.outbox.take_bulk(lane) {
            for (item, bytes) in bulk.items {
                self.items.insert((self.next_item, 0), (item, bytes));
                self.next_item += 1;
            }
            self.not_done.push_back((bulk.lane, bulk.number));
        }
        assert!(self.not_done.iter().filter(|(other, _)| *other == lane).count() <= BULK_FRAMES_MAX, "FR-4");
    }

    fn done(&mut self, at: usize) {
        let (lane, number) = self.not_done.remove(at).unwrap();
        self.outbox.done(lane, number);
    }

    /// Reads up to `len` bytes of a lane's heads, as a transport with many streams does.
    fn read_heads(&mut self, lane: Lane, len: usize) {
        let heads = &mut self.heads[lane as usize];
        let mut input = heads.split_to(len.min(heads.len()));
        loop {
            if !self.assembler.has_room(lane) {
                break;
            }
            let Some(head) = self.decoders[lane as usize].decode(&mut input).unwrap() else { break };
            self.received.extend(self.assembler.head(head).unwrap());
            self.received.extend(std::iter::from_fn(|| self.assembler.next()));
        }
        // What was not decoded is read again, with more behind it.
        input.extend_from_slice(heads);
        *heads = input;
    }

    fn read_item(&mut self, key: (u64, usize), len: usize) {
        let Some((item, mut bytes)) = self.items.remove(&key) else { return };
        if self.assembler.is_announced(item.lane, item.frame) {
            let piece = bytes.split_to(len.min(bytes.len()));
            self.assembler.extend(item, &piece).unwrap();
            self.received.extend(std::iter::from_fn(|| self.assembler.next()));
        }
        if !bytes.is_empty() {
            self.items.insert(key, (item, bytes));
        }
    }

    fn settle(&mut self) {
        while !(self.outbox.is_empty() && self.items.is_empty() && self.heads.iter().all(BytesMut::is_empty))
        {
            for lane in Lane::ALL {
                self.take(lane);
                self.read_heads(lane, usize::MAX);
            }
            for key in self.items.keys().copied().collect::<Vec<_>>() {
                self.read_item(key, usize::MAX);
            }
            if !self.not_done.is_empty() {
                self.done(0);
            }
        }
        assert!(self.assembler.is_idle(), "{:?}", self.assembler);
    }
}

/// FR-1 and FR-2: what was received is what was pushed, in an order that is allowed.
fn check(pushed: &[Frame], received: &[Frame]) {
    let mut places = vec![usize::MAX; pushed.len()];
    for (place, frame) in received.iter().enumerate() {
        let number = frame.header.method as usize;
        assert!(is_same(frame, &pushed[number]), "FR-1: frame {number} is another");
        assert_eq!(places[number], usize::MAX, "FR-1: frame {number} came twice");
        places[number] = place;
    }
    assert_eq!(received.len(), pushed.len(), "FR-1: all came");
    let lane = |at: usize| Lane::of(&pushed[at].header);
    let call = |at: usize| pushed[at].header.call;
    let calls_with_bulk: Vec<_> =
        (0..pushed.len()).filter(|at| order::has_bulk(&pushed[*at])).map(|at| (lane(at), call(at))).collect();
    for late in 0..pushed.len() {
        for early in 0..late {
            let same_lane = lane(early) == lane(late);
            let keeps = (same_lane && call(early) == call(late))
                || call(late) == 0
                || (same_lane && call(early) == 0)
                || (same_lane && !calls_with_bulk.contains(&(lane(early), call(early))));
            assert!(!keeps || places[early] < places[late], "FR-2: frame {late} overtook {early}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// FR-1, FR-2 and FR-4 over many streams that run at any speed.
    #[test]
    fn fr1_fr2_many_streams_at_any_speed_give_every_frame_in_order(steps in vec(step(), 0..200)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.settle();
        check(&world.pushed, &world.received);
    }

    /// FR-1, FR-2 and FR-4 over one stream, whose receiver never has to look for room.
    #[test]
    fn fr1_fr2_one_stream_gives_every_frame_in_order(
        steps in vec(step(), 0..200),
        chunk in 1_usize..150_000,
    ) {
        let mut outbox = Outbox::new();
        let mut assembler = Assembler::default();
        let mut decoder = HeadDecoder::new(WIDE);
        let (mut pushed, mut received) = (Vec::new(), Vec::new());
        let mut bulk: VecDeque<BulkFrame> = VecDeque::new();
        let mut steps = steps.into_iter().filter(|step| matches!(step, Step::Push { .. } | Step::Take(_)));
        loop {
            let step = steps.next();
            if let Some(Step::Push { urgent, call, payload, parts }) = &step {
                let lane = if *urgent { Lane::Urgent } else { Lane::Normal };
                let frame = frame_of(lane, *call, pushed.len() as u64, *payload, parts);
                pushed.push(frame.clone());
                outbox.push(frame);
                continue;
            }
            for lane in Lane::ALL {
                let mut input = BytesMut::from(&take_heads(&mut outbox, lane)[..]);
                while let Some(head) = decoder.decode(&mut input).unwrap() {
                    received.extend(assembler.head(head).unwrap());
                    received.extend(std::iter::from_fn(|| assembler.next()));
                }
                prop_assert!(input.is_empty());
                bulk.extend(std::iter::from_fn(|| outbox.take_bulk(lane)));
            }
            if let Some(mut first) = bulk.pop_front() {
                let (item, bytes) = first.items.front_mut().expect("frames with bulk have items");
                let piece = bytes.split_to(chunk.min(bytes.len()));
                assembler.extend(*item, &piece).unwrap();
                if bytes.is_empty() {
                    first.items.pop_front();
                }
                if first.items.is_empty() {
                    outbox.done(first.lane, first.number);
                } else {
                    bulk.push_back(first);
                }
                received.extend(std::iter::from_fn(|| assembler.next()));
            }
            if step.is_none() && outbox.is_empty() && bulk.is_empty() {
                break;
            }
        }
        prop_assert!(assembler.is_idle());
        check(&pushed, &received);
    }

    /// FR-4 and FR-5: whatever a peer says, it is refused or costs no more than what has come.
    #[test]
    fn fr4_fr5_hostile_heads_and_items_are_bounded(
        heads in vec((any::<bool>(), 0_u64..4, 0_u16..3, any::<u64>()), 0..60),
        items in vec((0_u8..3, 0_u64..20, 0_u32..4, 1_usize..200_000), 0..100),
    ) {
        let limits = FrameLimits { message_bytes_max: 1 << 20, parts_max: 4 };
        let mut assembler = Assembler::default();
        let mut decoder = HeadDecoder::new(limits);
        let zeros = vec![0; 200_000];
        let mut arrived = 0;
        let mut sent: VecDeque<_> = items.into();
        for (urgent, call, parts, len) in heads {
            let kind = if urgent { frame::REPLY } else { REQUEST };
            let header = Header { part_count: parts, ..Header::control(kind, call) };
            let mut input = BytesMut::from(&header.to_bytes()[..]);
            (0..parts).for_each(|_| input.extend_from_slice(&(len % (1 << 19)).to_le_bytes()));
            input.extend_from_slice(&zeros[..100_000]);
            let head = decoder.decode(&mut input).unwrap();
            let Some(head) = head else { break };
            if assembler.head(head).is_err() {
                break;
            }
            for (lane, frame, item, len) in sent.drain(..sent.len().min(3)) {
                let header = Header { codec: lane, method: item.into(), ..Header::control(frame::BULK, frame) };
                let Ok(item) = ItemId::from_header(&header) else { continue };
                if assembler.extend(item, &zeros[..len]).is_ok() {
                    arrived += len;
                }
            }
            while assembler.next().is_some() {}
            let capacity: usize = assembler.capacity_of_items();
            prop_assert!(capacity <= arrived + BULK_ITEMS_MAX * (1 << 19));
            prop_assert!(assembler.filling_len() <= BULK_ITEMS_MAX);
        }
    }
}

fn large(call: u64, method: u64) -> Frame {
    frame_of(Lane::Normal, call, method, 3, &[BULK_MIN])
}

fn small(call: u64, method: u64) -> Frame {
    frame_of(Lane::Normal, call, method, 3, &[5])
}

/// Heads of `bytes`, put into `assembler`; the calls that came out.
fn arrive(assembler: &mut Assembler, bytes: &[u8]) -> Result<Vec<u64>, Violation> {
    let mut input = BytesMut::from(bytes);
    let (mut decoder, mut out) = (HeadDecoder::new(WIDE), Vec::new());
    while let Some(head) = decoder.decode(&mut input).expect("within the limits") {
        let ready = assembler.head(head)?;
        out.extend(
            ready.into_iter().chain(std::iter::from_fn(|| assembler.next())).map(|frame| frame.header.call),
        );
    }
    Ok(out)
}

/// FR-3
#[test]
fn fr3_a_small_frame_passes_large_ones_that_wait_and_that_are_on_their_way() {
    let (mut outbox, mut assembler) = (Outbox::new(), Assembler::default());
    for call in 1..=40 {
        outbox.push(large(call, 0));
    }
    assert_eq!(arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)), Ok(vec![]));
    outbox.push(small(100, 0));
    outbox.push(small(3, 0));
    assert_eq!(arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)), Ok(vec![100]));
    let first = outbox.take_bulk(Lane::Normal).unwrap();
    assembler.extend(first.items[0].0, &first.items[0].1).unwrap();
    assert_eq!(assembler.next().unwrap().header.call, 1);
    assert!(assembler.next().is_none());
}

/// FR-2
#[test]
fn fr2_what_waits_for_a_call_goes_when_that_is_done_and_holds_up_no_other() {
    let mut outbox = Outbox::new();
    for call in 1..=BULK_FRAMES_MAX as u64 + 1 {
        outbox.push(large(call, 0));
    }
    outbox.push(small(1, 0));
    outbox.push(large(1, 0));
    take_heads(&mut outbox, Lane::Normal);
    outbox.done(Lane::Normal, 1);
    let heads = take_heads(&mut outbox, Lane::Normal);
    assert_eq!(heads[8], BULK_FRAMES_MAX as u8 + 1, "the one that waited for a place takes it");
    assert_eq!(heads.len(), HEADER_BYTES + 3 + 8);
    outbox.done(Lane::Normal, 0);
    let heads = take_heads(&mut outbox, Lane::Normal);
    assert_eq!(
        (heads[8], heads.len()),
        (1, 2 * HEADER_BYTES + 3 + 8 + 5 + 3 + 8),
        "call 1 goes on with both"
    );
}

/// FR-2
#[test]
fn fr2_a_goodbye_comes_after_everything_of_either_lane() {
    let mut outbox = Outbox::new();
    outbox.push(frame_of(Lane::Urgent, 7, 0, 3, &[BULK_MIN]));
    outbox.push(small(8, 0));
    outbox.push(Frame { header: Header::control(frame::GOODBYE, 0), body: Body::default() });
    take_heads(&mut outbox, Lane::Urgent);
    assert_eq!(take_heads(&mut outbox, Lane::Normal).len(), HEADER_BYTES + 3 + 8 + 5);
    assert!(take_heads(&mut outbox, Lane::Normal).is_empty() && !outbox.is_empty());
    outbox.done(Lane::Urgent, 0);
    assert_eq!(take_heads(&mut outbox, Lane::Normal)[6], frame::GOODBYE);
    assert!(outbox.is_empty());
}

/// FR-4
#[test]
fn fr4_one_frame_with_bulk_too_many_is_a_violation() {
    let mut assembler = Assembler::default();
    let mut outbox = Outbox::new();
    for call in 1..=BULK_FRAMES_MAX as u64 {
        outbox.push(large(call, 0));
    }
    arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)).unwrap();
    assert!(!assembler.has_room(Lane::Normal) && assembler.has_room(Lane::Urgent));
    let mut hostile = Outbox::new();
    hostile.push(large(99, 0));
    let refused = arrive(&mut assembler, &take_heads(&mut hostile, Lane::Normal));
    assert_eq!(refused, Err(Violation::TooManyBulkFrames { limit: BULK_FRAMES_MAX }));
}

/// FR-4
#[test]
fn fr4_frames_held_without_end_are_a_violation() {
    let mut assembler = Assembler::default();
    let mut outbox = Outbox::new();
    outbox.push(large(5, 0));
    arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)).unwrap();
    let cancel = Header::control(frame::CANCEL, 5).to_bytes();
    for _ in 1..HELD_FRAMES_MAX {
        assert_eq!(arrive(&mut assembler, &cancel), Ok(vec![]));
    }
    assert!(!assembler.has_room(Lane::Normal));
    let refused = arrive(&mut assembler, &cancel);
    assert_eq!(refused, Err(Violation::TooManyHeldFrames { limit: HELD_FRAMES_MAX }));
}

/// FR-4
#[test]
fn fr4_one_item_too_many_is_a_violation() {
    let mut assembler = Assembler::default();
    let mut outbox = Outbox::new();
    outbox.push(frame_of(Lane::Normal, 1, 0, 0, &[BULK_MIN; BULK_ITEMS_MAX + 1]));
    arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)).unwrap();
    let item = |item: usize| ItemId { lane: Lane::Normal, frame: 0, item: item as u32 };
    for at in 1..=BULK_ITEMS_MAX {
        assembler.extend(item(at), b"x").unwrap();
    }
    let refused = assembler.extend(item(BULK_ITEMS_MAX + 1), b"x");
    assert!(matches!(
        refused,
        Err(LinkError::Violation(Violation::TooManyBulkItems { limit: BULK_ITEMS_MAX }))
    ));
    assembler.extend(item(1), &[0; BULK_MIN - 1]).unwrap();
    assembler.extend(item(BULK_ITEMS_MAX + 1), b"x").expect("one is finished");
}

/// FR-4
#[test]
fn fr4_bytes_that_nobody_announced_are_violations() {
    let mut assembler = Assembler::default();
    let mut outbox = Outbox::new();
    outbox.push(large(1, 0));
    arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)).unwrap();
    let normal = |frame, item| ItemId { lane: Lane::Normal, frame, item };
    let stranger = ItemId { lane: Lane::Urgent, frame: 0, item: 1 };
    for item in [normal(0, 0), normal(0, 2), normal(1, 1), stranger] {
        let unannounced = Violation::UnannouncedBulk { frame: item.frame, item: item.item };
        assert!(matches!(assembler.extend(item, b"x"), Err(LinkError::Violation(it)) if it == unannounced));
    }
    let too_long = assembler.extend(normal(0, 1), &[0; BULK_MIN + 1]);
    assert!(matches!(too_long, Err(LinkError::Violation(Violation::BulkTooLong { frame: 0, item: 1 }))));
    assembler.extend(normal(0, 1), &[0; BULK_MIN]).unwrap();
    assert!(assembler.extend(normal(0, 1), b"x").is_err(), "it is whole");
    let header = Header { method: 1 << 32, ..normal(0, 1).header(5) };
    assert!(ItemId::from_header(&header).is_err());
}

/// FR-5
#[test]
fn fr5_an_item_costs_nothing_before_its_first_byte_and_its_memory_may_be_refused() {
    let mut assembler = Assembler::default();
    let header = Header { part_count: 2, ..Header::control(REQUEST, 1) };
    let lengths = [1_u64 << 62, 1 << 40];
    let head = [&header.to_bytes()[..], &lengths[0].to_le_bytes(), &lengths[1].to_le_bytes()].concat();
    let limits = FrameLimits { message_bytes_max: u64::MAX, parts_max: 2 };
    let head = HeadDecoder::new(limits).decode(&mut BytesMut::from(&head[..])).unwrap().unwrap();
    assert!(assembler.head(head).unwrap().is_none());
    assert_eq!(assembler.capacity_of_items(), 0);
    let refused = assembler.extend(ItemId { lane: Lane::Normal, frame: 0, item: 1 }, b"x");
    assert!(matches!(refused, Err(LinkError::OutOfMemory(_))));
}

#[test]
fn parts_and_payload_that_travel_beside_are_aligned() {
    let mut assembler = Assembler::default();
    let mut outbox = Outbox::new();
    outbox.push(frame_of(Lane::Normal, 1, 0, BULK_MIN, &[BULK_MIN, 3]));
    arrive(&mut assembler, &take_heads(&mut outbox, Lane::Normal)).unwrap();
    let bulk = outbox.take_bulk(Lane::Normal).unwrap();
    for (item, bytes) in bulk.items.iter().rev() {
        assembler.extend(*item, bytes).unwrap();
    }
    let Body { payload, parts } = assembler.next().unwrap().body;
    assert!(payload.as_ptr().addr().is_multiple_of(64) && parts[0].as_ptr().addr().is_multiple_of(64));
    assert_eq!((payload[0], parts[0][0], parts[1][0]), (0, 1, 2));
}

/// The wire format of what travels beside frames.
#[test]
fn the_bytes_of_a_header_of_bulk_and_of_a_mark_are_pinned() {
    let item = ItemId { lane: Lane::Normal, frame: 0x0807_0605_0403_0201, item: 0x1413_1211 };
    let header = item.header(0x2423_2221);
    #[rustfmt::skip]
    assert_eq!(header.to_bytes(), [
        0x21, 0x22, 0x23, 0x24,  0, 0,  0x08,  1,
        1, 2, 3, 4, 5, 6, 7, 8,
        0x11, 0x12, 0x13, 0x14, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    assert_eq!(ItemId::from_header(&header), Ok(item));
    let mark = outbox::mark(Lane::Urgent, 0x0807_0605_0403_0201);
    #[rustfmt::skip]
    assert_eq!(mark.to_bytes(), [
        0, 0, 0, 0,  0, 0,  0x09,  0,
        1, 2, 3, 4, 5, 6, 7, 8,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    ]);
}
