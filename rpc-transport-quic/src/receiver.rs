//! [`QuicReceiver`]: the reading end. Streams of the connection into frames.
//!
//! ```text
//!  accepted stream ─► its prelude ─┬─► lane: bytes ─► HeadDecoder ─► Assembler ─► frames
//!                                  └─► item: left unread until it is announced, then ─► Assembler
//! ```
//! Lanes are read before items, but after [`HEADS_BEFORE_ITEMS`] heads the items have a turn. Streams are
//! accepted until both lanes are there, and from then on only while an announced item is missing, so that
//! a peer gains nothing by opening more: what it sends on them stays within its window, unread.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, ConnectionError, RecvStream};
use rpc_core::framing::{Assembler, HeadDecoder, ItemId, Lane};
use rpc_core::{Frame, FrameLimits, LinkError, LinkReceiver, Violation};

use crate::bounds::{HEADS_BEFORE_ITEMS, INPUT_KEPT_BYTES, INPUT_MAX_BYTES, ITEM_TURN_BYTES, READ_CHUNKS};
use crate::end::{self, End};
use crate::link::{Reading, Shared};
use crate::wire::{self, Kind};

type Accepting = Pin<Box<dyn Future<Output = Result<RecvStream, ConnectionError>> + Send>>;

/// The reading end of a QUIC link.
pub(crate) struct QuicReceiver {
    shared: Arc<Shared>,
    streams: Streams,
    assembler: Assembler,
    limits: FrameLimits,
    /// Heads since the items had their turn.
    heads: u32,
    /// Set once, and returned from then on.
    end: Option<Result<(), LinkError>>,
}

/// The streams that the peer has opened.
struct Streams {
    accepting: Accepting,
    /// Those whose prelude has not come. Bounded by what the peer may open.
    unknown: Vec<Unknown>,
    lanes: [Option<LaneIn>; 2],
    items: Vec<ItemIn>,
}

struct Unknown {
    stream: RecvStream,
    /// What has come of the prelude.
    prelude: BytesMut,
}

struct LaneIn {
    stream: RecvStream,
    input: BytesMut,
    decoder: HeadDecoder,
    ended: bool,
}

struct ItemIn {
    item: ItemId,
    stream: RecvStream,
    /// What came with the prelude.
    first: Bytes,
}

/// What a look at a stream has brought.
enum Read {
    Bytes,
    Nothing,
    End,
}

