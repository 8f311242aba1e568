//! A member's side of one operation.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rpc_core::handles::AnyHandle;
use rpc_core::{
    Aside, BoxFuture, CallContext, CallError, Client, Failure, HandlerRan, POSTCARD, ReferenceError, Request,
    RpcFuture, WorkerId, timeout_or_forever,
};
use tokio::time::Instant;

use crate::error::CollectiveError;
use crate::item::Item;
use crate::message::{JOIN, Join, Joined, KIND, LEAVE, WRITTEN, Which, head, to_us};
use crate::proto::Operation;
use crate::shared::Shared;

/// What the request has over the time of the operation, so that the leader's answer, which says who is missing, comes
/// before the request's own end.
const GRACE: Duration = Duration::from_secs(2);
/// How often a lost link is made up for.
const TRIES_MAX: u32 = 32;

/// The result of an operation that is under way: of [`all_gather`](crate::Team::all_gather) or
/// [`barrier`](crate::Team::barrier). It has begun when this exists; nothing has to be polled for it to proceed, except
/// where a link is lost: that is made up for when this is polled next.
///
/// Awaited, or [waited for](Self::wait) on a thread.
///
/// # Cancel safety
/// Polling may stop at any time. Dropping it gives the operation up: it fails for the others too, and they are told who
/// gave up.
#[must_use = "dropping it gives the operation up, for all members"]
pub struct Collective<R> {
    client: Client,
    result: BoxFuture<'static, Result<R, CollectiveError>>,
}

impl<R> Collective<R> {
    pub(crate) fn new(
        client: &Client,
        result: impl Future<Output = Result<R, CollectiveError>> + Send + 'static,
    ) -> Self {
        Self { client: client.clone(), result: Box::pin(result) }
    }

    /// One that has failed already.
    pub fn failed(client: &Client, error: CollectiveError) -> Self
    where
        R: Send + 'static,
    {
        Self { client: client.clone(), result: Box::pin(std::future::ready(Err(error))) }
    }

    /// Blocks this thread until the operation has ended.
    ///
    /// # Errors
    /// Those of the operation; [`CollectiveError::WouldBlock`] where a call must not be waited for (see
    /// [`RpcFuture::wait`]), which gives the operation up.
    ///
    /// # Panics
    /// As [`RpcFuture::wait`].
    pub fn wait(self) -> Result<R, CollectiveError> {
        let client = self.client.clone();
        client.block_on(None, self).unwrap_or(Err(CollectiveError::WouldBlock))
    }
}

impl<R> Future for Collective<R> {
    type Output = Result<R, CollectiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.result.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for Collective<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collective")
    }
}

/// This worker's part in one operation, from its begin to its end.
pub(crate) struct Part {
    shared: Arc<Shared>,
    client: Client,
    operation: Operation,
    leader: WorkerId,
    item: Option<Item>,
    /// Until when, and how long that was in all.
    until: Option<(Instant, Duration)>,
    /// The leader knows how it ended.
    settled: bool,
}

/// A request to join that is under way.
type Asked = RpcFuture<Joined<'static>, CollectiveError>;

impl Part {
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        client: &Client,
        operation: Operation,
        leader: WorkerId,
    ) -> Self {
        let mut wait = timeout_or_forever(client.rpc_timeout());
        // Within a handler it ends before the handler's own time does, so that the answer still says why.
        if let Some(left) = CallContext::current().and_then(|context| context.remaining()) {
            let left = left - (left / 10).min(GRACE);
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        }
        let until = wait.and_then(|wait| Some((Instant::now().checked_add(wait)?, wait)));
        let (shared, client) = (Arc::clone(shared), client.clone());
        Self { shared, client, operation, leader, item: None, until, settled: false }
    }

    pub(crate) fn give(&mut self, item: Item) {
        self.item = Some(item);
    }

    /// Sends the request to join.
    pub(crate) fn ask(&self) -> Asked {
        self.ask_within(self.until.map(|(_, whole)| whole))
    }

    fn ask_again(&self) -> Asked {
        self.ask_within(self.until.map(|(until, _)| until.saturating_duration_since(Instant::now())))
    }

    fn ask_within(&self, left: Option<Duration>) -> Asked {
        let join = Join {
            operation: Cow::Borrowed(&self.operation),
            wait_us: to_us(left),
            item: self.item.as_ref().map(Cow::Borrowed),
        };
        let client = self.client.with_timeout(left.map_or(Duration::ZERO, |left| left.saturating_add(GRACE)));
        let head = head(JOIN, self.operation.line.what.name());
        WRITTEN
            .run(|| client.request(self.leader, head, &join, |handles| self.beside(handles)))
            .cancel_on_drop()
    }

    fn beside(&self, handles: Vec<AnyHandle>) -> Result<Option<Aside>, ReferenceError> {
        if handles.is_empty() {
            return Ok(None);
        }
        let desk = self.client.desk().ok_or(ReferenceError::NoRegistry)?;
        let (bytes, sent) = desk.send(self.leader, None, handles)?;
        Ok(Some(Aside { bytes, sent }))
    }

    /// Waits for the end; asks again where a link is lost.
    pub(crate) async fn finish(mut self, mut asked: Asked) -> Result<Vec<Item>, CollectiveError> {
        let mut has_begun = false;
        for tries in 1.. {
            let failure = match asked.await {
                Ok(Joined { items }) => {
                    self.settled = true;
                    return Ok(items.into_iter().map(Cow::into_owned).collect());
                }
                Err(CallError::Handler { error, .. }) => {
                    self.settled = true;
                    return Err(error);
                }
                Err(CallError::Failed { failure, .. }) => failure,
                Err(_) => Failure::UnknownKind,
            };
            has_begun |= failure.handler_ran() != HandlerRan::No;
            if !matches!(failure, Failure::LinkLost { .. }) || tries == TRIES_MAX || self.is_over() {
                return Err(self.lost(failure, has_begun));
            }
            asked = self.ask_again();
        }
        unreachable!("the last try returns")
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|(until, _)| until <= Instant::now())
    }

    /// What `failure` of the request means.
    fn lost(&self, failure: Failure, has_begun: bool) -> CollectiveError {
        let operation = self.operation.line.what.name().to_owned();
        let leader = || self.shared.name(self.leader);
        match failure {
            Failure::UnknownKind => CollectiveError::NotServed { operation, leader: leader() },
            Failure::Unreachable { .. }
            | Failure::Departed
            | Failure::LinkLost { .. }
            | Failure::TimedOut { .. } => CollectiveError::LeaderLost {
                operation,
                leader: leader(),
                failure: Box::new(failure),
                others_may_have_it: has_begun,
            },
            failure => CollectiveError::Failed { operation, failure: Box::new(failure) },
        }
    }
}

/// However it ended, this worker is past it. What the leader does not know, it is told.
impl Drop for Part {
    fn drop(&mut self) {
        self.shared.end(&self.operation);
        if self.settled {
            return;
        }
        // Not as a call of the handler in which this may run, since that may just have been cancelled. If it does not
        // arrive, the time of those who wait ends the operation.
        let (client, which) = (&self.shared.client, Which { operation: Cow::Borrowed(&self.operation) });
        if let Ok(body) = client.codecs().encode(POSTCARD, &which) {
            let request = Request { kind: KIND, method: LEAVE, codec: POSTCARD, timeout: Some(GRACE), body };
            client.agent().send(self.leader, request);
        }
    }
}
