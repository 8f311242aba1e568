//! Calls in OpenTelemetry traces. Alone in its program, because who takes spans is for all of it; each test knows its own
//! by their trace.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::{Arc, LazyLock};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use rpc::otel::opentelemetry::Context;
use rpc::otel::opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use rpc::otel::tracing_opentelemetry::{self, OpenTelemetrySpanExt};
use rpc::prelude::*;
use rpc::{CALLS_TARGET, CallContext, CallScope, MemoryStore, TraceParent, WorkerBuilder};
use tracing::{Instrument, Span, Subscriber, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What the subscriber of this program exports; each span when it ends.
static EXPORTED: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let subscriber = exporting(&exporter, &format!("info,{CALLS_TARGET}=debug"));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    exporter
});

fn exporting(exporter: &InMemorySpanExporter, filter: &str) -> impl Subscriber + Send + Sync {
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing_subscriber::registry().with(layer.with_filter(EnvFilter::new(filter)))
}

fn exported(trace: TraceId) -> Vec<SpanData> {
    let mut spans = EXPORTED.get_finished_spans().unwrap();
    spans.retain(|span| span.span_context.trace_id() == trace);
    spans
}

/// Three workers over TCP.
async fn workers(change: impl Fn(WorkerBuilder) -> WorkerBuilder) -> [Worker; 3] {
    LazyLock::force(&EXPORTED);
    let store = Arc::new(MemoryStore::default());
    let start = |rank: u32| {
        let builder = Worker::builder_named_by_rank().rank(rank).world_size(3).backend("tcp");
        let builder = builder.store(store.clone()).variables(|_| None).local_links(false);
        tokio::spawn(change(builder).init())
    };
    let (first, second, third) = (start(0), start(1), start(2));
    [first.await.unwrap().unwrap(), second.await.unwrap().unwrap(), third.await.unwrap().unwrap()]
}

async fn shutdown(workers: [Worker; 3]) {
    let [first, second, third] = &workers;
    tokio::try_join!(first.shutdown(), second.shutdown(), third.shutdown()).unwrap();
}

/// Passes the call on to worker2, after it has waited once.
#[rpc::function]
async fn middle() -> Option<String> {
    tokio::task::yield_now().await;
    Worker::current().rpc_async("worker2", last, ()).await.unwrap()
}

/// What it was called with. Runs on a thread.
#[rpc::function]
fn last() -> Option<String> {
    let _span = info_span!("in last").entered();
    CallContext::current()?.trace().map(|trace| trace.to_string())
}

/// From the root to the span called `leaf`: names, and of calls what they are and on which worker.
fn chain(spans: &[SpanData], leaf: &str) -> Vec<String> {
    let mut next = spans.iter().find(|span| span.name == leaf);
    let mut chain = Vec::new();
    while let Some(span) = next {
        let worker = attribute(span, "worker");
        let worker = worker.map(|worker| format!(" {:?} on {worker}", span.span_kind)).unwrap_or_default();
        chain.insert(0, format!("{}{worker}", span.name));
        next = spans.iter().find(|above| above.span_context.span_id() == span.parent_span_id);
    }
    chain
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string())
}

/// The trace of a span.
fn trace_of(span: &Span) -> TraceId {
    span.context().span().span_context().trace_id()
}

#[tokio::test]
async fn a_trace_goes_through_three_workers() {
    let workers = workers(|builder| builder).await;
    let user = info_span!("user's");
    let trace = trace_of(&user);
    async { workers[0].rpc_async("worker1", middle, ()).await }.instrument(user).await.unwrap();
    shutdown(workers).await;

    let spans = exported(trace);
    let below = [
        "user's",
        "otel/middle Client on worker0",
        "otel/middle Server on worker1",
        "otel/last Client on worker1",
        "otel/last Server on worker2",
        "in last",
    ];
    assert_eq!((chain(&spans, "in last"), spans.len()), (below.map(str::to_owned).to_vec(), below.len()));
    // Each lasts for as long as what is below it.
    let ends: Vec<_> = [SpanKind::Server, SpanKind::Client]
        .map(|kind| spans.iter().filter(move |span| span.span_kind == kind).map(|span| span.end_time))
        .map(|ends| ends.max().unwrap())
        .to_vec();
    assert!(ends.is_sorted(), "a call ended before it was served: {ends:?}");
}

#[tokio::test]
async fn what_is_not_sampled_where_it_begins_is_nowhere() {
    let workers = workers(|builder| builder).await;
    for (flags, sampled) in [(TraceFlags::NOT_SAMPLED, false), (TraceFlags::SAMPLED, true)] {
        let trace = TraceId::from_bytes([2 + flags.to_u8(); 16]);
        let outside = SpanContext::new(trace, SpanId::from_bytes([7; 8]), flags, true, TraceState::default());
        let user = info_span!("user's");
        user.set_parent(Context::new().with_remote_span_context(outside)).unwrap();
        let call = user.in_scope(|| workers[0].rpc_async("worker1", middle, ()));
        drop(user);
        let seen: TraceParent = call.await.unwrap().unwrap().parse().unwrap();
        assert_eq!((seen.trace_id(), seen.is_sampled()), (trace.to_bytes(), sampled));
        let count = if sampled { 6 } else { 0 };
        assert_eq!(exported(trace).len(), count, "{:?}", exported(trace));
    }
    shutdown(workers).await;
}