impl QuicReceiver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let streams = Streams {
            accepting: accept(shared.connection()),
            unknown: Vec::new(),
            lanes: [None, None],
            items: Vec::new(),
        };
        let limits = FrameLimits::HANDSHAKE;
        Self { shared, streams, assembler: Assembler::default(), limits, heads: 0, end: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Stop>> {
        loop {
            if self.shared.is_cut() {
                return Poll::Ready(Ok(None));
            }
            if let Some(frame) = self.assembler.next() {
                return Poll::Ready(Ok(Some(frame)));
            }
            // What is in the buffers first: to ask a stream costs more than to decode a head.
            if self.heads < HEADS_BEFORE_ITEMS {
                for lane in Lane::ALL {
                    if let Some(frame) = self.decode(lane)? {
                        return Poll::Ready(Ok(Some(frame)));
                    }
                }
            }
            let mut progress = self.heads >= HEADS_BEFORE_ITEMS;
            self.heads = 0;
            for lane in Lane::ALL {
                progress |= self.read_lane(lane, cx)?;
            }
            progress |= self.accept_streams(cx)?;
            progress |= self.read_items(cx)?;
            if self.has_ended() {
                return Poll::Ready(Ok(None));
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Takes heads of `lane` off its buffer until one makes a frame whole.
    fn decode(&mut self, lane: Lane) -> Result<Option<Frame>, Stop> {
        let Some(reading) = &mut self.streams.lanes[lane as usize] else { return Ok(None) };
        while self.assembler.has_room(lane) {
            let Some(head) = reading.decoder.decode(&mut reading.input)? else { return Ok(None) };
            self.heads += 1;
            if let Some(frame) = self.assembler.head(head)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Reads what has come of `lane`, if there is room for what it may be. Says whether there was any.
    fn read_lane(&mut self, lane: Lane, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let Some(reading) = &mut self.streams.lanes[lane as usize] else { return Ok(false) };
        if reading.ended || reading.input.len() >= INPUT_MAX_BYTES || !self.assembler.has_room(lane) {
            return Ok(false);
        }
        let input = &mut reading.input;
        let read = read(&mut reading.stream, cx, |bytes| {
            input.extend_from_slice(bytes);
            Ok(())
        });
        match read? {
            Read::Bytes => Ok(true),
            Read::Nothing => {
                // A large buffer is not kept for nothing.
                if reading.input.is_empty() && reading.input.capacity() > INPUT_KEPT_BYTES {
                    reading.input = BytesMut::new();
                }
                Ok(false)
            }
            Read::End if reading.decoder.is_between_heads() && reading.input.is_empty() => {
                reading.ended = true;
                Ok(true)
            }
            Read::End => Err(Stop::Error(end::in_the_middle())),
        }
    }

    /// Accepts streams while one is awaited, and looks at the preludes of those that are there. Says whether
    /// one is new to lanes or items.
    fn accept_streams(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let streams = &mut self.streams;
        if !streams.are_awaited(&self.assembler) {
            return Ok(false);
        }
        while let Poll::Ready(accepted) = streams.accepting.as_mut().poll(cx) {
            let stream = accepted.map_err(|lost| Stop::End(end::of_connection(&lost)))?;
            streams.accepting = accept(self.shared.connection());
            streams.unknown.push(Unknown { stream, prelude: BytesMut::new() });
        }
        let mut known = false;
        let mut at = 0;
        while let Some(unknown) = streams.unknown.get_mut(at) {
            let Some(kind) = unknown.poll_kind(cx)? else {
                at += 1;
                continue;
            };
            let Unknown { stream, prelude: rest } = streams.unknown.swap_remove(at);
            known = true;
            match kind {
                Kind::Lane(lane) if streams.lanes[lane as usize].is_some() => {
                    return Err(Violation::LaneTwice.into());
                }
                Kind::Lane(lane) => {
                    let decoder = HeadDecoder::new(self.limits);
                    streams.lanes[lane as usize] =
                        Some(LaneIn { stream, input: rest, decoder, ended: false });
                }
                Kind::Item(item) => streams.items.push(ItemIn { item, stream, first: rest.freeze() }),
            }
        }
        Ok(known)
    }

    /// Reads what has come of announced items. Says whether there was any.
    fn read_items(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let Self { streams, assembler, .. } = self;
        let mut progress = false;
        let mut at = 0;
        let mut left = ITEM_TURN_BYTES;
        while let Some(reading) = streams.items.get_mut(at) {
            let item = reading.item;
            if left == 0 {
                // The connection's own task has to run to bring more.
                cx.waker().wake_by_ref();
                break;
            }
            if !assembler.is_announced(item.lane, item.frame) {
                at += 1;
                continue;
            }
            let first = std::mem::take(&mut reading.first);
            assembler.extend(item, &first)?;
            let got = read(&mut reading.stream, cx, |bytes| {
                left = left.saturating_sub(bytes.len());
                Ok(assembler.extend(item, bytes)?)
            })?;
            match got {
                Read::Bytes => progress = true,
                Read::Nothing => {
                    progress |= !first.is_empty();
                    at += 1;
                }
                Read::End => {
                    streams.items.swap_remove(at);
                    if assembler.missing(item).is_ok() {
                        return Err(Stop::Error(end::in_the_middle()));
                    }
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    /// Whether the peer has ended the link in an orderly way.
    fn has_ended(&self) -> bool {
        let ended = |lane: &Option<LaneIn>| lane.as_ref().is_some_and(|lane| lane.ended);
        self.streams.lanes.iter().all(ended) && self.assembler.is_idle()
    }

    /// Whether the link may end here without losing part of a frame.
    fn at_boundary(&self) -> bool {
        let between = |lane: &LaneIn| lane.decoder.is_between_heads() && lane.input.is_empty();
        self.streams.lanes.iter().flatten().all(between) && self.assembler.is_idle()
    }

    /// What the end of the connection means.
    fn at_end(&self, end: End) -> Result<Option<Frame>, LinkError> {
        match (self.shared.failure(), end) {
            (Some(failure), _) => Err(failure),
            (None, _) if self.shared.is_cut() => Ok(None),
            (None, End::Closed) if self.at_boundary() => Ok(None),
            (None, End::Closed) => Err(end::in_the_middle()),
            (None, End::Failed(error)) => Err(error),
        }
    }
}

impl Streams {
    /// Whether a stream that is not known yet is needed.
    fn are_awaited(&self, assembler: &Assembler) -> bool {
        self.lanes.iter().any(Option::is_none) || !assembler.is_idle()
    }
}

impl Unknown {
    /// Reads the prelude. `self.prelude` is what came behind it then.
    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Result<Option<Kind>, Stop> {
        loop {
            if let Some((kind, len)) = wire::kind(&self.prelude)? {
                let _ = self.prelude.split_to(len);
                return Ok(Some(kind));
            }
            let prelude = &mut self.prelude;
            match read(&mut self.stream, cx, |bytes| {
                prelude.extend_from_slice(bytes);
                Ok(())
            })? {
                Read::Bytes => {}
                Read::Nothing => return Ok(None),
                Read::End => {
                    return Err(
                        Violation::UnknownStream(self.prelude.first().copied().unwrap_or(0xff)).into()
                    );
                }
            }
        }
    }
}

/// Takes what has come on `stream`, at most [`READ_CHUNKS`] datagrams of it.
fn read(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
    mut take: impl FnMut(&[u8]) -> Result<(), Stop>,
) -> Result<Read, Stop> {
    let mut chunks = [const { Bytes::new() }; READ_CHUNKS];
    let got = pin!(stream.read_chunks(&mut chunks)).poll(cx);
    match got {
        Poll::Pending => Ok(Read::Nothing),
        Poll::Ready(Err(error)) => Err(Stop::End(end::of_read(error))),
        Poll::Ready(Ok(None)) => Ok(Read::End),
        Poll::Ready(Ok(Some(count))) => {
            chunks[..count].iter().try_for_each(|chunk| take(chunk))?;
            Ok(Read::Bytes)
        }
    }
}

fn accept(connection: &Connection) -> Accepting {
    let connection = connection.clone();
    Box::pin(async move { connection.accept_uni().await })
}

/// Why there is no further frame.
enum Stop {
    /// Of the stream or the connection.
    End(End),
    Error(LinkError),
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        Self::Error(error)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Error(violation.into())
    }
}

impl LinkReceiver for QuicReceiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let received = match ready!(self.poll_frame(cx)) {
            Ok(received) => Ok(received),
            Err(Stop::End(end)) => self.at_end(end),
            Err(Stop::Error(error)) => Err(error),
        };
        let end = match &received {
            Ok(Some(_)) => return Poll::Ready(received),
            Ok(None) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        // After a violation the peer may go on sending, so its end has not been seen.
        let reading = if matches!(end, Err(LinkError::Violation(_) | LinkError::OutOfMemory(_))) {
            Reading::Abandoned
        } else {
            Reading::Ended
        };
        self.shared.reading.send_replace(reading);
        self.end = Some(end);
        self.assembler = Assembler::default();
        Poll::Ready(received)
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
        self.streams.lanes.iter_mut().flatten().for_each(|lane| lane.decoder.set_limits(limits));
    }
}

impl Drop for QuicReceiver {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.shared.reading.send_replace(Reading::Abandoned);
        }
    }
}

impl std::fmt::Debug for QuicReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicReceiver")
            .field("assembler", &self.assembler)
            .field("items", &self.streams.items.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
