//! Every bound and time of this transport; the crate documentation has them as one table.

use std::time::Duration;

/// Bytes of bulk that are written in one piece: what a small frame may have to wait for, beside what is small too.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Slices of one vectored write.
pub(crate) const SLICES_MAX: usize = 64;
/// Bytes that a caller of `send` or `flush` writes itself before it leaves the rest to the flusher.
pub(crate) const INLINE_WRITE_BYTES: usize = 256 << 10;
/// Bytes that the flusher writes before it lets other tasks of its thread run, the one that reads above all: a small
/// message may wait for so many on its way out and on the other side's way back.
pub(crate) const FLUSHER_WRITE_BYTES: usize = 256 << 10;

/// Read buffers of a link with little, some and much traffic. One of the first two is kept by a link that is quiet.
pub(crate) const READ_BUFFER_BYTES: [usize; 3] = [1 << 10, 8 << 10, 64 << 10];
/// Bytes of bulk that are read before others on the thread have their turn.
pub(crate) const BULK_TURN_BYTES: usize = 256 << 10;
/// Room that is asked for in a local socket; Linux doubles it, for its own accounts.
#[cfg(target_os = "linux")]
pub(crate) const LOCAL_SEND_BUFFER_BYTES: usize = 256 << 10;
/// Pieces of which at least this is missing are read straight into their final memory.
pub(crate) const DIRECT_READ_MIN: usize = 16 << 10;

/// Memory of large messages that one transport keeps for the next ones.
pub(crate) const POOL_BYTES_MAX: usize = 512 << 20;
/// It is given back once it has not been used for this time; after twice this time at the latest.
pub(crate) const POOL_TRIM_INTERVAL: Duration = Duration::from_secs(5);

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
