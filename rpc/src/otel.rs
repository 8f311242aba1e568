//! OpenTelemetry: with the feature `otel` calls are part of the traces that `tracing-opentelemetry` records, across workers.
//!
//! There is nothing to switch on but the program's own layer, on each worker. Its filter has to let the spans of calls
//! through, which are at debug level under [`CALLS_TARGET`](crate::CALLS_TARGET):
//!
//! ```
//! use rpc::otel::opentelemetry::trace::TracerProvider;
//! use rpc::otel::tracing_opentelemetry;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
//!
//! # let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
//! // `exporter` is one for your collector, as `opentelemetry-otlp` has.
//! let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
//! let spans = tracing_opentelemetry::layer()
//!     .with_tracer(provider.tracer("my program"))
//!     .with_filter(EnvFilter::new("info,rpc::calls=debug"));
//! tracing_subscriber::registry().with(spans).with(tracing_subscriber::fmt::layer()).init();
//! # drop(provider);
//! ```
//! ```text
//! worker0             worker1                      worker2
//! user's span
//!  └ call ──────────► serve
//!                      └ user's span
//!                         └ call ────────────────► serve
//!                                                   └ user's span
//! ```
//! A call is in the span in which it is made: `rpc_async` makes it, and where its future is awaited does not matter. It
//! carries the `traceparent` of its own span `call`, and that is the parent of the callee's span `serve`, in which the handler runs. So what the handler opens and calls is below it, on whatever thread. Whether a trace is sampled is decided
//! where it begins, and holds everywhere. A `tracestate` and baggage do not travel.
//!
//! Where the layer does not take `call`, a call carries what is around it. Where the callee's does not take `serve`, the
//! handler's own spans begin a trace, unless it gives them what
//! [`CallContext::trace`](crate::CallContext::trace) says as their parent; calls that it makes outside of them go on with it.
//!
//! What the program says goes before: a [`CallScope::trace`](crate::CallScope::trace) for its calls, and a
//! [`trace_source`](crate::WorkerBuilder::trace_source) for a worker.
//!
//! It takes versions 0.33 of `opentelemetry` and 0.34 of `tracing-opentelemetry`: the layer of another version is not
//! found. Both are re-exported, for programs that want to be sure.
//!
//! Unlike [`Metrics`](crate::WorkerBuilder::observer) it asks for no word of the program's beside the feature: who installs
//! the layer wants whole traces, and without it none is recorded. A call costs one load more where there is no
//! subscriber, and where there is one without the layer, a look at the current span.

pub use {opentelemetry, tracing_opentelemetry};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use rpc_core::{Client, TraceParent};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Has the calls of `client`, and those that its worker serves, take part in traces. A source that it has stays.
pub(crate) fn take_part(client: &Client) {
    client.set_trace_source(current);
    client.observers().set_trace_sink(set_parent);
}

/// The span that OpenTelemetry has for the current one, or around it.
fn current() -> Option<TraceParent> {
    if LevelFilter::current() == LevelFilter::OFF {
        return None;
    }
    of(&Span::current().context()).or_else(|| Context::map_current(of))
}

fn of(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let span = span.span_context();
    let (trace, parent) = (span.trace_id().to_bytes(), span.span_id().to_bytes());
    TraceParent::new(trace, parent, span.trace_flags().to_u8())
}

fn set_parent(span: &Span, trace: TraceParent) {
    let (trace_id, parent_id) =
        (TraceId::from_bytes(trace.trace_id()), SpanId::from_bytes(trace.parent_id()));
    let flags = TraceFlags::new(trace.flags());
    let parent = SpanContext::new(trace_id, parent_id, flags, true, TraceState::default());
    // It fails if there is no layer that would want to know.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}
