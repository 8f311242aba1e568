//! [`WriteMark`]: when a message left this process.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

/// Learns when the system has taken the last byte of a message. Clones share what they know.
///
/// An agent or a transport that is given one with a message may leave it alone: nothing is known then.
#[derive(Clone, Debug, Default)]
pub struct WriteMark(Arc<OnceLock<Instant>>);

impl WriteMark {
    /// The message is written. The first time counts.
    pub fn written(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// When that was, if it is known.
    pub fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}