#[tokio::test]
async fn calls_outside_of_spans_are_traces_of_their_own() {
    let workers = workers(|builder| builder).await;
    let mut traces = Vec::new();
    for _ in 0..2 {
        let seen = workers[0].rpc_async("worker1", middle, ()).await.unwrap().unwrap();
        let trace = TraceId::from_bytes(seen.parse::<TraceParent>().unwrap().trace_id());
        assert_eq!(
            chain(&exported(trace), "in last")[..2],
            ["otel/middle Client on worker0", "otel/middle Server on worker1"]
        );
        traces.push(trace);
    }
    shutdown(workers).await;
    assert_ne!(traces[0], traces[1]);
}

#[tokio::test]
async fn what_the_program_says_goes_before() {
    let [said, scoped] = [8, 9].map(|id| TraceParent::new([id; 16], [id; 8], 1).unwrap());
    let workers = workers(move |builder| builder.trace_source(move || Some(said))).await;
    let call = || workers[0].rpc_async("worker2", last, ());
    let by_source = info_span!("user's").in_scope(call).await.unwrap();
    let by_scope = info_span!("user's").in_scope(|| CallScope::new().trace(scoped).run(call)).await.unwrap();
    shutdown(workers).await;
    assert_eq!((by_source, by_scope), (Some(said.to_string()), Some(scoped.to_string())));
    for trace in [said, scoped] {
        let spans = exported(TraceId::from_bytes(trace.trace_id()));
        assert_eq!(chain(&spans, "in last"), ["otel/last Server on worker2", "in last"]);
    }
}

#[rpc::function(inline)]
fn refuse() -> Result<(), String> {
    Err("no".into())
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function(inline)]
fn fine() {}

/// What a span of a call says, as the conventions have it: kind, status, status code, type of error, method, system, server.
fn said(span: &SpanData) -> (SpanKind, Status, [Option<String>; 5]) {
    let keys = ["rpc.response.status_code", "error.type", "rpc.method", "rpc.system.name", "server.address"];
    (span.span_kind.clone(), span.status.clone(), keys.map(|key| attribute(span, key)))
}

#[tokio::test]
async fn spans_say_what_the_conventions_for_rpc_ask_for() {
    let workers = workers(|builder| builder).await;
    let user = info_span!("user's");
    let trace = trace_of(&user);
    let calls = async {
        workers[0].rpc_async("worker1", fine, ()).await.unwrap();
        workers[0].rpc_async("worker1", refuse, ()).await.unwrap_err();
        workers[0].rpc_async("worker1", hang, ()).timeout(Duration::from_millis(20)).await.unwrap_err();
        workers[0].rpc_async("worker1", hang, ()).cancel();
    };
    calls.instrument(user).await;
    shutdown(workers).await;

    let spans = exported(trace);
    let of = |name: &str, kind: SpanKind| {
        let found = spans.iter().filter(|span| span.name == name && span.span_kind == kind);
        found.map(said).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    let attributes = |outcome, error: Option<&str>, method| {
        [text(outcome), error.map(str::to_owned), text(method), text("rrpc"), text("worker1")]
    };
    for kind in [SpanKind::Client, SpanKind::Server] {
        let good = attributes("ok", None, "otel/fine");
        assert_eq!(of("otel/fine", kind.clone()), [(kind.clone(), Status::Unset, good)]);
        let refused = attributes("error", Some("error"), "otel/refuse");
        assert_eq!(of("otel/refuse", kind.clone()), [(kind, Status::error("error"), refused)]);
    }
    let hung = of("otel/hang", SpanKind::Client);
    let [(_, Status::Error { description }, timed_out), (_, Status::Error { .. }, cancelled)] = &hung[..]
    else {
        panic!("{hung:?}")
    };
    assert_eq!(*timed_out, attributes("timed_out", Some("timed_out"), "otel/hang"));
    assert!(description.contains("no reply within 20ms"), "{description}");
    assert_eq!(*cancelled, attributes("cancelled", Some("cancelled"), "otel/hang"));
    // Whom nobody waits for any more has done nothing wrong.
    let served = of("otel/hang", SpanKind::Server);
    assert!(served.iter().all(|(_, status, _)| *status == Status::Unset), "{served:?}");
}

/// On one thread, with a layer of its own.
#[tokio::test]
async fn where_the_layer_does_not_take_calls_they_carry_what_is_around_them() {
    let own = InMemorySpanExporter::default();
    let _guard = tracing::subscriber::set_default(exporting(&own, "info"));
    let workers = workers(|builder| builder).await;
    let user = info_span!("user's");
    let around = user.context().span().span_context().span_id().to_bytes();
    let seen = user.in_scope(|| workers[0].rpc_async("worker2", last, ())).await.unwrap().unwrap();
    shutdown(workers).await;
    assert_eq!(seen.parse::<TraceParent>().unwrap().parent_id(), around);
}
