//! [`TcpReceiver`]: the reading end, a [`Decoder`] fed from the socket.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use rpc_core::{Frame, FrameLimits, LinkError, LinkReceiver, PartPool};
use tokio::io::ReadBuf;

use crate::bounds::{BULK_TURN_BYTES, READ_BUFFER_BYTES};
use crate::channel::Source;
use crate::decoder::Decoder;
use crate::link::{Reading, Shared};
use crate::stream::ReadHalf;

/// Reads in a row that would have fitted half of the next smaller buffer before the buffer becomes that small.
const QUIET_READS: u8 = 16;

/// The reading end of a link.
#[derive(Debug)]
pub(crate) struct TcpReceiver {
    half: ReadHalf,
    source: Source,
    buffer: Buffer,
    decoder: Decoder,
    turn: Turn,
    shared: Arc<Shared>,
    /// Set once, and returned from then on.
    end: Option<Result<(), LinkError>>,
}

impl TcpReceiver {
    pub(crate) fn new(half: ReadHalf, source: Source, shared: Arc<Shared>, pool: PartPool) -> Self {
        let decoder = Decoder::with_pool(FrameLimits::HANDSHAKE, pool);
        Self { half, source, buffer: Buffer::default(), decoder, turn: Turn::default(), shared, end: None }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>> {
        loop {
            if self.shared.is_cut() {
                return Poll::Ready(Ok(None));
            }
            if let Some(frame) = self.decoder.decode(&mut self.buffer.bytes)? {
                self.turn.has_given = true;
                return Poll::Ready(Ok(Some(frame)));
            }
            let read = self.poll_read(cx);
            self.shared.speak();
            let read = match read {
                Poll::Pending => {
                    self.turn = Turn::default();
                    self.buffer.rest();
                    return Poll::Pending;
                }
                Poll::Ready(read) => read,
            };
            match read {
                Ok(0) => return Poll::Ready(self.at_end()),
                Ok(_) => {}
                Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(LinkError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(self.at_cut(LinkError::Io(error)));
                }
                Err(error) => {
                    if matches!(error, LinkError::Io(_)) {
                        self.shared.fail(error.clone());
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Reads once, to where the next bytes belong. A stream that has ended gives 0.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, LinkError>> {
        let half = &mut self.half;
        if let Some(spare) = self.decoder.direct()? {
            if self.turn.is_over() {
                return defer(cx);
            }
            let mut target = ReadBuf::uninit(spare);
            ready!(self.source.poll_read(half, cx, &mut target))?;
            let len = target.filled().len();
            // SAFETY: `ReadBuf` counts initialised bytes only, and they lie at the start of what `direct`
            // has returned; the decoder has not been used since.
            unsafe { self.decoder.filled(len) };
            self.turn.bulk_bytes += len;
            return Poll::Ready(Ok(len));
        }
        let wanted = self.decoder.wanted(&self.buffer.bytes);
        let few = self.decoder.expects_bulk();
        let spare = self.buffer.spare(wanted, few);
        let spare_len = spare.len();
        let mut target = ReadBuf::uninit(spare);
        ready!(self.source.poll_read(half, cx, &mut target))?;
        let len = target.filled().len();
        // SAFETY: `ReadBuf` counts initialised bytes only, and they lie at the start of the spare capacity.
        unsafe { self.buffer.bytes.advance_mut(len) };
        if !few {
            self.buffer.learn(len, spare_len);
        }
        Poll::Ready(Ok(len))
    }

    /// What it means that the socket has ended and the peer has not said that it would.
    fn at_cut(&self, error: LinkError) -> Result<Option<Frame>, LinkError> {
        if let Some(failure) = self.shared.failure() {
            Err(failure)
        } else if self.shared.is_cut() {
            Ok(None)
        } else {
            self.shared.fail(error.clone());
            Err(error)
        }
    }

    /// What the end of the stream means.
    fn at_end(&self) -> Result<Option<Frame>, LinkError> {
        if let Some(failure) = self.shared.failure() {
            Err(failure)
        } else if self.shared.is_cut() || self.decoder.at_boundary(&self.buffer.bytes) {
            Ok(None)
        } else {
            let text = "the peer ended in the middle of a frame";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into())
        }
    }
}

impl LinkReceiver for TcpReceiver {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let received = ready!(self.poll_frame(cx));
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
        self.buffer = Buffer::default();
        self.source.rest();
        self.decoder = Decoder::new(FrameLimits::HANDSHAKE);
        Poll::Ready(received)
    }

    fn set_limits(&mut self, limits: FrameLimits) {
        self.decoder.set_limits(limits);
    }
}

impl Drop for TcpReceiver {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.shared.reading.send_replace(Reading::Abandoned);
        }
    }
}

/// What has been done since others last had the thread.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    bulk_bytes: usize,
    /// A frame was given out. Somebody on this thread may be waiting for it, or its answer for the end of the batch.
    has_given: bool,
}

impl Turn {
    /// Whether others come first, before more bulk is read.
    fn is_over(self) -> bool {
        self.has_given || self.bulk_bytes >= BULK_TURN_BYTES
    }
}

/// Lets the runtime do all else that there is to do, look at its sockets and timers included, and poll again then.
/// A task that merely woke itself would be polled dozens of times before that.
fn defer<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

/// The buffer for many small frames: large while there is much to read, small or absent otherwise.
#[derive(Debug, Default)]
struct Buffer {
    bytes: BytesMut,
    /// Which of [`READ_BUFFER_BYTES`] it is.
    size: usize,
    quiet_reads: u8,
}

impl Buffer {
    /// Room to read into: at least `wanted` bytes, and enough for a read to be worth it. Not much more if `few`,
    /// because most of what is read would have to be copied on.
    fn spare(&mut self, wanted: usize, few: bool) -> &mut [std::mem::MaybeUninit<u8>] {
        let size = READ_BUFFER_BYTES[self.size];
        let enough = wanted.max(size / 2);
        if self.bytes.is_empty() {
            // From the start again where nothing else holds that memory, so that a link on which little comes at a time
            // keeps to the same few cache lines.
            let _ = self.bytes.try_reclaim(size);
        }
        if self.bytes.capacity() - self.bytes.len() < enough {
            // What is in the buffer counts, so that its memory stays `size` long and is found again.
            self.bytes.reserve(enough.max(size.saturating_sub(self.bytes.len())));
        }
        let spare = self.bytes.spare_capacity_mut();
        let len = if few { spare.len().min(wanted.max(READ_BUFFER_BYTES[0])) } else { spare.len() };
        &mut spare[..len]
    }

    /// Adapts the size to what a read into `spare_len` bytes has brought.
    fn learn(&mut self, len: usize, spare_len: usize) {
        let smaller = self.size.checked_sub(1).map_or(0, |size| READ_BUFFER_BYTES[size]);
        if len == spare_len {
            self.size = (self.size + 1).min(READ_BUFFER_BYTES.len() - 1);
            self.quiet_reads = 0;
        } else if len > smaller / 2 {
            self.quiet_reads = 0;
        } else {
            self.quiet_reads += 1;
            if self.quiet_reads == QUIET_READS {
                self.size = self.size.saturating_sub(1);
                self.quiet_reads = 0;
            }
        }
    }

    /// Nothing to read for now: a buffer that is larger than it has to be is not kept, and the largest never.
    fn rest(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > READ_BUFFER_BYTES[self.size.min(1)] {
            self.bytes = BytesMut::new();
        }
    }
}
