//! The errors of calls that nobody looks at.
//!
//! Only a future that is dropped without having been ready comes here, so calls that are awaited pay nothing. If it is
//! dropped before the response, what it knew of the call waits in place of who would have waited.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::CallInfo;
use crate::error::Failure;
use crate::message::Outcome;
use crate::reply::{ReplyCell, ReplyResult};

/// Nobody is going to look at `call`: its error is logged, now or when it comes.
pub(super) fn leave(cell: &Arc<ReplyCell>, call: CallInfo) {
    let unseen = Arc::new(Unseen { cell: Arc::clone(cell), call });
    let waker = Waker::from(Arc::clone(&unseen));
    if let Poll::Ready(result) = cell.poll(&mut Context::from_waker(&waker)) {
        unseen.report(&result);
    }
}

/// The last thing that waits for a call. It and the cell hold each other until the call has ended, which every call
/// does.
struct Unseen {
    cell: Arc<ReplyCell>,
    call: CallInfo,
}

impl Unseen {
    fn report(&self, result: &ReplyResult) {
        let (to, function) = (self.call.callee(), self.call.function);
        let failure = match result {
            Ok(response) if response.outcome == Outcome::Ok => return,
            Ok(response) if response.outcome == Outcome::HandlerError => {
                tracing::warn!(
                    "{function} on worker {to} returned an error of its own, and nobody looked; \
                     await the call, give it a callback, or say ignore_errors()"
                );
                return;
            }
            Ok(response) => self.call.explain(response),
            Err(failure) => failure.clone(),
        };
        match failure {
            // The program's own doing.
            Failure::Cancelled { .. } | Failure::ShutDown => {
                tracing::debug!("{function} on worker {to} was given up: {failure}");
            }
            failure => tracing::warn!(
                "{function} on worker {to} failed, and nobody looked: {failure}; \
                 await the call, give it a callback, or say ignore_errors()"
            ),
        }
    }
}

impl Wake for Unseen {
    fn wake(self: Arc<Self>) {
        if let Poll::Ready(result) = self.cell.poll(&mut Context::from_waker(Waker::noop())) {
            self.report(&result);
        }
    }
}
