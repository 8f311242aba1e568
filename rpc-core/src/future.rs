//! [`RpcFuture`]: the value of a call that is under way.

mod callbacks;
mod unseen;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::agent::timeout_or_forever;
use crate::codec::CodecError;
use crate::context::{CallContext, NoBlocking};
use crate::error::{CallError, Failure, ReferenceError};
use crate::function::BoxFuture;
use crate::message::{Outcome, Response};
use crate::observe::Observed;
use crate::reply::{Received, Reply, ReplyResult, thread_waker};
use crate::worker::{WorkerId, WorkerInfo, WorkerName};

/// The value of a call that is under way.
///
/// The call has left when this exists; nothing has to be polled for it to proceed. It can be awaited on
/// any async runtime, or waited for on a plain thread. Dropping it detaches: the call goes on, and its
/// result is dropped; [`cancel_on_drop`](Self::cancel_on_drop) opts out of that. An error that nobody looked at is
/// logged, unless [`ignore_errors`](Self::ignore_errors) has said that nobody will.
pub struct RpcFuture<T, E = crate::error::Never> {
    reply: Reply,
    call: CallInfo,
    cancel_on_drop: bool,
    /// It was ready, or nobody will look.
    seen: bool,
    hook: Option<Arc<dyn CallHook>>,
    /// What the hook makes of a failure.
    explaining: Option<BoxFuture<'static, Failure>>,
    value: PhantomData<fn() -> Result<T, E>>,
}

/// What a layer above knows of a call, for [`RpcFuture::hooked`]. None of these may block.
pub trait CallHook: Send + Sync {
    /// Why to wait for the call here, on the current thread and in the current context, would never end.
    fn would_deadlock(&self) -> Option<Failure> {
        None
    }

    /// The failure that the caller is to see; `None` if it is `failure`. The future has to end by itself.
    fn explain(&self, failure: &Failure) -> Option<BoxFuture<'static, Failure>> {
        let _ = failure;
        None
    }
}

/// What is needed to read the response and to name the call in errors.
pub(crate) struct CallInfo {
    /// `None` if the call was never made.
    pub(crate) client: Option<Arc<crate::client::Shared>>,
    pub(crate) to: Callee,
    pub(crate) function: &'static str,
    pub(crate) signature: &'static str,
}

/// Whom a call is made to.
pub(crate) enum Callee {
    /// A member of the client's group; its name is looked up if an error needs it.
    Member(WorkerId),
    Named(WorkerName),
}

