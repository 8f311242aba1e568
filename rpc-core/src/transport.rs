//! [`Transport`] and its links: what moves frames between two processes.
//!
//! A transport holds sockets (and their encryption) and nothing else. It knows no call, no function and
//! no worker: the engine does the handshake, matches replies and serves requests.
//!
//! # What a link promises
//! - **LK-1, whole frames, in order where it matters.** Frames arrive whole. There are two lanes, by
//!   [`Header::is_urgent`]. Frames of one lane arrive in the order of `send`, with one exception: a frame *with bulk*
//!   (a payload or part of [`BULK_MIN`](crate::framing::BULK_MIN) bytes or more), and what follows it in its own lane
//!   and call, may be overtaken by frames of other calls. Between the lanes there is no order. A frame of call 0
//!   (handshake, goodbye) overtakes nothing, of either lane, and nothing of its own lane overtakes it.
//! - **LK-2, bounded reading.** Nothing is allocated for a frame whose header breaks the
//!   [`FrameLimits`]; such a header is a [`LinkError::Violation`].
//! - **LK-3, an end.** After the peer or the network has gone, `poll_recv` returns an error or `None`
//!   within the transport's stated time; it never stays pending for ever.
//! - **LK-4, nothing blocks.** `send` and `flush` return at once. What `send` has taken is written by
//!   the transport without further calls.
//! - **LK-5, small passes large.** A frame without bulk waits for no bulk of other calls, be that queued or on its way.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::agent::Handler;
use crate::error::Violation;
use crate::function::BoxFuture;
use crate::message::{Body, Kind};
use crate::observe::WriteMark;
use crate::security::Fingerprint;
use crate::wire::Header;
use crate::worker::Group;

/// Makes and accepts links.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Where peers can reach this worker, in the transport's own form.
    fn local_address(&self) -> String;

    /// What people are shown of a peer's [`local_address`](Self::local_address), in errors and logs. The default is
    /// all of it.
    fn shown_address<'a>(&self, address: &'a str) -> &'a str {
        address
    }

    /// Waits for the next incoming link.
    ///
    /// # Errors
    /// Problems of the listener itself; the engine logs them, waits a little and asks again. A peer that
    /// fails to connect is not one: go on to the next.
    ///
    /// # Cancel safety
    /// Must be cancel-safe: a link that was accepted is returned by the next call.
    fn accept(&self) -> BoxFuture<'_, io::Result<Link>>;

    /// Connects to a peer's [`local_address`](Self::local_address).
    ///
    /// # Errors
    /// Whatever the system says.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>>;

    /// Tells who the group is, once, before the first [`accept`](Self::accept) and
    /// [`connect`](Self::connect): a transport with certificates refuses all others at its own handshake.
    /// The default ignores it.
    fn trust(&self, group: &Group) {
        let _ = group;
    }

    /// What serves requests of `kind` that this worker makes to itself, in place of `handler`, which others get. They take
    /// no link, so this is where a transport that stands for faults gets hold of them. The default is `handler`.
    fn around_own(&self, kind: Kind, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        let _ = kind;
        handler
    }
}

/// One live connection, before and after its handshake.
#[derive(Debug)]
pub struct Link {
    /// The writing end.
    pub sender: Arc<dyn LinkSender>,
    /// The reading end.
    pub receiver: Box<dyn LinkReceiver>,
    /// The other end as the system names it, for logs.
    pub remote: String,
    /// The certificate whose key the other end has proved to hold. The engine compares it with the group's
    /// (EN-6). `None` from a transport that does not use certificates.
    pub fingerprint: Option<Fingerprint>,
}

/// A header and what belongs to it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The fixed header. Its lengths are those of `body`.
    pub header: Header,
    /// Payload and parts.
    pub body: Body,
}

/// When a frame has to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// As soon as it can: nobody else is about to send. Written by the caller if the socket takes it.
    Now,
    /// Soon: others may join it. A task of the transport writes what has gathered.
    Soon,
    /// When [`LinkSender::flush`] is called, which the sender of this frame is about to do.
    Later,
}

