//! The shared state of one link, and who writes.
//!
//! Writing to a stream of the connection is a copy of small bytes, or the handing over of large ones, and never
//! a system call: the connection's own task puts them on the wire. So whoever sends writes heads itself, under
//! the lock, and nobody but the connection's task has to be woken. What a full window leaves behind, and all
//! bulk, is written by the link's task, which the connection wakes when there is room.
//!
//! ```text
//!  send(Now), flush() ──► lanes, unless the task waits for room there
//!  send(Soon), bulk ────► wakes the task ──► lanes, then items
//! ```
//! A caller has no waker to leave with a stream. When it finds one full it marks the lane as blocked and wakes
//! the task, which tries again with its own waker; until that has succeeded no caller touches the lane, so
//! that the task's waker stays where it is.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use quinn::{Connection, WriteError};
use rpc_core::framing::{Lane, Outbox};
use rpc_core::{Close, Flush, Frame, LinkClosed, LinkError};
use tokio::sync::watch;

use crate::bounds::{LANE_RESERVE, SEND_WINDOW};
use crate::end::{self, Code};
use crate::items::Items;
use crate::lanes::LaneOut;

/// What the sender, the receiver and the task of one link share.
pub(crate) struct Shared {
    connection: Connection,
    write: Mutex<WriteState>,
    /// Bytes in `write` that the connection has not taken. Written under its lock only, read without.
    queued: AtomicU64,
    /// Frames that have been sent. Written under the lock of `write` only.
    sent: AtomicU64,
    /// The receiver is to end at its next poll, whatever has arrived.
    cut: AtomicBool,
    /// Where the receiver stands; the task waits for its end after an orderly close.
    pub(crate) reading: watch::Sender<Reading>,
    /// Whether everything that will be written has arrived, or the link is down.
    pub(crate) write_ended: watch::Sender<bool>,
}

struct WriteState {
    outbox: Outbox,
    lanes: [LaneOut; 2],
    items: Items,
    phase: Phase,
    /// Whether the lanes have been given [`LANE_RESERVE`] beyond what items may use.
    reserve_open: bool,
    /// Why the link is closed, if not by request.
    failure: Option<LinkError>,
    /// The task's, while it waits.
    task: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes no more frames; writes what it has.
    Draining,
    Closed,
}

/// Where the receiver stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// More may come.
    Open,
    /// The peer's end, or an error.
    Ended,
    /// Nobody reads any more, and the peer's end was not seen.
    Abandoned,
}

/// How a turn of the task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The link drains from now on.
    Draining,
    /// The link drains, and the connection has taken everything.
    Drained,
    /// The link is closed.
    Closed,
}

/// How long a turn of the task goes on, if the link does not end before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Draining,
    Drained,
}

