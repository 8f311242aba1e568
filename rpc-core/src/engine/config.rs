//! Every bound and time of the engine.

use std::time::Duration;

/// Bounds and times of a [`TransportAgent`](crate::TransportAgent).
///
/// ```
/// use rpc_core::EngineConfig;
/// use std::time::Duration;
/// let config = EngineConfig { dial_timeout: Duration::from_secs(2), ..EngineConfig::default() };
/// # assert_eq!(config.in_flight_max, 65_536);
/// ```
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Requests to one peer that may wait for their responses at a time; one more fails as
    /// [`Overloaded`](crate::Failure::Overloaded). The same bound holds for requests that one peer may
    /// have in progress here.
    pub in_flight_max: usize,
    /// Bytes queued towards one peer above which new requests to it, and new requests from it, are
    /// refused as [`Overloaded`](crate::Failure::Overloaded). Responses are never refused.
    pub outbox_bytes_max: u64,
    /// Payload and parts of one message together, in bytes, in both directions.
    pub message_bytes_max: u64,
    /// Threads that run blocking handlers at a time; one more request is refused as
    /// [`Overloaded`](crate::Failure::Overloaded). They are made on demand and go when idle.
    pub blocking_threads_max: usize,
    /// How long to try to connect before calls fail as [`Unreachable`](crate::Failure::Unreachable).
    pub dial_timeout: Duration,
    /// How long a peer may take for the handshake before its link is closed.
    pub handshake_timeout: Duration,
    /// Incoming links that may be in their handshake at a time. When one more comes, the one that has been
    /// in it longest is closed, so that links that say nothing do not keep others out
    /// ([`Anteroom`](crate::Anteroom)).
    pub handshakes_max: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 65_536,
            outbox_bytes_max: 4 << 30,
            message_bytes_max: 4 << 30,
            blocking_threads_max: 8_192,
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 1_024,
        }
    }
}
