//! What may block or has to wait: the registry asks it of its own worker, as a request.
//!
//! So it needs no runtime and no thread of its own over whatever agent, and a graceful shutdown waits for what
//! is still to be done, because it is a request like others.

use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::handles::{HandleDesk, SentHandles};
use rpc_core::{Body, Failure, Incoming, Kind, Outcome, Request, Response, Served, WorkerId};

use super::Registry;
use super::state::Owned;

/// Of the requests of a worker to itself.
pub(super) const CHORE: Kind = Kind(0x17);

const RETRY: u64 = 0;
const DROP: u64 = 1;

const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// The pause before the attempt that follows `failures` in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

/// Values whose destructors have to run. Bounded by the values that there were.
#[derive(Default)]
pub(super) struct Trash(Mutex<Vec<Owned>>);

impl Registry {
    /// Sends the batch to `to` again after `delay`.
    pub(super) fn retry_after(&self, to: WorkerId, delay: Duration) {
        let mut payload = to.0.to_le_bytes().to_vec();
        payload.extend_from_slice(&(delay.as_millis() as u64).to_le_bytes());
        // If it fails, this worker has shut down.
        drop(self.agent().send(self.me(), chore(RETRY, payload)));
    }

    /// Drops `freed` where a destructor may block.
    pub(super) fn discard(&self, freed: Vec<Owned>) {
        let has_destructor = |owned: &Owned| owned.value.as_ref().is_some_and(|value| value.needs_drop());
        if !freed.iter().any(has_destructor) {
            return;
        }
        self.trash.0.lock().extend(freed);
        let reply = self.agent().send(self.me(), chore(DROP, Vec::new()));
        if let Some(registry) = self.own().upgrade() {
            let desk: std::sync::Arc<dyn HandleDesk> = registry;
            reply.watch(desk, self.me(), "references", Some(Box::new(Emptied(self.own().clone()))));
        }
    }

    fn empty_trash(&self) {
        let trash = std::mem::take(&mut *self.trash.0.lock());
        for owned in trash {
            // One destructor that panics does not keep the others from running.
            let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(owned)));
            if dropped.is_err() {
                tracing::warn!("the destructor of a value behind a reference panicked");
            }
        }
    }

    pub(super) fn serve_chore(self: std::sync::Arc<Self>, incoming: &Incoming) -> Served {
        if incoming.from != self.me() {
            return Served::Now(Response::failed(Outcome::UnknownKind, &[]));
        }
        let done = || Response { outcome: Outcome::Ok, codec: 0, body: Body::default() };
        if incoming.request.method == DROP {
            return Served::Blocking(Box::new(move || {
                self.empty_trash();
                done()
            }));
        }
        let payload = &incoming.request.body.payload;
        let Some((to, delay)) = payload.split_first_chunk::<4>() else { return Served::Now(done()) };
        let to = WorkerId(u32::from_le_bytes(*to));
        let delay =
            delay.first_chunk().map_or(BACKOFF_MAX, |ms| Duration::from_millis(u64::from_le_bytes(*ms)));
        Served::Later(Box::pin(async move {
            tokio::time::sleep(delay).await;
            self.retry(to);
            done()
        }))
    }
}

fn chore(method: u64, payload: Vec<u8>) -> Request {
    Request { kind: CHORE, method, codec: 0, timeout: None, body: Body::new(payload) }
}

/// Drops what is in the trash if nobody came to do it.
struct Emptied(std::sync::Weak<Registry>);

impl SentHandles for Emptied {
    fn lost(self: Box<Self>, _why: &Failure) {
        if let Some(registry) = self.0.upgrade() {
            registry.empty_trash();
        }
    }
}
