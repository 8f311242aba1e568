//! [`RpcFuture`]: the value of a call that is under way.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::agent::timeout_or_forever;
use crate::context::{CallContext, NoBlocking};
use crate::error::{CallError, Failure};
use crate::message::{Outcome, Response};
use crate::reply::{Reply, ReplyResult};
use crate::worker::WorkerName;

/// The value of a call that is under way.
///
/// The call has left when this exists; nothing has to be polled for it to proceed. It can be awaited on
/// any async runtime, or waited for on a plain thread. Dropping it detaches: the call goes on, and its
/// result is dropped; [`cancel_on_drop`](Self::cancel_on_drop) opts out of that.
pub struct RpcFuture<T, E = crate::error::Never> {
    reply: Reply,
    call: CallInfo,
    cancel_on_drop: bool,
    value: PhantomData<fn() -> Result<T, E>>,
}

/// What is needed to read the response and to name the call in errors.
pub(crate) struct CallInfo {
    pub(crate) client: Arc<crate::client::Shared>,
    pub(crate) to: WorkerName,
    pub(crate) function: &'static str,
    pub(crate) signature: &'static str,
}

impl<T: DeserializeOwned, E: DeserializeOwned> RpcFuture<T, E> {
    pub(crate) fn new(reply: Reply, call: CallInfo) -> Self {
        Self { reply, call, cancel_on_drop: false, value: PhantomData }
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
            Some(result) => self.call.read(result),
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
            Some(result) => Ok(self.call.read(result)),
            None => Err(self),
        }
    }

    fn block(&mut self, at_most: Option<Duration>) -> Option<ReplyResult> {
        if self.reply.is_done() {
            return self.reply.wait_timeout(Some(Duration::ZERO));
        }
        if NoBlocking::is_entered() || !self.call.client.agent.may_block() {
            return None;
        }
        let reply = &mut self.reply;
        match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            // Another thread takes over this one's tasks meanwhile, as long as the runtime has one left.
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => {
                let _waiter = Waiter::count(&self.call.client.waiters)?;
                tokio::task::block_in_place(|| reply.wait_timeout(at_most))
            }
            _ => reply.wait_timeout(at_most),
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
    fn failed<E>(&self, failure: Failure) -> CallError<E> {
        CallError::Failed { to: self.to.clone(), function: self.function.into(), failure }
    }

    fn read<T: DeserializeOwned, E: DeserializeOwned>(&self, result: ReplyResult) -> Result<T, CallError<E>> {
        let response = result.map_err(|failure| self.failed(failure))?;
        let bad_reply =
            |error: crate::codec::CodecError| self.failed(Failure::BadReply { reason: error.to_string() });
        match response.outcome {
            Outcome::Ok => self.client.codecs.decode(response.codec, response.body).map_err(bad_reply),
            Outcome::HandlerError => {
                let error = self.client.codecs.decode(response.codec, response.body).map_err(bad_reply)?;
                Err(CallError::Handler { to: self.to.clone(), function: self.function.into(), error })
            }
            _ => Err(self.failed(self.explain(&response))),
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
impl<T: DeserializeOwned, E: DeserializeOwned> Future for RpcFuture<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.reply).poll(cx).map(|result| self.call.read(result))
    }
}

impl<T, E> Drop for RpcFuture<T, E> {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.reply.cancel();
        }
    }
}

impl<T, E> fmt::Debug for RpcFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcFuture({} on {}, {:?})", self.call.function, self.call.to, self.reply)
    }
}
