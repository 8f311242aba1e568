//! [`Metrics`]: what a worker does, for the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The facade names no system: the program installs a recorder, such as `metrics-exporter-prometheus`, before its workers
//! start. It has to be one for version 0.24 of `metrics`, which this crate counts with: a recorder of another version is
//! installed beside it and hears nothing. `metrics-exporter-prometheus` 0.18 is. The example `metrics` serves a Prometheus
//! endpoint.
//!
//! ```toml
//! rpc = { path = "../rpc/rpc", features = ["metrics"] }
//! metrics-exporter-prometheus = "0.18"
//! ```
//!
//! Counted as calls happen, if the worker was given [`Metrics`] as its [`observer`](crate::WorkerBuilder::observer):
//!
//! | name | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `rpc_calls_total` | counter | calls | `function`, `outcome` | calls that this worker has made and that have ended |
//! | `rpc_call_duration_seconds` | histogram | seconds | `function` | from the call to its response or failure |
//! | `rpc_calls_in_flight` | gauge | calls | `function` | calls that this worker waits for |
//! | `rpc_call_request_bytes_total` | counter | bytes | `function` | arguments sent, tensors included |
//! | `rpc_call_response_bytes_total` | counter | bytes | `function` | results received, tensors included |
//! | `rpc_served_total` | counter | calls | `function`, `outcome` | calls that this worker has served |
//! | `rpc_serve_duration_seconds` | histogram | seconds | `function` | from the request's arrival at its function to the response |
//! | `rpc_serving` | gauge | calls | `function` | calls that are being served |
//!
//! Looked up when the program asks, with [`Metrics::record`], best right before each scrape:
//!
//! | name | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `rpc_link_up` | gauge | 0 or 1 | `peer` | whether there is a link to the peer |
//! | `rpc_queued_bytes` | gauge | bytes | `peer` | bytes that wait to be sent to the peer |
//! | `rpc_messages_sent_total`, `rpc_messages_received_total` | counter | messages | `peer` | requests and responses |
//! | `rpc_bytes_sent_total`, `rpc_bytes_received_total` | counter | bytes | `peer` | their payloads and tensors |
//! | `rpc_oldest_call_age_seconds` | gauge | seconds | | age of the call that has waited longest; 0 without one |
//! | `rpc_threads`, `rpc_threads_idle` | gauge | threads | | threads of blocking functions |
//! | `rpc_references_owned` | gauge | values | | values of this worker that somebody refers to |
//! | `rpc_references_used` | gauge | values | | values of others that this worker refers to |
//! | `rpc_references_unconfirmed` | gauge | values | | of these, those whose owner has not confirmed it |
//! | `rpc_references_travelling` | gauge | handles | | handles that were sent and not taken over yet |
//!
//! `outcome` is a word of [`CallEnd::outcome`](crate::CallEnd::outcome). Calls of references are those of their functions and
//! methods, and `to_here`. There are as many series as the program has functions and the job workers. Several workers of
//! one process count together, apart from what has a `peer`.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use rpc_core::{CallEnd, CallObserver, LinkState, ObservedCall};

use crate::Worker;

/// Counts the calls of a worker for the `metrics` facade: to be given to [`observer`](crate::WorkerBuilder::observer).
/// The [table](crate::metrics) names all that there is.
///
/// Each call costs some look-ups in the recorder on each side.
///
/// ```
/// # use rpc::prelude::*;
/// use rpc::Metrics;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// Metrics::describe(); // after the recorder was installed
/// let worker = Worker::builder_named_by_rank().observer(Metrics).init().await?;
/// Metrics::record(&worker); // before each scrape: links, queues, references
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics;

