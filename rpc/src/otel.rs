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
//!  └ app/ask, client ► app/ask, server
//!                      └ user's span
//!                         └ app/tell, client ────► app/tell, server
//!                                                   └ user's span
//! ```
//! A call is in the span in which it is made: `rpc_async` makes it, and where its future is awaited does not matter. It
//! carries the `traceparent` of its own span (`call` to `tracing`), and that is the parent of the callee's (`serve`), in
//! which the handler runs. So what the handler opens and calls is below it, on whatever thread. Whether a trace is sampled is
//! decided where it begins, and holds everywhere. A `tracestate` and baggage do not travel.
//!
//! # What the spans say
//! As the [conventions for RPC spans](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/) have it, those that are
//! stable:
//!
//! | | |
//! |---|---|
//! | name, `rpc.method` | the function, `my_app::Counter/add`; what has no place in a program has no place in front, `to_here` |
//! | kind | client or server |
//! | `rpc.system.name` | `rrpc` |
//! | `server.address` | the name of the worker that serves: addresses are the transport's, and a worker may have several |
//! | `rpc.response.status_code` | how it ended: `ok`, `error` for the function's own, `timed_out` and so on ([`CallEnd::outcome`](crate::CallEnd::outcome)) |
//! | status, `error.type` | of a call that failed: the status is an error, with what went wrong in words as far as they are known here; not of one that the caller has given up, on the server |
//! | `worker`, `peer`, `function`, `call` | ours |
//!
//! `rpc.system` and `rpc.service` of older conventions are not set: a collector may copy them. Kind and name go through two
//! fields of the `tracing` spans, `otel.kind` and `otel.name`, which other layers show too.
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

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use rpc_core::{Client, FollowedCall, SpanEnd, SpanHook, TraceParent};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// As in the magic number on the wire.
const SYSTEM: &str = "rrpc";

/// Has the calls of `client`, and those that its worker serves, take part in traces. A source that it has stays.
pub(crate) fn take_part(client: &Client) {
    client.set_trace_source(current);
    client.observers().set_span_hook(Conventions);
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

/// Says of spans what OpenTelemetry's conventions for RPC ask for.
struct Conventions;

impl SpanHook for Conventions {
    fn made(&self, span: &Span, call: &FollowedCall<'_>) {
        describe(span, "client", call.function, call.peer.name.as_str());
    }

    fn serving(&self, span: &Span, call: &FollowedCall<'_>, parent: Option<TraceParent>) {
        describe(span, "server", call.function, call.worker.name.as_str());
        if let Some(parent) = parent {
            set_parent(span, parent);
        }
    }

    fn ended(&self, span: &Span, end: &SpanEnd<'_>) {
        span.set_attribute("rpc.response.status_code", end.outcome);
        let is_given_up = end.is_served && matches!(end.outcome, "given_up" | "cancelled");
        if end.outcome != "ok" && !is_given_up {
            span.set_attribute("error.type", end.outcome);
            let words = end.failure.map(ToString::to_string);
            span.set_status(Status::error(words.unwrap_or_else(|| end.outcome.replace('_', " "))));
        }
    }
}

/// Before the span begins for OpenTelemetry, so that samplers know it too.
fn describe(span: &Span, kind: &'static str, function: &'static str, server: &str) {
    let method = method(function);
    span.record("otel.kind", kind);
    span.record("otel.name", &*method);
    span.set_attribute("rpc.method", method.into_owned());
    span.set_attribute("rpc.system.name", SYSTEM);
    span.set_attribute("server.address", server.to_owned());
}

/// `my_app::Counter/add` of `my_app::Counter::add`. What stands in angle brackets is part of the last name.
fn method(function: &str) -> Cow<'_, str> {
    let generic = function.find('<').unwrap_or(function.len());
    let plain = function[..generic].trim_end_matches("::");
    match plain.rfind("::") {
        Some(at) => Cow::Owned(format!("{}/{}", &function[..at], &function[at + 2..])),
        None => Cow::Borrowed(function),
    }
}

fn set_parent(span: &Span, trace: TraceParent) {
    let (trace_id, parent_id) =
        (TraceId::from_bytes(trace.trace_id()), SpanId::from_bytes(trace.parent_id()));
    let flags = TraceFlags::new(trace.flags());
    let parent = SpanContext::new(trace_id, parent_id, flags, true, TraceState::default());
    // It fails if there is no layer that would want to know.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_as_the_conventions_have_it() {
        let names = ["my_app::Counter::add", "add", "app::total::<alloc::vec::Vec<u8>>", "app::total<a::B>"]
            .map(method);
        assert_eq!(
            names,
            ["my_app::Counter/add", "add", "app/total::<alloc::vec::Vec<u8>>", "app/total<a::B>"]
        );
    }
}
