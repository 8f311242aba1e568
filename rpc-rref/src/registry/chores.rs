//! What may block or has to wait: the registry asks it of its own worker, as a request.
//!
//! So it needs no runtime and no thread of its own over whatever agent, and a graceful shutdown waits for what
//! is still to be done, because it is a request like others.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rpc_core::handles::{HandleDesk, SentHandles};
use rpc_core::{Body, Failure, Incoming, Kind, Outcome, Request, Response, Served, WorkerId};

use super::Registry;
use super::control::CONTROL;

/// Of the requests of a worker to itself.
pub(super) const CHORE: Kind = Kind(0x17);

const RETRY: u64 = 0;
pub(super) const DROP: u64 = 1;

const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// The pause before the attempt that follows `failures` in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

impl Registry {
    /// Sends the batch to `to` again after `delay`.
    pub(super) fn retry_after(&self, to: WorkerId, delay: Duration) {
        let mut payload = to.0.to_le_bytes().to_vec();
        payload.extend_from_slice(&(delay.as_millis() as u64).to_le_bytes());
        // Of a control kind, which is not refused because of calls.
        let reply = self.agent().send(self.me(), Request { kind: CONTROL, ..chore(RETRY, payload) });
        if let Some(registry) = self.own().upgrade() {
            let desk: Arc<dyn HandleDesk> = registry;
            reply.watch(desk, self.me(), "references", Some(Box::new(Later(self.own().clone(), to))));
        }
    }

    pub(super) fn serve_chore(self: Arc<Self>, incoming: &Incoming) -> Served {
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

pub(super) fn chore(method: u64, payload: Vec<u8>) -> Request {
    Request { kind: CHORE, method, codec: 0, timeout: None, body: Body::new(payload) }
}

/// A batch is to be sent again. If this is refused there are as many others of its kind: it goes with one of
/// them. Or the worker has shut down.
struct Later(Weak<Registry>, WorkerId);

impl SentHandles for Later {
    fn lost(self: Box<Self>, _why: &Failure) {
        if let Some(registry) = self.0.upgrade() {
            registry.retry_with_others(self.1);
        }
    }
}
