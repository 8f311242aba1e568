//! The shared state of one link, and the rule of who writes.
//!
//! At most one thread writes at a time, without holding the lock while it does:
//!
//! ```text
//!            Flush::Now, flush()                      nothing queued any more
//!   Idle ───────────────────────────► Caller ────────────────────────────────► Idle
//!    │                                  ▲ │ socket full, or enough written
//!    │ Flush::Soon                      │ ▼
//!    └────────────► Scheduled ──────────┴─► Flusher ─────────────────────────► Idle
//!                              the flusher task wakes   nothing queued any more
//! ```
//!
//! Everybody else only queues. Nothing is forgotten, because a writer gives up its role only under the lock
//! and only after it has seen the queue empty under that same lock.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rpc_core::framing::Batch;
use rpc_core::{Close, Flush, Frame, LinkClosed, LinkError, WriteMark};
use tokio::sync::{Notify, watch};

use crate::bounds::{INLINE_WRITE_BYTES, SLICES_MAX};
use crate::channel::Channel;
use crate::marks::Marks;
use crate::queue::Queue;
use crate::stream::WriteHalf;

/// What the sender, the receiver and the flusher of one link share.
///
/// It lies in memory in this order, and what each call looks at comes first: with many links and a call on each, what a
/// call costs is for a good part the number of cache lines that it touches.
#[repr(C)]
pub(crate) struct Shared {
    half: WriteHalf,
    channel: Channel,
    /// Bytes in `write` that the system has not taken. Written under its lock only, read without.
    queued: AtomicU64,
    /// The receiver is to end at its next poll, whatever has arrived.
    cut: AtomicBool,
    write: Mutex<WriteState>,
    /// Wakes the flusher.
    pub(crate) wake: Notify,
    /// Where the receiver stands; the flusher waits for its end after an orderly close.
    pub(crate) reading: watch::Sender<Reading>,
    /// Whether everything that will be written has been, and the write side is shut.
    pub(crate) write_ended: watch::Sender<bool>,
}

/// In this order in memory, as [`Shared`].
#[derive(Debug)]
#[repr(C)]
struct WriteState {
    writer: Writer,
    phase: Phase,
    queue: Queue,
    /// Of frames that are queued.
    marks: Marks,
    /// Belongs to the writer; empty unless the writer is the flusher and the socket is full.
    batch: Batch,
    /// Why the link is closed, if not by request.
    failure: Option<LinkError>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Nobody.
    Idle,
    /// Nobody, but the flusher has been woken to.
    Scheduled,
    /// A thread in `send` or `flush`.
    Caller,
    /// The flusher task.
    Flusher,
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

/// How a turn of writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Everything is written; nobody is the writer now.
    Idle,
    /// As `Idle`, and there will be nothing more.
    Drained,
    /// The socket is full.
    Blocked,
    /// The turn's share is used up and there is more.
    Unfinished,
    /// The link is closed.
    Closed,
}

impl Shared {
    pub(crate) fn new(half: WriteHalf, channel: Channel) -> Self {
        Self {
            half,
            channel,
            write: Mutex::new(WriteState {
                queue: Queue::new(),
                batch: Batch::default(),
                writer: Writer::Idle,
                phase: Phase::Open,
                marks: Marks::default(),
                failure: None,
            }),
            queued: AtomicU64::new(0),
            wake: Notify::new(),
            cut: AtomicBool::new(false),
            reading: watch::Sender::new(Reading::Open),
            write_ended: watch::Sender::new(false),
        }
    }