impl Metrics {
    /// Tells the recorder what the metrics mean, and their units.
    pub fn describe() {
        describe_counter!(
            "rpc_calls_total",
            Unit::Count,
            "calls that this worker has made and that have ended"
        );
        describe_histogram!(
            "rpc_call_duration_seconds",
            Unit::Seconds,
            "from the call to its response or failure"
        );
        describe_gauge!("rpc_calls_in_flight", Unit::Count, "calls that this worker waits for");
        describe_counter!("rpc_call_request_bytes_total", Unit::Bytes, "arguments sent, tensors included");
        describe_counter!("rpc_call_response_bytes_total", Unit::Bytes, "results received, tensors included");
        describe_counter!("rpc_served_total", Unit::Count, "calls that this worker has served");
        describe_histogram!(
            "rpc_serve_duration_seconds",
            Unit::Seconds,
            "from a request's arrival to its response"
        );
        describe_gauge!("rpc_serving", Unit::Count, "calls that are being served");
        describe_gauge!("rpc_link_up", Unit::Count, "whether there is a link to the peer");
        describe_gauge!("rpc_queued_bytes", Unit::Bytes, "bytes that wait to be sent to the peer");
        describe_counter!("rpc_messages_sent_total", Unit::Count, "requests and responses sent to the peer");
        describe_counter!("rpc_messages_received_total", Unit::Count, "requests and responses from the peer");
        describe_counter!("rpc_bytes_sent_total", Unit::Bytes, "payloads and tensors sent to the peer");
        describe_counter!("rpc_bytes_received_total", Unit::Bytes, "payloads and tensors from the peer");
        describe_gauge!(
            "rpc_oldest_call_age_seconds",
            Unit::Seconds,
            "age of the call that has waited longest"
        );
        describe_gauge!("rpc_threads", Unit::Count, "threads of blocking functions");
        describe_gauge!("rpc_threads_idle", Unit::Count, "of these, those that wait for work");
        describe_gauge!("rpc_references_owned", Unit::Count, "values of this worker that somebody refers to");
        describe_gauge!("rpc_references_used", Unit::Count, "values of others that this worker refers to");
        describe_gauge!("rpc_references_unconfirmed", Unit::Count, "of these, those that are not confirmed");
        describe_gauge!("rpc_references_travelling", Unit::Count, "handles sent and not taken over yet");
    }

    /// Tells the recorder of `worker`'s links, queues, threads and references as they are now. Costs as much as
    /// [`Worker::debug_info`].
    pub fn record(worker: &Worker) {
        let info = worker.debug_info();
        for peer in info.agent.peers.iter().filter(|peer| peer.worker != info.worker) {
            let name = peer.worker.name.to_string();
            let up = matches!(peer.link, LinkState::Up { .. });
            gauge!("rpc_link_up", "peer" => name.clone()).set(if up { 1.0 } else { 0.0 });
            gauge!("rpc_queued_bytes", "peer" => name.clone()).set(peer.queued_bytes as f64);
            let traffic = &peer.traffic;
            counter!("rpc_messages_sent_total", "peer" => name.clone()).absolute(traffic.messages_sent);
            counter!("rpc_messages_received_total", "peer" => name.clone())
                .absolute(traffic.messages_received);
            counter!("rpc_bytes_sent_total", "peer" => name.clone()).absolute(traffic.bytes_sent);
            counter!("rpc_bytes_received_total", "peer" => name).absolute(traffic.bytes_received);
        }
        let oldest_ms = info.agent.oldest().map_or(0, |(_, oldest)| oldest.age_ms);
        gauge!("rpc_oldest_call_age_seconds").set(oldest_ms as f64 / 1000.0);
        gauge!("rpc_threads").set(info.agent.threads.all as f64);
        gauge!("rpc_threads_idle").set(info.agent.threads.idle as f64);
        let references = &info.references;
        gauge!("rpc_references_owned").set(references.owned as f64);
        gauge!("rpc_references_used").set(references.used as f64);
        let unconfirmed = references.used_creating + references.used_unconfirmed;
        gauge!("rpc_references_unconfirmed").set(unconfirmed as f64);
        gauge!("rpc_references_travelling").set(references.travelling as f64);
    }
}

impl CallObserver for Metrics {
    fn made(&self, call: &ObservedCall<'_>) {
        gauge!("rpc_calls_in_flight", "function" => call.function).increment(1.0);
        counter!("rpc_call_request_bytes_total", "function" => call.function).increment(call.request_bytes);
    }

    fn ended(&self, call: &ObservedCall<'_>, end: &CallEnd) {
        gauge!("rpc_calls_in_flight", "function" => call.function).decrement(1.0);
        counter!("rpc_calls_total", "function" => call.function, "outcome" => end.outcome).increment(1);
        counter!("rpc_call_response_bytes_total", "function" => call.function).increment(end.response_bytes);
        histogram!("rpc_call_duration_seconds", "function" => call.function).record(end.took);
    }

    fn serving(&self, call: &ObservedCall<'_>) {
        gauge!("rpc_serving", "function" => call.function).increment(1.0);
    }

    fn served(&self, call: &ObservedCall<'_>, end: &CallEnd) {
        gauge!("rpc_serving", "function" => call.function).decrement(1.0);
        counter!("rpc_served_total", "function" => call.function, "outcome" => end.outcome).increment(1);
        histogram!("rpc_serve_duration_seconds", "function" => call.function).record(end.took);
    }
}
