//! Runs handlers and answers requests.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::peer::{Peer, timeout_of};
use super::pool::nearly_idle;
use super::reader::Reader;
use super::shared::Shared;
use crate::agent::{Handler, Incoming, Served, Settle, Settled};
use crate::context::{CallContext, NoBlocking};
use crate::error::Violation;
use crate::function::panic;
use crate::message::{Kind, Outcome, Request, Response};
use crate::transport::{Flush, Frame, LinkSender};
use crate::wire::{Header, frame};

/// Serves a request that has come on a link, at the time `arrived`.
pub(super) fn serve(reader: &mut Reader, frame: Frame, arrived: Instant) -> Result<(), Violation> {
    let Reader { shared, peer, sender, number, origin, handlers, .. } = reader;
    let header = frame.header;
    let kind = Kind(header.kind);
    let bytes = frame.body.len_bytes();
    if !peer.running.lock().admit(*number, header.call, kind, bytes, shared.config.in_flight_max)? {
        return Ok(());
    }
    shared.count_received(kind);
    let answer = Answer { sent: false, origin: Arc::clone(origin), call: header.call, kind };
    if shared.is_closed() {
        answer.send(Response::failed(Outcome::ShuttingDown, &[]), Flush::Later);
        return Ok(());
    }
    let bound = shared.config.outbox_bytes_max;
    if sender.queued_bytes() > bound && !kind.is_control() {
        let response = Response::failed(Outcome::Overloaded, &["outbox_bytes_max", &bound.to_string()]);
        answer.send(response, Flush::Later);
        return Ok(());
    }
    let request = Request {
        kind,
        method: header.method,
        codec: header.codec,
        timeout: timeout_of(header.budget_us),
        body: frame.body,
    };
    run(answer, request, arrived, handlers.get(&shared.handlers, kind));
    Ok(())
}

/// Serves a request of this worker to itself, which takes no link. Runs as a task, so that a function
/// that calls itself does not grow the stack.
pub(super) async fn serve_self(shared: Arc<Shared>, peer: Arc<Peer>, call: u64, request: Request) {
    shared.mark_driver_thread();
    // What the caller has changed since is not on any wire, so it is read from the table.
    let Some(timeout) = peer.time_left(call) else {
        return peer.complete(&shared, call, Response::failed(Outcome::Cancelled, &[]));
    };
    let request = Request { timeout, ..request };
    // Bounded by the call table, which has the same bound.
    if peer.running.lock().admit(0, call, request.kind, 0, usize::MAX) == Ok(true) {
        shared.count_received(request.kind);
        let kind = request.kind;
        let handler = shared.handlers.get(kind).map(|own| shared.transport.around_own(kind, own));
        let origin = Arc::new(Origin { shared, peer, to: AnswerTo::Own });
        let answer = Answer { sent: false, origin, call, kind };
        run(answer, request, Instant::now(), handler.as_deref());
    }
}

/// Serves `request`, whose time runs from when it has `arrived`.
fn run(answer: Answer, request: Request, arrived: Instant, handler: Option<&dyn Handler>) {
    let from = answer.origin.peer.id();
    let Some(handler) = handler else {
        return answer.send(Response::failed(Outcome::UnknownKind, &[]), Flush::Later);
    };
    let context = CallContext::of_request_at(from, &request, answer.call, arrived);
    // Nothing in here may wait for a reply: this is the loop that brings them.
    let in_place = NoBlocking::enter();
    let incoming = Incoming { from, request, context: context.clone(), link: answer.origin.link() };
    let begun = panic::catch(|| {
        let mut settle = match handler.handle(incoming) {
            // Most requests end here.
            Served::Now(response) => return Begun::Settled(Settled::Answer(response)),
            served => served.settle(),
        };
        // The waker does nothing: a future that has to wait is polled again as a task, and then registers that
        // task's waker, as every poll must.
        match Pin::new(&mut settle).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Begun::Waits(settle),
            Poll::Ready(settled) => Begun::Settled(settled),
        }
    });
    match begun {
        Ok(Begun::Waits(settle)) => spawn(answer, settle, context),
        Ok(Begun::Settled(Settled::Answer(response))) | Err(response) => {
            answer.send(response, Flush::Later);
        }
        Ok(Begun::Settled(Settled::Blocking(handler))) => {
            drop(in_place);
            block(answer, handler, context);
        }
    }
}

/// How far a request has come in the loop that reads its link.
enum Begun {
    Settled(Settled),
    Waits(Settle),
}

/// Goes on as a task with a request that has to wait.
fn spawn(answer: Answer, settle: Settle, context: CallContext) {
    let (origin, call) = (Arc::clone(&answer.origin), answer.call);
    answer.goes_on(&context);
    let task = origin.shared.spawn(async move {
        answer.origin.shared.mark_driver_thread();
        // A panic leaves the answer to its drop.
        match until_given_up(settle, &context).await {
            Settled::Answer(response) => answer.send(response, Flush::Soon),
            Settled::Blocking(handler) => block(answer, handler, context),
        }
    });
    // If the task has ended already there is nothing to note.
    origin.peer.running.lock().set_task(origin.link(), call, task);
}

