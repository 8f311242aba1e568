//! [`StoreLimits`]: what bounds a store.

/// What bounds a store's memory. Reaching one is [`StoreError::Full`](rpc_core::StoreError::Full), which
/// names the field, unless the field says otherwise.
///
/// ```
/// let small = rpc_rendezvous::StoreLimits { total_bytes: 1 << 20, ..Default::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Longest key, in bytes. 1 KiB.
    pub key_bytes: usize,
    /// Longest value, in bytes. 1 MiB.
    pub value_bytes: usize,
    /// All keys and values together, in bytes, with [`ENTRY_OVERHEAD_BYTES`](Self::ENTRY_OVERHEAD_BYTES)
    /// for each entry. 256 MiB.
    pub total_bytes: usize,
    /// Keys in one `wait`. 4,096, which thereby bounds the number of workers of a job.
    pub wait_keys: usize,
    /// All values that one `wait` returns, in bytes. 4 MiB.
    pub reply_bytes: usize,
    /// Connections that a server keeps at once. 4,096. One more is told so and closed.
    pub connections: usize,
    /// Connections to a server that have not yet shown who they are: each has 5 s for that. 1,024. One more
    /// takes the place of the oldest.
    pub handshakes: usize,
    /// Memory of a server for requests above 64 KiB, as much again for such waits, and for such replies, in
    /// bytes. 64 MiB. When it is used up, more of them wait for their turn.
    pub buffer_bytes: usize,
}

impl StoreLimits {
    /// What an entry counts for in [`total_bytes`](Self::total_bytes) beside its key and value.
    pub const ENTRY_OVERHEAD_BYTES: usize = 64;
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            key_bytes: 1 << 10,
            value_bytes: 1 << 20,
            total_bytes: 256 << 20,
            wait_keys: 4096,
            reply_bytes: 4 << 20,
            connections: 4096,
            handshakes: 1024,
            buffer_bytes: 64 << 20,
        }
    }
}
