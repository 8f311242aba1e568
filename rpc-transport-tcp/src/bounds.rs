//! Every bound and time of this transport; the crate documentation has them as one table.

use std::time::Duration;

/// Payloads up to this size are copied into a gathered segment; longer ones are shared.
pub(crate) const COPIED_PAYLOAD_MAX: usize = 16 << 10;
/// Parts up to this size are copied into a gathered segment; longer ones are shared.
pub(crate) const COPIED_PART_MAX: usize = 4 << 10;
/// Capacity of the first segment of a lane, and of the only one that an idle link keeps.
pub(crate) const FIRST_SEGMENT_BYTES: usize = 8 << 10;
/// Capacity of the further segments of a lane that has fallen behind.
pub(crate) const NEXT_SEGMENT_BYTES: usize = 64 << 10;
/// Bytes of one lane after which a batch is closed at the next frame boundary: how much of the normal
/// lane an urgent frame may have to wait for, unless one frame is longer.
pub(crate) const BATCH_LANE_BYTES: usize = 128 << 10;
/// Slices of one vectored write.
pub(crate) const SLICES_MAX: usize = 64;
/// Bytes that a caller of `send` or `flush` writes itself before it leaves the rest to the flusher.
pub(crate) const INLINE_WRITE_BYTES: usize = 256 << 10;
/// Bytes that the flusher writes before it lets other tasks of its thread run.
pub(crate) const FLUSHER_WRITE_BYTES: usize = 1 << 20;

/// Read buffer of a link with little traffic.
pub(crate) const READ_BUFFER_IDLE_BYTES: usize = 8 << 10;
/// Read buffer of a link with much traffic.
pub(crate) const READ_BUFFER_BUSY_BYTES: usize = 64 << 10;
/// Payloads up to this size are copied out of the read buffer, which costs less than counting the slices
/// of it, and keeps a small message that lives long from keeping a whole buffer alive.
pub(crate) const COPIED_READ_MAX: usize = 256;
/// Payloads and parts of which more than this is missing are read straight into their own memory.
pub(crate) const DIRECT_READ_MIN: usize = 16 << 10;

/// Bytes that are encrypted at a time, and with their records the most that waits between TLS and a full socket.
#[cfg(feature = "tls")]
pub(crate) const TLS_WRITE_BYTES: usize = 64 << 10;
/// Memory for records that a link keeps while it has none.
#[cfg(feature = "tls")]
pub(crate) const TLS_KEPT_BYTES: usize = 8 << 10;

/// Connections that may be in their handshake at a time; one more takes the place of the oldest.
pub(crate) const HANDSHAKES_MAX: usize = 1024;
/// Links that have been handshaken and wait for `accept`; further ones wait within the time of their handshake.
pub(crate) const READY_MAX: usize = 16;

/// Links that the system completes before `accept` has been called.
pub(crate) const BACKLOG: u32 = 4096;
/// Time for one of several addresses of a host; the last one has as long as the caller waits.
pub(crate) const DIAL_ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence after which the system asks whether the peer's host is there.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Time between these questions.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered questions after which the link has failed.
pub(crate) const KEEPALIVE_PROBES: u32 = 3;
/// Time between looks at whether the peer's host answers what it is sent.
pub(crate) const VIGIL_INTERVAL: Duration = Duration::from_secs(5);
/// Looks in a row that find no answer before the link has failed.
pub(crate) const VIGIL_LOOKS: u32 = 4;

/// How long an orderly close may go without progress before what is queued is dropped.
pub(crate) const CLOSE_STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after our end of an orderly close the peer may take for its own.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
