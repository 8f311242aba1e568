//! The spans of calls name the calls of profiles. Alone in its program, because who takes spans is for all of it.

use rpc_core::{CALLS_TARGET, WorkerId};
use rpc_profiler::Recorder;
use rpc_testing::{Cluster, LogLines};
use tracing_subscriber::EnvFilter;

#[rpc_macros::function(crate = "rpc_core")]
async fn answer() -> u64 {
    42
}

/// The different `profile.id` of the lines that have `span` in them; all of them have one.
fn ids(text: &str, span: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.contains(span));
    let id = |line: &str| {
        let (_, rest) = line.split_once("profile.id=").unwrap_or_else(|| panic!("no id: {line}"));
        rest.chars().take_while(char::is_ascii_hexdigit).collect()
    };
    let mut ids: Vec<String> = lines.map(id).collect();
    ids.dedup();
    ids
}

#[tokio::test(start_paused = true)]
async fn the_spans_of_a_call_have_its_id_on_both_sides_while_it_is_profiled() {
    let lines = LogLines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{CALLS_TARGET}=debug")))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let cluster = Cluster::new(2).await;
    let [recorder, _other] = [0, 1].map(|rank| Recorder::start(cluster.client(WorkerId(rank))).unwrap());
    let call = || cluster.client(WorkerId(0)).rpc_async("worker1", answer, ());

    call().await.unwrap();
    let unprofiled = lines.take();
    assert!(unprofiled.contains("serve{") && !unprofiled.contains("profile.id"), "{unprofiled}");

    let profiling = recorder.profile();
    call().await.unwrap();
    let profile = profiling.finish();
    let text = lines.take();
    let id = format!("{:016x}", profile.calls[0].id.0);
    assert_eq!((ids(&text, "call{"), ids(&text, "serve{")), (vec![id.clone()], vec![id]), "{text}");
}
