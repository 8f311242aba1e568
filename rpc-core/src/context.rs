//! What a running handler knows about the call that it serves.
//!
//! Handlers are ordinary functions, so the context is found through the current thread: set while a
//! handler runs or is polled, and gone with it. Nested calls take their deadline and their cancellation
//! from it by themselves.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::client::Client;
use crate::message::{Kind, Request};
use crate::observe::Within;
use crate::observe::note::Note;
use crate::reply::ReplyCell;
use crate::trace::TraceParent;
use crate::worker::WorkerId;

thread_local! {
    /// Borrowed for as long as [`CallContext::run`] and its like run: most handlers never ask, and counting the
    /// owners of a context would cost each call more than all else that is done with it.
    static CURRENT: Cell<*const CallContext> = const { Cell::new(ptr::null()) };
    static MUST_NOT_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// The call that a handler serves: who called, how long is left, whether it was cancelled.
///
/// ```
/// use rpc_core::CallContext;
/// fn long_computation() -> u64 {
///     let mut sum = 0;
///     for i in 0..1_000_000_u64 {
///         if i % 4096 == 0 && CallContext::current().is_some_and(|call| call.is_cancelled()) {
///             break; // nobody waits for the result any more
///         }
///         sum += i;
///     }
///     sum
/// }
/// # assert_eq!(long_computation(), 499_999_500_000);
/// ```
#[derive(Clone)]
pub struct CallContext {
    call: Arc<CallState>,
    /// Weak: a handler that never ends must not keep alive the worker that would end it.
    host: Option<Weak<dyn Host>>,
    /// Behind a pointer, because most calls have none of it.
    carried: Option<Arc<Carried>>,
    /// What another layer noted of this call.
    extension: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a running function can reach of the worker that runs it. A [`Client`] is one; a facade puts its own
/// kind of worker here.
pub trait Host: Any + Send + Sync {
    /// The worker's client.
    fn client(&self) -> Client;
}

impl Host for Client {
    fn client(&self) -> Client {
        self.clone()
    }
}

/// What came with a call, beside what is called.
#[derive(Clone, Default)]
struct Carried {
    trace: Option<TraceParent>,
    /// For who follows it here.
    note: Option<Note>,
    /// Of who follows it here.
    within: Option<Within>,
}

struct CallState {
    caller: WorkerId,
    began: Instant,
    call: u64,
    /// What was asked for; of kind 0 if that is not known.
    asked_for: (Kind, u64),
    deadline: Mutex<Option<Instant>>,
    cancelled: AtomicBool,
    /// Most calls end before anybody is interested.
    wake: Mutex<Option<Box<Interested>>>,
}

/// Who has to hear of a cancellation.
#[derive(Default)]
struct Interested {
    nested: Vec<Weak<ReplyCell>>,
    /// Prune `nested` when it has grown to this, so that a handler that makes calls for ever holds
    /// twice as many entries as it has calls in flight, not all that it ever made.
    prune_at: usize,
    /// By the [`Cancelled`] that waits; gone with it.
    wakers: std::collections::HashMap<u64, Waker>,
    next: u64,
}

impl CallContext {
    /// A context for a call from `caller` that is to be answered within `timeout`.
    pub fn new(caller: WorkerId, timeout: Option<Duration>) -> Self {
        Self::begin(caller, timeout, 0, (Kind(0), 0), Instant::now())
    }

    /// The context for `request` of `caller`, which has given the call the number `call`: as [`new`](Self::new), and
    /// logs and [`AgentInfo`](crate::AgentInfo) can tell which call it is.
    pub fn of_request(caller: WorkerId, request: &Request, call: u64) -> Self {
        Self::of_request_at(caller, request, call, Instant::now())
    }

    /// As [`of_request`](Self::of_request), for a request whose time runs since `began`.
    pub(crate) fn of_request_at(caller: WorkerId, request: &Request, call: u64, began: Instant) -> Self {
        Self::begin(caller, request.timeout, call, (request.kind, request.method), began)
    }

    fn begin(
        caller: WorkerId,
        timeout: Option<Duration>,
        call: u64,
        asked_for: (Kind, u64),
        began: Instant,
    ) -> Self {
        let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
        Self {
            call: Arc::new(CallState {
                caller,
                began,
                call,
                asked_for,
                deadline: Mutex::new(deadline),
                cancelled: AtomicBool::new(false),
                wake: Mutex::default(),
            }),
            host: None,
            carried: None,
            extension: None,
        }
    }

    /// The context of the handler that runs on this thread, or is polled on it.
    pub fn current() -> Option<Self> {
        let current = CURRENT.get();
        // SAFETY: it is null, or was made of a reference in `enter` on this thread, which is borrowed until that
        // has ended and put the pointer before it back.
        unsafe { current.as_ref() }.cloned()
    }

    /// The worker that called.
    pub fn caller(&self) -> WorkerId {
        self.call.caller
    }

    /// The caller's number of the call, by which its logs name it too; 0 if the agent did not say.
    pub fn call(&self) -> u64 {
        self.call.call
    }

    pub(crate) fn began(&self) -> Instant {
        self.call.began
    }

    pub(crate) fn asked_for(&self) -> (Kind, u64) {
        self.call.asked_for
    }

    /// Time left until the caller gives up; `None` if it waits for ever. Zero when it is over.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.call.deadline.lock()
    }

    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        *self.call.deadline.lock() = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// Whether the caller has cancelled the call or its deadline has passed.
    pub fn is_cancelled(&self) -> bool {
        self.call.cancelled.load(Ordering::Acquire)
            || self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Resolves when the call is cancelled. An `async` handler does not need it: it is dropped at its
    /// next await. For what such a handler has spawned.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { call: Arc::clone(&self.call), id: None }
    }

    /// What the caller said that the call belongs to, if it did. Nested calls carry it on.
    pub fn trace(&self) -> Option<TraceParent> {
        self.carried.as_ref()?.trace
    }

    /// This context for a call that is a child of `trace`.
    #[must_use]
    pub fn with_trace(self, trace: TraceParent) -> Self {
        self.carrying(|carried| carried.trace = Some(trace))
    }

    pub(crate) fn set_trace(&mut self, trace: TraceParent) {
        self.carried_mut().trace = Some(trace);
    }

    /// What the caller's follower has sent.
    pub(crate) fn note(&self) -> Option<&Note> {
        self.carried.as_ref()?.note.as_ref()
    }

    pub(crate) fn set_note(&mut self, note: Note) {
        self.carried_mut().note = Some(note);
    }

    /// What this worker's [`Follower`](crate::Follower) knows of the call, if it follows it.
    pub fn within(&self) -> Option<&Within> {
        self.carried.as_ref()?.within.as_ref()
    }

    pub(crate) fn with_within(self, within: Within) -> Self {
        self.carrying(|carried| carried.within = Some(within))
    }

    fn carrying(mut self, change: impl FnOnce(&mut Carried)) -> Self {
        change(self.carried_mut());
        self
    }

    fn carried_mut(&mut self) -> &mut Carried {
        Arc::make_mut(self.carried.get_or_insert_default())
    }

    /// What the [`FunctionHandler`](crate::FunctionHandler) was built with, if it is of type `T`.
    pub fn host<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let host: Arc<dyn Any + Send + Sync> = self.host.as_ref()?.upgrade()?;
        host.downcast().ok()
    }

    /// The client of the worker that runs the handler; `None` if it was set up without one.
    pub fn client(&self) -> Option<Client> {
        Some(self.host.as_ref()?.upgrade()?.client())
    }

    /// This context for a handler that runs on the worker of `host`: for handlers of one's own, which run what
    /// asks for [`client`](Self::client) or [`host`](Self::host).
    #[must_use]
    pub fn with_host(self, host: Weak<dyn Host>) -> Self {
        Self { host: Some(host), ..self }
    }

    /// This context with something that the layer that serves the call wants to find again in what the handler
    /// does. There is one for each call; this replaces it.
    #[must_use]
    pub fn with_extension(self, extension: Arc<dyn Any + Send + Sync>) -> Self {
        Self { extension: Some(extension), ..self }
    }

    /// What [`with_extension`](Self::with_extension) added, if it is a `T`.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.extension.as_ref()?).downcast().ok()
    }

    /// Cancels the call and every nested call that was made in it.
    pub fn cancel(&self) {
        self.call.cancelled.store(true, Ordering::Release);
        let Some(interested) = self.call.wake.lock().take() else { return };
        for cell in interested.nested.iter().filter_map(Weak::upgrade) {
            cell.cancel();
        }
        for waker in interested.wakers.into_values() {
            waker.wake();
        }
    }

    /// Has `cell`, a nested call, cancelled with this one.
    pub(crate) fn adopt(&self, cell: &Arc<ReplyCell>) {
        let mut wake = self.call.wake.lock();
        let interested = wake.get_or_insert_default();
        if interested.nested.len() >= interested.prune_at {
            interested.nested.retain(|nested| nested.strong_count() > 0);
            interested.prune_at = (interested.nested.len() * 2).max(16);
        }
        interested.nested.push(Arc::downgrade(cell));
        drop(wake);
        if self.call.cancelled.load(Ordering::Acquire) {
            cell.cancel();
        }
    }

    /// Runs `f` with this as the current context of the thread.
    #[inline]
    fn enter<R>(&self, must_not_block: bool, f: impl FnOnce() -> R) -> R {
        /// Puts back what was before, also when `f` unwinds. It does not leave `enter`, so it cannot be forgotten.
        struct Outer {
            current: *const CallContext,
            must_not_block: bool,
        }
        impl Drop for Outer {
            fn drop(&mut self) {
                CURRENT.set(self.current);
                MUST_NOT_BLOCK.set(self.must_not_block);
            }
        }
        let before = MUST_NOT_BLOCK.get();
        let _outer = Outer { current: CURRENT.replace(self), must_not_block: before };
        MUST_NOT_BLOCK.set(before || must_not_block);
        f()
    }

    /// As [`run`](Self::run), for a handler that is being polled: it must not block.
    #[inline]
    pub(crate) fn run_async<R>(&self, f: impl FnOnce() -> R) -> R {
        self.enter(true, f)
    }

    /// Runs `f` in this context.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        self.enter(false, f)
    }

    /// Polls `future` in this context: for tasks that a handler spawns, so that their calls are bounded
    /// and cancelled with it.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let context = self.clone();
        let mut future = Box::pin(future);
        std::future::poll_fn(move |cx| context.run_async(|| future.as_mut().poll(cx)))
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("caller", &self.call.caller)
            .field("remaining", &self.remaining())
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// Marks the thread as one that must not wait for a reply, until the guard is dropped: it is inside of an
/// inline handler or of the loop that reads a link.
pub(crate) struct NoBlocking {
    before: bool,
}

impl NoBlocking {
    pub(crate) fn enter() -> Self {
        Self { before: MUST_NOT_BLOCK.replace(true) }
    }

    /// Whether the current thread is so marked.
    pub(crate) fn is_entered() -> bool {
        MUST_NOT_BLOCK.get()
    }
}

impl Drop for NoBlocking {
    fn drop(&mut self) {
        MUST_NOT_BLOCK.set(self.before);
    }
}

/// Resolves when a call is cancelled (see [`CallContext::cancelled`]). Cancel-safe.
#[derive(Debug)]
pub struct Cancelled {
    call: Arc<CallState>,
    id: Option<u64>,
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.call.wake.lock().as_mut().and_then(|interested| interested.wakers.remove(&id));
            drop(waker);
        }
    }
}

impl fmt::Debug for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallState").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut wake = this.call.wake.lock();
        if this.call.cancelled.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let interested = wake.get_or_insert_default();
        let id = *this.id.get_or_insert_with(|| {
            interested.next += 1;
            interested.next
        });
        let before = interested.wakers.insert(id, cx.waker().clone());
        drop(wake);
        drop(before);
        Poll::Pending
    }
}
