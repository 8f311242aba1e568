//! The bytes of a frame. ARCHITECTURE.md has the same as a table; golden tests pin both.
//!
//! ```text
//! header (32 bytes)  payload (payload_bytes)  part lengths (part_count × u64)  parts, one after another
//! ```
//! All numbers are little-endian. Parts are not padded: each is read straight into an allocation of its
//! own, which is aligned, so padding would only be bytes to send. A payload or part that is long is left out and
//! travels beside its frame: see [`framing`](crate::framing).

mod header;
mod hello;

pub use self::header::{HEADER_BYTES, Header};
pub use self::hello::{Hello, PROTOCOL_VERSION, Reject, RejectReason, Welcome};

/// Kinds of frame that are not requests.
pub mod frame {
    /// First frame of the side that dialled.
    pub const HELLO: u8 = 0x01;
    /// The answer that accepts it.
    pub const WELCOME: u8 = 0x02;
    /// The answer that does not; the link ends.
    pub const REJECT: u8 = 0x03;
    /// The sender leaves the group in an orderly way and will send nothing more.
    pub const GOODBYE: u8 = 0x04;
    /// The answer to a request.
    pub const REPLY: u8 = 0x05;
    /// The caller gave up on a call.
    pub const CANCEL: u8 = 0x06;
    /// The caller has changed the deadline of a call.
    pub const DEADLINE: u8 = 0x07;
    /// What follows is a piece of a frame's bulk (see [`framing`](crate::framing)). Only transports see it.
    pub const BULK: u8 = 0x08;
    /// Where the next frame of call 0 stands in the other lane (see [`framing`](crate::framing)). Only transports
    /// see it.
    pub const MARK: u8 = 0x09;
}