impl<T: DeserializeOwned, E: DeserializeOwned + 'static> RpcFuture<T, E> {
    pub(crate) fn new(reply: Reply, call: CallInfo) -> Self {
        Self {
            reply,
            call,
            cancel_on_drop: false,
            seen: false,
            hook: None,
            explaining: None,
            value: PhantomData,
        }
    }

    /// A future that has failed already: of a call that `function` on `to` would have been, were the worker
    /// that was to make it still there.
    pub fn lost(to: &WorkerInfo, function: &'static str, error: ReferenceError) -> Self {
        let reply = Reply::ready(Err(Failure::Reference(Box::new(error))));
        Self::new(
            reply,
            CallInfo { client: None, to: Callee::Named(to.name.clone()), function, signature: "" },
        )
    }

    /// Sets how long to wait from now, in place of the default; zero waits for ever.
    ///
    /// A handler's nested call stays bounded by the handler's own deadline. Where many calls need the same
    /// timeout, [`Client::with_timeout`](crate::Client::with_timeout) saves a message for each.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        let mut timeout = timeout_or_forever(timeout);
        if let Some(left) = CallContext::current().and_then(|context| context.remaining()) {
            timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
        self.reply.set_timeout(timeout);
        self
    }

    /// Cancels the call when this is dropped before it is done.
    #[must_use]
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancel_on_drop = true;
        self
    }

    /// Gives the call up: it ends as [`Failure::Cancelled`] here and now, and the handler and its nested
    /// calls are told. An `async` handler ends at its next await, a blocking one when it next asks
    /// [`CallContext::is_cancelled`]. Has no effect on a call that is done.
    pub fn cancel(&self) {
        self.reply.cancel();
    }

    /// Whether the response is there.
    pub fn is_done(&self) -> bool {
        self.reply.is_done()
    }

    /// Blocks this thread until the call is done. Never longer than the call's own timeout.
    ///
    /// # Errors
    /// Those of the call; [`Failure::WouldBlock`] on a thread that has to bring the response: inside of an
    /// `async` or `inline` handler, on the only thread of a tokio runtime that drives this worker, or beside
    /// 256 others that wait on threads of a runtime, which has a limited number of them.
    ///
    /// # Panics
    /// Inside of a `LocalSet` of a multi-threaded tokio runtime, which cannot give its thread away.
    pub fn wait(mut self) -> Result<T, CallError<E>> {
        match self.block(None) {
            Some(value) => value,
            None => Err(self.call.failed(Failure::WouldBlock)),
        }
    }

    /// As [`wait`](Self::wait), but at most for `at_most`; the call itself goes on and the future is
    /// handed back.
    ///
    /// # Errors
    /// The future itself if the call is not done in time, or if this thread must not block.
    pub fn wait_timeout(mut self, at_most: Duration) -> Result<Result<T, CallError<E>>, Self> {
        match self.block(Some(at_most)) {
            Some(value) => Ok(value),
            None => Err(self),
        }
    }

    /// Lets `hook` say more about the call than the agent knows.
    #[must_use]
    pub fn hooked(mut self, hook: Arc<dyn CallHook>) -> Self {
        self.hook = Some(hook);
        self
    }

    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, CallError<E>>> {
        let polled = self.poll_as(cx, true);
        self.seen = polled.is_ready();
        polled
    }

    /// As [`poll_value`](Self::poll_value), by who does not keep the current thread or task from going on.
    fn poll_detached(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, CallError<E>>> {
        let polled = self.poll_as(cx, false);
        self.seen = polled.is_ready();
        polled
    }

    #[inline]
    fn poll_as(&mut self, cx: &mut Context<'_>, waits: bool) -> Poll<Result<T, CallError<E>>> {
        if self.explaining.is_none() {
            let (result, beside) = match self.reply.poll_with_beside(cx) {
                Poll::Ready(ready) => ready,
                Poll::Pending => {
                    let hook = self.hook.as_ref().filter(|_| waits);
                    let Some(failure) = hook.and_then(|hook| hook.would_deadlock()) else {
                        return Poll::Pending;
                    };
                    self.reply.cancel();
                    return Poll::Ready(Err(self.call.failed(failure)));
                }
            };
            let read = self.call.read(result, beside.handles);
            if let Some(mut observed) = beside.observed {
                taken(&mut observed, read.as_ref().err());
            }
            match read {
                Err(CallError::Failed { failure, to, function }) => {
                    self.explaining = self.hook.as_ref().and_then(|hook| hook.explain(&failure));
                    if self.explaining.is_none() {
                        return Poll::Ready(Err(CallError::Failed { failure, to, function }));
                    }
                }
                read => return Poll::Ready(read),
            }
        }
        match &mut self.explaining {
            Some(explaining) => explaining.as_mut().poll(cx).map(|failure| Err(self.call.failed(failure))),
            None => Poll::Pending,
        }
    }

    /// Blocks this thread; `None` if it must not block, or `at_most` has passed.
    fn block(&mut self, at_most: Option<Duration>) -> Option<Result<T, CallError<E>>> {
        if let Poll::Ready(value) = self.poll_value(&mut Context::from_waker(Waker::noop())) {
            return Some(value);
        }
        let client = Arc::clone(self.call.client.as_ref()?);
        block(&client, at_most, |cx| self.poll_value(cx))
    }
}

/// Who follows the call hears that its result, or the function's own error, is there.
#[cold]
fn taken<E: 'static>(observed: &mut Observed, error: Option<&CallError<E>>) {
    let type_name = std::any::type_name::<E>();
    let error = match error {
        Some(CallError::Handler { error, .. }) => Some(error as &dyn Any),
        Some(_) | None => None,
    };
    observed.taken(error.map(|error| {
        let text = error.downcast_ref::<String>().map(|error| error as &dyn fmt::Display);
        text.or_else(|| Some(error.downcast_ref::<CallError>()? as _)).unwrap_or(&type_name)
    }));
}

/// Blocks this thread until `poll` is ready; `None` if it must not block, or `at_most` has passed.
pub(crate) fn block<R>(
    client: &crate::client::Shared,
    at_most: Option<Duration>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Option<R> {
    if NoBlocking::is_entered() || !client.agent.may_block() {
        return None;
    }
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        // Another thread takes over this one's tasks meanwhile, as long as the runtime has one left.
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => {
            let _waiter = Waiter::count(&client.waiters)?;
            tokio::task::block_in_place(|| park(at_most, poll))
        }
        _ => park(at_most, poll),
    }
}