/// Polls a handler until it is settled, its call is cancelled, or its deadline passes.
async fn until_given_up(mut settle: Settle, context: &CallContext) -> Settled {
    let given_up = |outcome| Settled::Answer(Response::failed(outcome, &[]));
    let mut cancelled = pin!(context.cancelled());
    loop {
        let deadline = context.deadline();
        let expired = async {
            match deadline {
                Some(deadline) => tokio::task::unconstrained(tokio::time::sleep_until(deadline)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            settled = &mut settle => return settled,
            () = &mut cancelled => return given_up(Outcome::Cancelled),
            () = expired => {
                // The caller may have given it more time meanwhile.
                if context.is_cancelled() {
                    context.cancel();
                    return given_up(Outcome::DeadlineExceeded);
                }
            }
        }
    }
}

fn block(answer: Answer, handler: Box<dyn FnOnce() -> Response + Send>, context: CallContext) {
    let origin = Arc::clone(&answer.origin);
    answer.goes_on(&context);
    // The answer is shared so that it is still here if there is no thread.
    let answer = Arc::new(parking_lot::Mutex::new(Some(answer)));
    let on_thread = Arc::clone(&answer);
    let job = Box::new(move || {
        let response = panic::catch(handler).unwrap_or_else(|panicked| panicked);
        nearly_idle();
        let answer = on_thread.lock().take();
        if let Some(answer) = answer {
            answer.send(response, Flush::Now);
        }
    });
    if origin.shared.pool.run(job).is_err()
        && let Some(answer) = answer.lock().take()
    {
        let limit = origin.shared.config.blocking_threads_max.to_string();
        answer.send(Response::failed(Outcome::Overloaded, &["blocking_threads_max", &limit]), Flush::Later);
    }
}

/// Where a request has come from and its answer goes: the same for all that come on one link.
pub(super) struct Origin {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    pub(super) to: AnswerTo,
}

pub(super) enum AnswerTo {
    Link { sender: Arc<dyn LinkSender>, number: u32 },
    Own,
}

impl Origin {
    fn link(&self) -> u32 {
        match self.to {
            AnswerTo::Link { number, .. } => number,
            AnswerTo::Own => 0,
        }
    }
}

/// The answer that a request is owed (EN-1). Dropped without one, it reports that the handler ended early.
struct Answer {
    sent: bool,
    origin: Arc<Origin>,
    call: u64,
    kind: Kind,
}

impl Answer {
    /// Notes that the request was not answered at once. Its caller may have gone, or changed its mind, while
    /// the handler began; what is not noted then would never be ended.
    fn goes_on(&self, context: &CallContext) {
        let Origin { peer, to, .. } = &*self.origin;
        let noted = peer.running.lock().insert(self.origin.link(), self.call, context.clone());
        match to {
            AnswerTo::Link { .. } if noted => {}
            AnswerTo::Link { .. } => context.cancel(),
            AnswerTo::Own => match peer.time_left(self.call) {
                Some(timeout) => context.set_timeout(timeout),
                None => context.cancel(),
            },
        }
    }

    fn send(mut self, response: Response, flush: Flush) {
        self.send_once(response, flush);
    }

    fn send_once(&mut self, mut response: Response, flush: Flush) {
        self.sent = true;
        let Origin { shared, peer, to } = &*self.origin;
        let response = match shared.refuses(&mut response.codec, &mut response.body) {
            None => response,
            Some(failure) => Response::failed(Outcome::BadResult, &[&failure.to_string()]),
        };
        match to {
            AnswerTo::Own => {
                peer.running.lock().answered(0, self.call, self.kind, 0);
                peer.complete(shared, self.call, response);
            }
            AnswerTo::Link { sender, number } => {
                let bytes = response.body.len_bytes();
                peer.running.lock().answered(*number, self.call, self.kind, bytes);
                let header = Header {
                    payload_bytes: response.body.payload.len() as u32, // bounded by `refuses`
                    part_count: response.body.parts.len() as u16,
                    kind: frame::REPLY,
                    codec: response.codec,
                    call: self.call,
                    method: response.outcome as u64,
                    budget_us: 0,
                };
                // A link that is down has failed the call at the caller.
                let _ = sender.send(Frame { header, body: response.body }, flush);
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // While the engine closes, its goodbye says what became of the call.
        if !self.sent && !self.origin.shared.is_closed() {
            let details = ["the handler ended without an answer", "unknown location"];
            self.send_once(Response::failed(Outcome::Panicked, &details), Flush::Soon);
        }
        self.origin.shared.count_answered(self.kind);
    }
}