impl Shared {
    /// A link over `connection`, with the streams of its two lanes.
    pub(crate) fn new(connection: Connection, lanes: [LaneOut; 2]) -> Self {
        Self {
            write: Mutex::new(WriteState {
                outbox: Outbox::for_many_streams(),
                lanes,
                items: Items::new(connection.clone()),
                phase: Phase::Open,
                reserve_open: false,
                failure: None,
                task: None,
            }),
            connection,
            queued: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            reading: watch::Sender::new(Reading::Open),
            write_ended: watch::Sender::new(false),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where the peer is now; it may have moved.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Datagrams of this connection that have come so far.
    pub(crate) fn datagrams_received(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    pub(crate) fn frames_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// The caller has the lock of `write`, so that a plain store is enough.
    fn set_queued(&self, bytes: u64) {
        self.queued.store(bytes, Ordering::Relaxed);
    }

    /// Whether the receiver has to end at once.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Why the link failed, if it did.
    pub(crate) fn failure(&self) -> Option<LinkError> {
        self.write.lock().failure.clone()
    }

    pub(crate) fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        let mut state = self.write.lock();
        if state.phase != Phase::Open {
            drop(state);
            return Err(LinkClosed);
        }
        let bytes = state.outbox.push(frame);
        self.set_queued(self.queued_bytes() + bytes);
        self.sent.store(self.frames_sent() + 1, Ordering::Relaxed);
        match flush {
            Flush::Now => self.write_as_caller(state),
            Flush::Later => {}
            // `Flush` may grow; gathering is right for whatever is not known here.
            _ => wake(state),
        }
        Ok(())
    }

    pub(crate) fn flush(&self) {
        self.write_as_caller(self.write.lock());
    }

    pub(crate) fn close(&self, when: Close) {
        let mut state = self.write.lock();
        match when {
            Close::AfterQueued => {
                if state.phase == Phase::Open {
                    state.phase = Phase::Draining;
                    wake(state);
                }
            }
            Close::Now => {
                self.cut.store(true, Ordering::Release);
                self.end(state, None, Some((Code::Orderly, "")));
            }
        }
    }

    /// Ends the link because of `error`. The receiver still gets what has arrived, then `error`.
    pub(crate) fn fail(&self, error: LinkError) {
        let text = error.to_string();
        self.end(self.write.lock(), Some(error), Some((Code::Failed, &text)));
    }

    /// The connection has ended, which the receiver sees by itself when it has read what arrived.
    pub(crate) fn lost(&self) {
        self.end(self.write.lock(), None, None);
    }

    /// Ends the receiver's wait for the peer's end, and the connection.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.close_connection(Code::Orderly, "");
    }

    /// Does nothing if it has ended already, whose reason would be lost.
    fn close_connection(&self, code: Code, why: &str) {
        if self.connection.close_reason().is_none() {
            self.connection.close(code.into(), end::reason(why));
        }
    }

    /// Marks the link as closed after everything has arrived.
    pub(crate) fn finish_writing(&self) {
        self.write.lock().phase = Phase::Closed;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.write.lock().phase == Phase::Closed
    }

    fn write_as_caller(&self, mut guard: MutexGuard<'_, WriteState>) {
        let state = &mut *guard;
        if state.phase == Phase::Closed {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut written = 0;
        let mut left_behind = false;
        for (lane, out) in Lane::ALL.into_iter().zip(&mut state.lanes) {
            if !out.is_blocked() {
                let wrote = out.poll_write(lane, &mut state.outbox, &mut cx, &mut written);
                // Errors too are the task's business.
                left_behind |= !matches!(wrote, Poll::Ready(Ok(())));
                left_behind |= state.items.take(lane, &mut state.outbox);
            }
        }
        self.set_queued(self.queued_bytes().saturating_sub(written));
        if left_behind {
            wake(guard);
        }
    }

    /// A turn of the task: writes what there is room for.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, until: Until) -> Poll<Turn> {
        let mut state = self.write.lock();
        match state.phase {
            Phase::Closed => return Poll::Ready(Turn::Closed),
            Phase::Draining if until == Until::Draining => return Poll::Ready(Turn::Draining),
            Phase::Open | Phase::Draining => {}
        }
        let mut written = 0;
        let turn = self.write_some(&mut state, cx, &mut written);
        self.set_queued(self.queued_bytes().saturating_sub(written));
        match turn {
            // The peer reads no more. Its own frames may still come.
            Err(WriteError::Stopped(_)) => {
                self.end(state, None, None);
                Poll::Ready(Turn::Closed)
            }
            // Whoever waits for the connection's end says why.
            Err(_) => Poll::Ready(Turn::Closed),
            Ok(true) if state.phase == Phase::Draining => Poll::Ready(Turn::Drained),
            Ok(_) => {
                state.task = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Returns whether nothing is left to write.
    fn write_some(
        &self,
        state: &mut WriteState,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Result<bool, WriteError> {
        loop {
            let WriteState { outbox, lanes, items, reserve_open, .. } = state;
            let mut drained = true;
            for (lane, out) in Lane::ALL.into_iter().zip(lanes) {
                let mut wrote = out.poll_write(lane, outbox, cx, written);
                if wrote.is_pending() && !*reserve_open {
                    // Items have used up what they may; what is beyond that is for the lanes.
                    *reserve_open = true;
                    self.connection.set_send_window(SEND_WINDOW + LANE_RESERVE);
                    wrote = out.poll_write(lane, outbox, cx, written);
                }
                match wrote {
                    Poll::Ready(result) => result?,
                    Poll::Pending => drained = false,
                }
                items.take(lane, outbox);
            }
            if *reserve_open && drained {
                *reserve_open = false;
                self.connection.set_send_window(SEND_WINDOW);
            }
            // Frames that have waited for items that have arrived may leave now.
            if !(items.is_busy() && items.poll_write(outbox, cx, written)?) {
                return Ok(drained && !items.is_writing() && outbox.is_empty());
            }
        }
    }

    /// Ends both lanes; the items have arrived by then. Resolves when the peer has all of it.
    pub(crate) fn finish_lanes(&self) -> impl Future<Output = ()> + use<> {
        let [urgent, normal] = self.write.lock().lanes.each_mut().map(LaneOut::finish);
        async move {
            urgent.await;
            normal.await;
        }
    }

    fn end(
        &self,
        mut state: MutexGuard<'_, WriteState>,
        failure: Option<LinkError>,
        close: Option<(Code, &str)>,
    ) {
        if state.phase != Phase::Closed {
            state.phase = Phase::Closed;
            state.failure = failure;
        }
        // Before the streams are dropped, which would otherwise end in an orderly way in the middle of an item.
        if let Some((code, why)) = close {
            self.close_connection(code, why);
        }
        state.outbox = Outbox::for_many_streams();
        state.items = Items::new(self.connection.clone());
        state.lanes.iter_mut().for_each(LaneOut::clear);
        self.set_queued(0);
        wake(state);
    }
}

/// Wakes the task, without the lock.
fn wake(mut state: MutexGuard<'_, WriteState>) {
    let task = state.task.take();
    drop(state);
    if let Some(task) = task {
        task.wake();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Shared");
        f.field("remote", &self.remote()).field("queued", &self.queued_bytes());
        if let Some(state) = self.write.try_lock() {
            f.field("phase", &state.phase).field("items", &state.items);
            f.field("blocked", &state.lanes.each_ref().map(LaneOut::is_blocked));
        }
        f.finish_non_exhaustive()
    }
}
