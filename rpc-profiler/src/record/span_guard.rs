//! [`SpanGuard`], [`InSpan`]: spans of the user's own.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::ambient::Ambient;
use super::log::Origin;
use super::recorder::Recorder;
use super::serving::Within;
use crate::model::{NameId, Span};

/// A span called `name` in the handler that runs here, until the guard is dropped; nothing outside of handlers, and
/// nothing in a task that a handler has spawned, unless [`CallContext::scope`](rpc_core::CallContext::scope) takes it there.
/// See [`Recorder::record_function`].
///
/// ```
/// # use rpc_profiler::record_function;
/// fn gradient(batch: &[f32]) -> f32 {
///     let _span = record_function("gradient"); // shows below the call, in the profile of whoever called
///     batch.iter().sum()
/// }
/// # assert_eq!(gradient(&[1.0, 2.0]), 3.0);
/// ```
pub fn record_function(name: impl Into<Cow<'static, str>>) -> SpanGuard {
    Recorder::current().map_or(SpanGuard::OFF, |recorder| recorder.record_function(name))
}

/// As [`record_function`], for `future`: from its first poll, whose handler counts, until it has ended.
///
/// What the future calls is in the span, so it has to be called in there:
/// `record_future("ask", async { client.rpc_async("worker1", f, ()).await })`. A call that is already made is not.
pub fn record_future<F: Future>(name: impl Into<Cow<'static, str>>, future: F) -> InSpan<F> {
    let name = name.into();
    InSpan::new(future, move || Recorder::current()?.open(|| name))
}

/// A piece of work that is under way on this thread. It ends when this is dropped.
///
/// Not `Send`, so that it cannot be held across an await in a task that changes threads: use
/// [`Recorder::record_future`] there, and also in futures that run side by side in one task, which would be in each
/// other's spans.
#[must_use = "a span ends when this is dropped: bind it, as in `let _span = ..`"]
pub struct SpanGuard {
    open: Option<Open>,
    _thread: UseRecordFutureAcrossAwait,
}

/// Not `Send`: a guard is of its thread. Its name stands in the compiler's error.
#[derive(Clone, Copy)]
struct UseRecordFutureAcrossAwait(PhantomData<*const ()>);

impl SpanGuard {
    /// One of which nothing is recorded.
    pub(super) const OFF: Self = Self { open: None, _thread: UseRecordFutureAcrossAwait(PhantomData) };

    pub(super) fn enter(open: Open) -> Self {
        open.ambient.enter();
        Self { open: Some(open), ..Self::OFF }
    }
}

impl Drop for SpanGuard {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.ambient.leave();
        }
    }
}

impl std::fmt::Debug for SpanGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.open.as_ref().map(|open| &open.name);
        f.debug_tuple("SpanGuard").field(&name).finish()
    }
}

/// A span that has not ended. Recorded when it is dropped.
pub(super) struct Open {
    recorder: Arc<Recorder>,
    within: Option<Arc<Within>>,
    ambient: Ambient,
    span: Span,
    name: Cow<'static, str>,
}

impl Open {
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        within: Option<Arc<Within>>,
        name: Cow<'static, str>,
    ) -> Self {
        let (id, began) = (recorder.next_id(), recorder.now());
        let mut span = Span::new(id, recorder.rank(), NameId(0), began, began);
        (span.parent, span.depth) = recorder.place(within.as_deref());
        let ambient = Ambient {
            recorder: recorder.number(),
            within: within.as_ref().map(|within| within.id),
            span: id,
            depth: span.depth,
        };
        Self { recorder: Arc::clone(recorder), within, ambient, span, name }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.span.ended = self.recorder.now();
        let (span, name) = (self.span, &*self.name);
        let origin = match &self.within {
            Some(within) => {
                within.gather(|gathered| gathered.add_span(&span, name));
                Origin::MadeInHandler
            }
            None => Origin::Made,
        };
        self.recorder.record(origin, |log| {
            let name = log.names.id(name);
            log.spans.push(origin, Span { name, ..span });
        });
    }
}

/// A future whose work is a span, from its first poll to its end.
#[must_use = "futures do nothing unless polled"]
pub struct InSpan<F> {
    future: Pin<Box<F>>,
    /// Begins with the first poll.
    begin: Option<Begin>,
    open: Option<Open>,
}

type Begin = Box<dyn FnOnce() -> Option<Open> + Send>;

impl<F> InSpan<F> {
    pub(super) fn new(future: F, begin: impl FnOnce() -> Option<Open> + Send + 'static) -> Self {
        Self { future: Box::pin(future), begin: Some(Box::new(begin)), open: None }
    }
}

/// Cancel-safe as the future is: dropped, its span ends.
impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, begin, open } = &mut *self;
        if let Some(begin) = begin.take() {
            *open = begin();
        }
        let Some(entered) = open else { return future.as_mut().poll(cx) };
        let polled = {
            let _entered = Entered::new(entered.ambient);
            future.as_mut().poll(cx)
        };
        if polled.is_ready() {
            *open = None;
        }
        polled
    }
}

impl<F> std::fmt::Debug for InSpan<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InSpan").finish_non_exhaustive()
    }
}

/// The thread is in a span while this is there, also when a poll unwinds.
struct Entered(Ambient);

impl Entered {
    fn new(ambient: Ambient) -> Self {
        ambient.enter();
        Self(ambient)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.leave();
    }
}
