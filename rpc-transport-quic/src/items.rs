//! Bulk items on their way out: each has a stream of its own, so that neither a lost packet nor the size of one
//! holds up anything else.
//!
//! # Why flow control cannot deadlock
//! A receiver reads an item only when it has the head that announces it, and items that it does not read use up
//! its link's window. So a head must never need room that unread items hold. It does not: the connection counts
//! bytes against the peer's windows when they are *written*, and an item's stream is opened after all of its
//! head has been written to its lane. Whatever items hold of the window when a head is late, lost or
//! reordered, the head has its share already, and is repeated without asking for another. Heads that have not
//! been written yet announce items that are not open yet. The receiver reads both lanes always, and every
//! item that is announced; what it may leave unread are heads when it has as many unfinished frames as are
//! allowed (`has_room`), and those it finishes by reading items that are announced.
//!
//! # What is in the way of what
//! At most [`BULK_ITEMS_MAX`] items have streams, counting those that have not been acknowledged, and take
//! turns. They share the room that the connection has for unacknowledged bytes, of which the lanes have a
//! reserve that items cannot use ([`link`](crate::link)).

use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, SendStream, WriteError};
use rpc_core::framing::{BULK_ITEMS_MAX, BulkFrame, ItemId, Lane, Outbox};

use crate::bounds::PIECE_BYTES;
use crate::wire;

type Opening = Pin<Box<dyn Future<Output = Result<SendStream, ConnectionError>> + Send>>;
/// Resolves when all of a stream has been acknowledged, or never will be.
type Arrival = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The items of one link that have left its outbox.
pub(crate) struct Items {
    connection: Connection,
    /// Frames of each lane, with the items that have no stream yet. As many as the framing allows.
    waiting: [VecDeque<BulkFrame>; 2],
    opening: Option<Opening>,
    writing: VecDeque<Writing>,
    arriving: Vec<(ItemId, Arrival)>,
    /// Items of each frame that have not arrived.
    frames: Vec<(Lane, u64, usize)>,
}

/// An item with a stream.
struct Writing {
    item: ItemId,
    stream: SendStream,
    /// What is left of the prelude.
    prelude: Bytes,
    bytes: Bytes,
    written: usize,
}

impl Items {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            waiting: Default::default(),
            opening: None,
            writing: VecDeque::new(),
            arriving: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Takes the bulk of heads that have been written. Says whether there is any.
    pub(crate) fn take(&mut self, lane: Lane, outbox: &mut Outbox) -> bool {
        let mut any = false;
        while let Some(bulk) = outbox.take_bulk(lane) {
            self.frames.push((bulk.lane, bulk.number, bulk.items.len()));
            self.waiting[lane as usize].push_back(bulk);
            any = true;
        }
        any
    }

    /// Whether an item has not arrived.
    pub(crate) fn is_busy(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Whether bytes of an item have not been written.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writing.is_empty() || self.waiting.iter().any(|frames| !frames.is_empty())
    }

    /// Goes on where it can; registers for the rest. Adds to `written` the bytes that the connection has taken, and
    /// says whether frames have arrived, so that others may leave the outbox.
    pub(crate) fn poll_write(
        &mut self,
        outbox: &mut Outbox,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Result<bool, WriteError> {
        loop {
            self.poll_open(cx)?;
            if !self.write_in_turn(cx, written)? {
                break;
            }
        }
        Ok(self.poll_arrivals(outbox, cx))
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Result<(), WriteError> {
        while self.writing.len() + self.arriving.len() < BULK_ITEMS_MAX
            && self.waiting.iter().any(|frames| !frames.is_empty())
        {
            let opening = self.opening.get_or_insert_with(|| {
                let connection = self.connection.clone();
                Box::pin(async move { connection.open_uni().await })
            });
            let Poll::Ready(opened) = opening.as_mut().poll(cx) else { return Ok(()) };
            self.opening = None;
            let stream = opened.map_err(WriteError::ConnectionLost)?;
            let Some((item, bytes)) = self.next_item() else { return Ok(()) };
            let prelude = Bytes::copy_from_slice(&wire::item_prelude(item));
            self.writing.push_back(Writing { item, stream, prelude, bytes, written: 0 });
        }
        Ok(())
    }

    /// The urgent lane's first.
    fn next_item(&mut self) -> Option<(ItemId, Bytes)> {
        let frames = self.waiting.iter_mut().find(|frames| !frames.is_empty())?;
        let frame = frames.front_mut()?;
        let item = frame.items.pop_front();
        if frame.items.is_empty() {
            frames.pop_front();
        }
        item
    }

    /// One piece of each item. Says whether it makes sense to go on.
    fn write_in_turn(&mut self, cx: &mut Context<'_>, written: &mut u64) -> Result<bool, WriteError> {
        let mut progress = false;
        for _ in 0..self.writing.len() {
            let Some(mut writing) = self.writing.pop_front() else { break };
            match writing.poll_piece(cx, written) {
                Poll::Pending => self.writing.push_back(writing),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if writing.is_done() => {
                    let _ = writing.stream.finish();
                    let stopped = writing.stream.stopped();
                    let arrival = Box::pin(async move {
                        let _ = stopped.await;
                    });
                    self.arriving.push((writing.item, arrival));
                    progress = true;
                }
                Poll::Ready(Ok(())) => {
                    self.writing.push_back(writing);
                    progress = true;
                }
            }
        }
        Ok(progress)
    }

    fn poll_arrivals(&mut self, outbox: &mut Outbox, cx: &mut Context<'_>) -> bool {
        let mut freed = false;
        let frames = &mut self.frames;
        self.arriving.retain_mut(|(item, arrival)| {
            if arrival.as_mut().poll(cx).is_pending() {
                return true;
            }
            let of_item =
                |(lane, number, _): &(Lane, u64, usize)| *lane == item.lane && *number == item.frame;
            if let Some(at) = frames.iter().position(of_item) {
                frames[at].2 -= 1;
                if frames[at].2 == 0 {
                    frames.swap_remove(at);
                    outbox.done(item.lane, item.frame);
                    freed = true;
                }
            }
            false
        });
        freed
    }
}

impl Writing {
    fn is_done(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>, written: &mut u64) -> Poll<Result<(), WriteError>> {
        let end = self.bytes.len().min(self.written + PIECE_BYTES);
        let mut chunks = [self.prelude.clone(), self.bytes.slice(self.written..end)];
        let taken = std::task::ready!(pin!(self.stream.write_chunks(&mut chunks)).poll(cx))?;
        let of_prelude = taken.bytes.min(self.prelude.len());
        self.prelude = self.prelude.slice(of_prelude..);
        self.written += taken.bytes - of_prelude;
        *written += (taken.bytes - of_prelude) as u64;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("frames", &self.frames.len())
            .field("writing", &self.writing.len())
            .field("arriving", &self.arriving.len())
            .finish_non_exhaustive()
    }
}
