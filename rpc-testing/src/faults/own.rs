//! What a worker asks of itself, under faults.
//!
//! It takes no link, so the faults stand around its handlers. They act in the same way as on a link, with two exceptions.
//! Faults of links have nothing to act on. And an answer with references in it is never kept back: its caller may give up
//! meanwhile, and then nobody would receive them. What is kept back is in flight at its caller, and so within its
//! `in_flight_max`.

use std::future::pending;
use std::sync::Arc;

use rpc_core::{Handler, Incoming, Kind, Outcome, Response, Served, aside};
use tokio::sync::{Notify, oneshot};

use super::Faults;
use super::fault::{Passing, Victim};
use super::gate::{REORDER_MAX, abort};
use super::message::Message;
use super::plan::Verdict;

/// A handler of a worker's own requests.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) faults: Faults,
    pub(super) me: Arc<str>,
    pub(super) passes: Arc<Passes>,
    pub(super) kind: Kind,
    pub(super) inner: Arc<dyn Handler>,
}

/// Who waits for another to pass, on one worker.
#[derive(Debug, Default)]
pub(super) struct Passes {
    requests: Arc<Notify>,
    replies: Arc<Notify>,
}

impl Handler for Own {
    fn handle(&self, incoming: Incoming) -> Served {
        let (own, method) = (self.clone(), incoming.request.method);
        let has_handles = incoming.request.codec & aside::FLAG != 0;
        match self.faults.judge(&self.passing(method, has_handles, false)) {
            Verdict::Fail(answer) => Served::Now(answer.0),
            Verdict::Drop => Served::Later(Box::pin(pending())),
            Verdict::Delay(delay) => Served::After(Box::pin(async move {
                tokio::time::sleep(delay).await;
                own.serve(incoming)
            })),
            Verdict::Reorder => {
                let passed = Arc::clone(&self.passes.requests).notified_owned();
                Served::After(Box::pin(async move {
                    // Whichever it is, its time has come.
                    let _ = tokio::time::timeout(REORDER_MAX, passed).await;
                    own.serve(incoming)
                }))
            }
            Verdict::Duplicate => Served::After(Box::pin(async move {
                let first = own.inner.handle(copy_of(&incoming)).response(on_a_thread).await;
                let is_last = first.codec & aside::FLAG != 0 || is_given_up(first.outcome);
                if is_last { Served::Now(own.reply(method, first).await) } else { own.serve(incoming) }
            })),
            verdict => {
                self.befalls_the_worker(verdict);
                self.serve(incoming)
            }
        }
    }
}

impl Own {
    fn passing(&self, method: u64, has_handles: bool, is_reply: bool) -> Passing<'_> {
        let message = Message::of(self.kind);
        Passing { from: &self.me, to: &self.me, message, method, is_reply, has_handles }
    }

    fn serve(&self, incoming: Incoming) -> Served {
        self.passes.requests.notify_waiters();
        let method = incoming.request.method;
        let served = self.inner.handle(incoming);
        if !self.faults.picks(&self.passing(method, false, true)) {
            return served;
        }
        let own = self.clone();
        Served::Later(Box::pin(async move {
            let response = served.response(on_a_thread).await;
            own.reply(method, response).await
        }))
    }

    /// What the caller gets in place of `response`, when it is time.
    async fn reply(&self, method: u64, response: Response) -> Response {
        let has_handles = response.codec & aside::FLAG != 0;
        match self.faults.judge(&self.passing(method, has_handles, true)) {
            Verdict::Fail(answer) => {
                return aside::carry_over(response.codec, &response.body.payload, answer.0);
            }
            Verdict::Drop => pending().await,
            Verdict::Delay(delay) => tokio::time::sleep(delay).await,
            Verdict::Reorder => {
                let passed = Arc::clone(&self.passes.replies).notified_owned();
                let _ = tokio::time::timeout(REORDER_MAX, passed).await;
            }
            verdict => self.befalls_the_worker(verdict),
        }
        self.passes.replies.notify_waiters();
        response
    }

    fn befalls_the_worker(&self, verdict: Verdict) {
        match verdict {
            Verdict::Kill(Victim::Sender | Victim::Receiver) => self.faults.kill_one(&self.me),
            Verdict::Abort => abort(&self.me),
            // There is no link; and an answer that arrives twice is the same answer.
            _ => {}
        }
    }
}

fn copy_of(incoming: &Incoming) -> Incoming {
    let Incoming { from, request, context, link } = incoming;
    Incoming { from: *from, request: request.clone(), context: context.clone(), link: *link }
}

/// Runs what may block. Not on a thread of the worker's pool, which a handler cannot reach: under faults, a worker's calls
/// of itself are not counted there.
async fn on_a_thread(job: Box<dyn FnOnce() -> Response + Send>) -> Response {
    let (done, result) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("rpc-faults".into()).spawn(move || {
        // Its caller may have given up.
        let _ = done.send(job());
    });
    let result = match spawned {
        Ok(_) => result.await.ok(),
        Err(_) => None,
    };
    result.unwrap_or_else(|| Response::failed(Outcome::Panicked, &["the handler ended without an answer"]))
}

fn is_given_up(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled | Outcome::DeadlineExceeded)
}