    pub(crate) fn socket(&self) -> &WriteHalf {
        &self.half
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

    /// Why writing failed, if it did.
    pub(crate) fn failure(&self) -> Option<LinkError> {
        self.write.lock().failure.clone()
    }

    pub(crate) fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed> {
        self.send_with(frame, flush, None)
    }

    pub(crate) fn send_marked(&self, frame: Frame, flush: Flush, mark: WriteMark) -> Result<(), LinkClosed> {
        self.send_with(frame, flush, Some(mark))
    }

    #[inline]
    fn send_with(&self, frame: Frame, flush: Flush, mark: Option<WriteMark>) -> Result<(), LinkClosed> {
        let mut state = self.write.lock();
        if state.phase != Phase::Open {
            drop(state);
            return Err(LinkClosed);
        }
        let bytes = state.queue.push(frame);
        self.set_queued(self.queued_bytes() + bytes);
        if let Some(mark) = mark {
            state.marks.add(self.queued_bytes(), mark);
        }
        match flush {
            Flush::Now => self.write_as_caller(state),
            Flush::Later => {}
            // `Flush` may grow; gathering is right for whatever is not known here.
            _ => self.schedule(state),
        }
        Ok(())
    }

    /// See [`LinkSender::carrier`](rpc_core::LinkSender::carrier).
    pub(crate) fn carrier(&self) -> &'static str {
        match (&self.half, &self.channel) {
            #[cfg(target_os = "linux")]
            (WriteHalf::Local(_), _) => "local",
            (WriteHalf::Tcp(_), Channel::Plain) => "tcp",
            #[cfg(feature = "tls")]
            (WriteHalf::Tcp(_), Channel::Tls(_)) => "tcp, encrypted",
        }
    }

    /// Has what the channel has to say for itself written, such as the answer to a change of keys.
    pub(crate) fn speak(&self) {
        if self.channel.has_pending() {
            self.flush();
        }
    }

    /// Writes what is queued. What was queued before shows in `queued`, and who queues meanwhile flushes for itself.
    pub(crate) fn flush(&self) {
        if self.queued_bytes() > 0 || self.channel.has_pending() {
            self.write_as_caller(self.write.lock());
        }
    }

    pub(crate) fn close(&self, when: Close) {
        let mut state = self.write.lock();
        match when {
            Close::AfterQueued => {
                if state.phase == Phase::Open {
                    state.phase = Phase::Draining;
                    self.schedule(state);
                    // The flusher may be waiting for a full socket, and has to watch the time from now on.
                    self.wake.notify_one();
                }
            }
            Close::Now => self.end(state, None),
        }
    }

    /// Ends the link because of `error`. The receiver still gets what has arrived, then `error`.
    pub(crate) fn fail(&self, error: LinkError) {
        self.end(self.write.lock(), Some(error));
    }

