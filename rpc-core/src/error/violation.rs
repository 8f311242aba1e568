//! Each way in which a peer can break the protocol.

use crate::message::Kind;

/// A peer broke the wire protocol; its link is closed.
///
/// One variant for each way, so that logs and tests can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame announced more than the limit.
    #[error("announced a message of {announced} bytes, over the limit of {limit}")]
    MessageTooLarge {
        /// What the header says, in bytes.
        announced: u64,
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// A frame announced more parts than the limit.
    #[error("announced {announced} parts, over the limit of {limit}")]
    TooManyParts {
        /// What the header says.
        announced: u32,
        /// The limit in force.
        limit: u32,
    },
    /// The first frame was no hello.
    #[error("spoke {0:?} before the handshake")]
    NotAHello(Kind),
    /// A hello that is no hello: wrong magic, wrong length, or text that is no text.
    #[error("sent a malformed hello")]
    MalformedHello,
    /// A kind of frame that links do not have.
    #[error("sent a frame of unknown kind {0:#04x}")]
    UnknownFrame(u8),
    /// A second hello, or another handshake frame after the handshake.
    #[error("sent a handshake frame after the handshake")]
    HandshakeTwice,
    /// A reply with an outcome that does not exist.
    #[error("sent a reply with unknown outcome {0}")]
    UnknownOutcome(u8),
    /// Two requests in progress with one call id.
    #[error("used call id {0} twice")]
    DuplicateCall(u64),
    /// More requests at a time than the bound allows.
    #[error("had more than {limit} requests in flight")]
    TooManyRequests {
        /// The limit in force.
        limit: usize,
    },
    /// Bytes of a payload or part that travels beside its frame, and that no frame on its way has.
    #[error("sent bytes of item {item} of frame {frame}, which is not on its way")]
    UnannouncedBulk {
        /// The frame's number among those of its lane that have bulk.
        frame: u64,
        /// Its payload or part.
        item: u32,
    },
    /// More bytes of such a payload or part than it has.
    #[error("sent more bytes of item {item} of frame {frame} than were announced")]
    BulkTooLong {
        /// The frame's number among those of its lane that have bulk.
        frame: u64,
        /// Its payload or part.
        item: u32,
    },
    /// More frames with bulk under way than the wire's version allows.
    #[error("had more than {limit} frames with bulk under way in one lane")]
    TooManyBulkFrames {
        /// The limit in force.
        limit: usize,
    },
    /// More payloads and parts begun than the wire's version allows.
    #[error("had more than {limit} items of bulk under way")]
    TooManyBulkItems {
        /// The limit in force.
        limit: usize,
    },
    /// More frames that must not overtake others than are kept.
    #[error("sent more than {limit} frames that have to wait for others")]
    TooManyHeldFrames {
        /// The limit in force.
        limit: usize,
    },
    /// A lane that links do not have.
    #[error("named lane {0}, which does not exist")]
    UnknownLane(u8),
    /// A stream that begins with nothing that streams begin with.
    #[error("opened a stream that begins with {0:#04x}")]
    UnknownStream(u8),
    /// A second stream for a lane that has one.
    #[error("opened a lane twice")]
    LaneTwice,
}
