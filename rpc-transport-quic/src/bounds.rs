//! Every bound and time of this transport; the crate documentation has them as one table.

use std::time::Duration;

/// Pieces in which shared bytes are handed to the connection. It frees a piece when all of it has been
/// acknowledged, so pieces are much smaller than its window.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Bytes that may be on their way without an acknowledgement, of one link.
pub(crate) const SEND_WINDOW: u64 = 16 << 20;
/// As many more that only heads of frames may use.
pub(crate) const LANE_RESERVE: u64 = 1 << 20;
/// Bytes that a peer may send on one stream before they have been read.
pub(crate) const STREAM_WINDOW: u32 = 16 << 20;
/// Bytes that a peer may send on one link before they have been read.
pub(crate) const LINK_WINDOW: u32 = 32 << 20;
/// Streams that a peer may have open, or finished and not read.
pub(crate) const STREAMS_MAX: u32 = 128;

/// Datagrams' worth of a stream that are taken at a time.
pub(crate) const READ_CHUNKS: usize = 16;
/// Heads that are read before the items have a turn.
pub(crate) const HEADS_BEFORE_ITEMS: u32 = 64;
/// Bytes of items that are read before other tasks of the thread have a turn.
pub(crate) const ITEM_TURN_BYTES: usize = 2 << 20;
/// Heads of a lane in the buffer from which on they are decoded before more is read. More than the decoder ever needs
/// in one piece.
pub(crate) const INPUT_MAX_BYTES: usize = 256 << 10;
/// Buffer for heads that a lane with nothing to read keeps.
pub(crate) const INPUT_KEPT_BYTES: usize = 8 << 10;

/// Largest datagram that is tried, without the headers of IP and UDP: jumbo frames of 9,000 bytes.
pub(crate) const MTU_MAX: u16 = 8_952;
/// Bytes that may be in flight to a process of this host: at first, at least and at most.
pub(crate) const HERE_WINDOW_FIRST: u64 = 1 << 20;
pub(crate) const HERE_WINDOW_MIN: u64 = 128 << 10;
pub(crate) const HERE_WINDOW_MAX: u64 = 2 << 20;
/// Asked of the system for each direction of the socket. It may give less.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Silence after which a link asks whether its peer is there.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Silence after which a link has failed.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(25);
/// How often it is looked at whether links have heard of their peers.
pub(crate) const VIGIL_INTERVAL: Duration = Duration::from_millis(125);
/// Looks in a row without a sign of a peer before its port is knocked at.
pub(crate) const LOOKS_IDLE: u32 = 12;
/// The same where something has been sent lately.
pub(crate) const LOOKS_ACTIVE: u32 = 3;
/// The same where knocks are refused while the peer is alive.
pub(crate) const LOOKS_DOUBTFUL: u32 = 80;
/// Looks that count as lately.
pub(crate) const LOOKS_LATELY: u32 = 40;
/// How long a knock waits for its refusal.
pub(crate) const KNOCK_TIME: Duration = Duration::from_millis(250);
/// Time between two knocks at a port that is being dialled.
pub(crate) const DIAL_KNOCK_INTERVAL: Duration = Duration::from_millis(250);
/// Knocks at a time.
pub(crate) const KNOCKS_MAX: usize = 64;

/// Incoming handshakes at a time. When there are as many, the oldest makes room for the newest.
pub(crate) const HANDSHAKES_MAX: usize = 1_024;
/// How long an incoming handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Incoming handshakes from which on others first have to show that they receive at their address.
pub(crate) const RETRY_FROM: usize = 64;
/// Bytes of one incoming handshake that are kept until it has its turn.
pub(crate) const INCOMING_BYTES: u64 = 16 << 10;
/// The same of all of them together.
pub(crate) const INCOMING_BYTES_TOTAL: u64 = 4 << 20;
/// Links that wait for `accept`.
pub(crate) const ACCEPTED_MAX: usize = 1_024;
/// Time for one of several addresses of a host; the last one has as long as the caller waits.
pub(crate) const DIAL_ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an orderly close may go without progress before what is queued is dropped.
pub(crate) const CLOSE_STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The same of a peer that has ended its own side.
pub(crate) const CLOSE_ENDED_TIMEOUT: Duration = Duration::from_secs(1);
/// How long after everything has arrived the end of the peer is waited for before `closed` says so.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_millis(100);
/// How long after our end of an orderly close the peer may take for its own.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the connection to put its last datagram on the wire.
pub(crate) const FAREWELL_TIME: Duration = Duration::from_millis(2);