    /// Ends the receiver's wait for the peer's end, and everything else that goes on.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.shut(Shutdown::Both);
    }

    /// Shuts the socket. That wakes whoever waits for it.
    pub(crate) fn shut(&self, how: Shutdown) {
        if let Err(error) = self.half.shutdown(how)
            && error.kind() != io::ErrorKind::NotConnected
        {
            tracing::debug!(%error, "shutting a socket failed");
        }
    }

    fn schedule(&self, mut state: MutexGuard<'_, WriteState>) {
        if state.writer == Writer::Idle {
            state.writer = Writer::Scheduled;
            drop(state);
            self.wake.notify_one();
        }
    }

    fn write_as_caller(&self, mut state: MutexGuard<'_, WriteState>) {
        if !matches!(state.writer, Writer::Idle | Writer::Scheduled) || state.phase == Phase::Closed {
            return;
        }
        state.writer = Writer::Caller;
        match self.write_turn(&mut state, INLINE_WRITE_BYTES) {
            Turn::Blocked | Turn::Unfinished => state.writer = Writer::Flusher,
            Turn::Drained => {}
            Turn::Idle | Turn::Closed => return,
        }
        drop(state);
        self.wake.notify_one();
    }

    /// A turn of the flusher task: writes up to `bytes_max`, if nobody else does.
    pub(crate) fn write_as_flusher(&self, bytes_max: usize) -> Turn {
        let mut state = self.write.lock();
        match state.writer {
            _ if state.phase == Phase::Closed => Turn::Closed,
            Writer::Caller => Turn::Idle,
            Writer::Idle | Writer::Scheduled | Writer::Flusher => {
                state.writer = Writer::Flusher;
                self.write_turn(&mut state, bytes_max)
            }
        }
    }

    /// Writes until nothing is queued, the socket is full or `bytes_max` are written. The caller is the
    /// writer; the lock is released while the system copies.
    fn write_turn(&self, state: &mut MutexGuard<'_, WriteState>, bytes_max: usize) -> Turn {
        if let Some(turn) = self.write_lone(state) {
            return turn;
        }
        let mut batch = std::mem::take(&mut state.batch);
        let mut left = bytes_max;
        let turn = loop {
            if batch.is_empty() {
                let uncounted = state.queue.refill(&mut batch);
                self.set_queued(self.queued_bytes() + uncounted);
                if !state.marks.is_empty() {
                    state.marks.delayed(uncounted);
                }
                if batch.is_empty() && state.phase == Phase::Draining {
                    self.channel.end();
                }
                if batch.is_empty() && !self.channel.has_pending() {
                    state.writer = Writer::Idle;
                    break if state.phase == Phase::Draining { Turn::Drained } else { Turn::Idle };
                }
            }
            if left == 0 {
                break Turn::Unfinished;
            }
            let written = MutexGuard::unlocked(state, || {
                let written = self.write_some(&batch, left);
                if let Ok(len) = written {
                    batch.advance(len);
                }
                written
            });
            if state.phase == Phase::Closed {
                // Whoever closed it has settled `queued`.
                return Turn::Closed;
            }
            match written {
                Ok(len) => {
                    self.count_written(state, len);
                    left -= len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Turn::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.end_locked(state, Some(error.into()));
                    return Turn::Closed;
                }
            }
        };
        state.batch = batch;
        turn
    }

    /// The short way of [`write_turn`](Self::write_turn), for what is one run of bytes and is taken at once, as nearly all
    /// is. `None`: the long way goes on, from `state.batch`.
    fn write_lone(&self, state: &mut MutexGuard<'_, WriteState>) -> Option<Turn> {
        if state.phase != Phase::Open || !state.batch.is_empty() {
            return None;
        }
        let bytes = state.queue.take_lone()?;
        let written = MutexGuard::unlocked(state, || self.channel.write(&self.half, &[IoSlice::new(&bytes)]));
        if state.phase == Phase::Closed {
            // Whoever closed it has settled `queued`.
            return Some(Turn::Closed);
        }
        let len = match written {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => {
                self.end_locked(state, Some(error.into()));
                return Some(Turn::Closed);
            }
        };
        self.count_written(state, len);
        if len < bytes.len() {
            state.batch = Batch::rest_of(bytes, len);
            return None;
        }
        state.queue.reuse(bytes);
        if self.queued_bytes() > 0 || state.phase != Phase::Open || self.channel.has_pending() {
            return None;
        }
        state.writer = Writer::Idle;
        Some(Turn::Idle)
    }

    fn count_written(&self, state: &mut WriteState, len: usize) {
        self.set_queued(self.queued_bytes() - len as u64);
        if !state.marks.is_empty() {
            state.marks.written(len as u64);
        }
    }

    fn write_some(&self, batch: &Batch, bytes_max: usize) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let used = batch.slices(&mut slices, bytes_max);
        self.channel.write(&self.half, &slices[..used])
    }

    fn end(&self, mut state: MutexGuard<'_, WriteState>, failure: Option<LinkError>) {
        self.end_locked(&mut state, failure);
    }

    fn end_locked(&self, state: &mut WriteState, failure: Option<LinkError>) {
        let by_request = failure.is_none();
        if state.phase != Phase::Closed {
            state.phase = Phase::Closed;
            state.failure = failure;
            state.queue = Queue::new();
            state.batch = Batch::default();
            state.marks = Marks::default();
            self.set_queued(0);
        }
        if by_request {
            if matches!(state.writer, Writer::Idle | Writer::Scheduled) {
                // Nothing is under way, so this need not look like a line that was cut. It is as good if it does.
                self.channel.end();
                let _ = self.channel.write(&self.half, &[]);
            }
            self.cut();
        } else {
            self.shut(Shutdown::Both);
        }
        self.wake.notify_one();
    }

    /// Marks the link as closed after everything has been written.
    pub(crate) fn finish_writing(&self) {
        self.write.lock().phase = Phase::Closed;
        self.shut(Shutdown::Write);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.write.lock().phase == Phase::Draining
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("queued", &self.queued).finish_non_exhaustive()
    }
}