/// The writing end of a link. Shared: any thread may send.
pub trait LinkSender: fmt::Debug + Send + Sync + 'static {
    /// Queues `frame`.
    ///
    /// The queue has no bound of its own. What bounds it: the engine sends at most
    /// `in_flight_max` requests and refuses them over `outbox_bytes_max`, answers at most as many at a time,
    /// and control frames are one for each cancel and each longer deadline.
    ///
    /// # Errors
    /// [`LinkClosed`] if the link is down; the frame was dropped.
    fn send(&self, frame: Frame, flush: Flush) -> Result<(), LinkClosed>;

    /// As [`send`](Self::send), and tells `mark` when the system has taken the frame, or all that was queued before and
    /// with it. The default does not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn send_marked(&self, frame: Frame, flush: Flush, mark: WriteMark) -> Result<(), LinkClosed> {
        let _ = mark;
        self.send(frame, flush)
    }

    /// Writes what is queued.
    fn flush(&self);

    /// Whether what [`flush`](Self::flush) writes leaves only when a task of the transport has had its turn. A reader
    /// that has more to read then lets other tasks run after a flush.
    fn writes_in_task(&self) -> bool {
        false
    }

    /// Bytes queued and not yet given to the system.
    fn queued_bytes(&self) -> u64;

    /// What the link runs over, in a word or two, for [`AgentInfo`](crate::AgentInfo): `tcp`, `tcp, encrypted`.
    fn carrier(&self) -> &str {
        "unnamed"
    }

    /// Ends the link. `After` what is queued has been written (bounded by the transport's own time), or
    /// `Now`. Both ends' `poll_recv` then end.
    fn close(&self, when: Close);

    /// Resolves when the link is closed and everything that will be written has been.
    fn closed(&self) -> BoxFuture<'static, ()>;
}

/// When a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// What is queued is written first.
    AfterQueued,
    /// What is queued is dropped.
    Now,
}

/// The link is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed")]
pub struct LinkClosed;

/// The reading end of a link.
pub trait LinkReceiver: fmt::Debug + Send + 'static {
    /// The next frame; `None` when the peer has closed in an orderly way.
    ///
    /// # Errors
    /// [`LinkError`]; the link is of no use afterwards.
    ///
    /// # Cancel safety
    /// Nothing is lost between polls.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, LinkError>>;

    /// Changes what is accepted from here on. A link starts with [`FrameLimits::HANDSHAKE`].
    fn set_limits(&mut self, limits: FrameLimits);
}

/// Waits for the next frame of `receiver`. Cancel-safe.
///
/// # Errors
/// Those of [`LinkReceiver::poll_recv`].
pub async fn recv(receiver: &mut dyn LinkReceiver) -> Result<Option<Frame>, LinkError> {
    std::future::poll_fn(|cx| receiver.poll_recv(cx)).await
}

/// What a link accepts from its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Payload and parts together, in bytes.
    pub message_bytes_max: u64,
    /// Parts of one message.
    pub parts_max: u32,
}

impl FrameLimits {
    /// Before the peer is known: a hello and nothing else fits.
    pub const HANDSHAKE: Self = Self { message_bytes_max: 2048, parts_max: 0 };

    /// Checks a header before anything is allocated for it (LK-2).
    ///
    /// `announced` is payload and parts together, as far as known: the payload when only the header has
    /// been read, the sum once the part lengths have.
    ///
    /// # Errors
    /// The violation that it is.
    pub fn check(&self, header: &Header, announced: u64) -> Result<(), Violation> {
        let parts = u32::from(header.part_count);
        if announced > self.message_bytes_max {
            Err(Violation::MessageTooLarge { announced, limit: self.message_bytes_max })
        } else if parts > self.parts_max {
            Err(Violation::TooManyParts { announced: parts, limit: self.parts_max })
        } else {
            Ok(())
        }
    }
}

/// Why a link ended, other than by an orderly close.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The system's error, or an end in the middle of a frame.
    #[error("{0}")]
    Io(#[source] Arc<io::Error>),
    /// The peer broke the framing.
    #[error("the peer {0}")]
    Violation(#[from] Violation),
    /// A message that is within the limits does not fit into memory.
    #[error(transparent)]
    OutOfMemory(#[from] crate::part::OutOfMemory),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