fn park<R>(at_most: Option<Duration>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> Option<R> {
    let give_up = at_most.and_then(|at_most| Instant::now().checked_add(at_most));
    let waker = thread_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return Some(value);
        }
        match give_up {
            None => std::thread::park(),
            Some(give_up) => {
                let left = give_up.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                std::thread::park_timeout(left);
            }
        }
    }
}

/// How many threads of runtimes may wait at a time, for one client and its clones. tokio keeps at most 512
/// threads for what blocks; when they are used up, nobody is left to read the links.
const WAITERS_MAX: usize = 256;

/// One thread of a runtime that waits.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn count(waiters: &'a AtomicUsize) -> Option<Self> {
        let waiter = Self(waiters);
        (waiters.fetch_add(1, Ordering::Relaxed) < WAITERS_MAX).then_some(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CallInfo {
    fn callee(&self) -> WorkerName {
        match &self.to {
            Callee::Named(name) => name.clone(),
            Callee::Member(id) => {
                let member = self.client.as_ref().and_then(|client| client.agent.group().get(*id));
                member
                    .map_or_else(|| WorkerName::unchecked(&id.to_string()), |member| member.info.name.clone())
            }
        }
    }

    fn failed<E>(&self, failure: Failure) -> CallError<E> {
        CallError::Failed { to: self.callee(), function: self.function.into(), failure }
    }

    fn read<T: DeserializeOwned, E: DeserializeOwned>(
        &self,
        result: ReplyResult,
        handles: Option<Received>,
    ) -> Result<T, CallError<E>> {
        let response = result.map_err(|failure| self.failed(failure))?;
        let bad_reply = |error: CodecError| self.failed(Failure::BadReply { reason: error.to_string() });
        let Response { codec, outcome, body } = response;
        let Some(client) = &self.client else {
            return Err(self.failed(Failure::BadReply { reason: "to a call that was not made".into() }));
        };
        let codecs = &client.codecs;
        let handles = || handles.map_or_else(|| Ok(Vec::new()), |received| *received).map_err(bad_reply);
        match outcome {
            Outcome::Ok => codecs.decode_with_handles(codec, body, handles()?).map_err(bad_reply),
            Outcome::HandlerError => {
                let handles = handles()?;
                let error = codecs.decode_with_handles(codec, body, handles).map_err(bad_reply)?;
                Err(CallError::Handler { to: self.callee(), function: self.function.into(), error })
            }
            _ => Err(self.failed(self.explain(&Response { codec, outcome, body }))),
        }
    }

    /// What a response without a value means, in the caller's words.
    fn explain(&self, response: &Response) -> Failure {
        let mut details = response.details().into_iter();
        let mut next = || details.next().unwrap_or_default();
        match response.outcome {
            Outcome::UnknownFunction => {
                Failure::UnknownFunction { similar: similar(self.function, &response.details()) }
            }
            Outcome::SignatureMismatch => {
                let _name = next();
                Failure::SignatureMismatch { ours: self.signature.to_owned(), theirs: next() }
            }
            _ => Failure::from_response(response),
        }
    }
}

/// The callee's function that the caller may have meant, as text for the message.
fn similar(wanted: &str, known: &[String]) -> String {
    let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
    let wanted_last = last(wanted);
    match known.iter().find(|name| last(name) == wanted_last) {
        Some(name) => format!(" (it has {name})"),
        None => String::new(),
    }
}

/// # Cancel safety
/// Polling may stop at any time; the result stays until it is taken.
///
/// # Panics
/// If polled after it was ready.
impl<T: DeserializeOwned, E: DeserializeOwned + 'static> Future for RpcFuture<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_value(cx)
    }
}

impl<T, E> Drop for RpcFuture<T, E> {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.reply.cancel();
        }
        if !self.seen {
            self.reply.cell().abandon();
            let nobody = Callee::Member(WorkerId(0));
            let none = CallInfo { client: None, to: nobody, function: "", signature: "" };
            unseen::leave(self.reply.cell(), std::mem::replace(&mut self.call, none));
        }
    }
}

impl<T, E> fmt::Debug for RpcFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcFuture({} on {}, {:?})", self.call.function, self.call.callee(), self.reply)
    }
}
