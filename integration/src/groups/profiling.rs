//! Profiles over real processes: what each worker's clock and recorder say, put together by the caller.

use anyhow::{Context, Result, ensure};
use integration::part::Part;
use integration::scenario::{Scenario, leave};
use rpc::Profile;
use rpc::prelude::*;
use rpc::rpc_profiler::model::{Call, Stage};

#[rpc::function]
fn add(a: u64, b: u64) -> u64 {
    let _span = rpc::record_function("foo");
    a + b
}

#[rpc::function]
async fn hang() {
    std::future::pending().await
}

#[rpc::function]
async fn refuse() -> Result<(), String> {
    Err("no".into())
}

/// Has the last of `way` add, through those before it.
#[rpc::function]
async fn relay(way: Vec<u32>, a: u64) -> Result<u64, String> {
    let worker = Worker::current();
    let to = |rank: &u32| WorkerId(*rank);
    match way.split_first() {
        Some((last, [])) => worker.rpc_async(to(last), add, (a, 1)).await.map_err(|error| error.to_string()),
        Some((next, rest)) => {
            let relayed = worker.rpc_async(to(next), relay, (rest.to_vec(), a)).await;
            relayed.map_err(|error| error.to_string())
        }
        None => Ok(a),
    }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_first("profiling::profiler_with_sync_rpc", 2, sync),
        Scenario::on_first("profiling::profiler_with_async_rpc", 2, asynchronous),
        Scenario::on_first("profiling::profiler_with_remote", 2, remote),
        Scenario::on_first("profiling::rpc_profiling_remote_record_function", 2, remote_record_function),
        Scenario::on_first("profiling::profiler_remote_events_profiled", 4, remote_events),
        Scenario::on_first("profiling::profiler_export_trace", 2, export_trace),
        Scenario::on_first("profiling::calls_that_fail", 2, failures),
        Scenario::new("profiling::server_process_global_profiler", 3, server),
    ]
}

/// The only call whose key begins with `operation#` and is of a function of this file.
fn only<'a>(profile: &'a Profile, operation: &str) -> Result<&'a Call> {
    let prefix = format!("{operation}#{}", module_path!());
    let mut found = profile.calls.iter().filter(|call| profile.key(call).to_string().starts_with(&prefix));
    let call = found.next().with_context(|| format!("nothing of {prefix}: {:?}", profile.calls))?;
    ensure!(found.next().is_none(), "more than one {prefix}");
    Ok(call)
}

/// All stages are known, but the queue where the transport does not tell, and their sum is the whole.
fn is_whole(call: &Call) -> Result<()> {
    let known: Vec<_> = Stage::ALL.map(|stage| call.times.stage_ns(stage)).into();
    ensure!(
        known.iter().filter(|stage| stage.is_none()).count() <= usize::from(known[1].is_none()),
        "{call:?}"
    );
    ensure!(known.iter().flatten().sum::<u64>() <= call.times.total_ns(), "{call:?}");
    Ok(())
}

async fn sync(worker: &Worker) -> Result<()> {
    let profiling = worker.profile();
    let caller = worker.clone();
    tokio::task::spawn_blocking(move || caller.rpc_sync("worker1", add, (1, 2))).await??;
    let profile = profiling.finish();
    let call = only(&profile, "rpc_sync")?;
    let key = profile.key(call).to_string();
    ensure!(key == format!("rpc_sync#{}::add(worker0 -> worker1)", module_path!()), "{key}");
    is_whole(call)
}

async fn asynchronous(worker: &Worker) -> Result<()> {
    let (sum, profile) = worker.profiled(async || worker.rpc_async("worker1", add, (1, 2)).await).await;
    ensure!(sum? == 3);
    let call = only(&profile, "rpc_async")?;
    ensure!(call.request.bytes > 0 && call.response.bytes > 0 && call.is_ok(&profile.names), "{call:?}");
    is_whole(call)?;
    ensure!(worker.rpc_async("worker1", add, (1, 2)).await? == 3, "and without a profile");
    Ok(())
}

async fn remote(worker: &Worker) -> Result<()> {
    let profiling = worker.profile();
    let sum: RRef<u64> = worker.remote("worker1", add, (1, 2))?;
    ensure!(sum.to_here().await? == 3);
    // Nobody waits for the call that made it: it ends by itself, a moment before or after.
    while only(&profiling.so_far(), "rpc_remote").is_err() {
        tokio::task::yield_now().await;
    }
    let profile = profiling.finish();
    let fetched = profile
        .calls
        .iter()
        .any(|call| profile.key(call).to_string() == "rref_to_here#to_here(worker0 -> worker1)");
    ensure!(fetched, "{:?}", profile.calls);
    Ok(())
}

async fn remote_record_function(worker: &Worker) -> Result<()> {
    let (sum, profile) = worker.profiled(async || worker.rpc_async("worker1", add, (1, 2)).await).await;
    sum?;
    let (labels, call) = (profile.labels(), only(&profile, "rpc_async")?);
    let span = profile.spans.first().context("the callee's span")?;
    ensure!(profile.spans.len() == 1 && span.worker == 1 && span.parent == Some(call.id), "{span:?}");
    let label = format!("{}#remote_op: foo", profile.key(call));
    ensure!(labels.span(0) == label, "{}", labels.span(0));
    ensure!(
        call.times.ran <= Some(span.began) && Some(span.ended) <= call.times.replied,
        "{span:?} in {call:?}"
    );
    Ok(())
}

async fn remote_events(worker: &Worker) -> Result<()> {
    let (sum, profile) =
        worker.profiled(async || worker.rpc_async("worker1", relay, (vec![2, 3], 1)).await).await;
    ensure!(sum? == 2);
    let mut calls: Vec<&Call> = profile.calls.iter().collect();
    calls.sort_by_key(|call| call.depth);
    let ends: Vec<_> = calls.iter().map(|call| (call.from, call.to)).collect();
    ensure!(ends == [(0, 1), (1, 2), (2, 3)], "{ends:?}");
    for (call, parent) in calls.iter().skip(1).zip(&calls) {
        ensure!(call.parent == Some(parent.id), "{call:?} below {parent:?}");
    }
    ensure!(profile.spans.iter().map(|span| span.worker).eq([3]), "{:?}", profile.spans);
    // All processes have the clock of this machine, and know it where the system lets them.
    let home = profile.worker(profile.home).context("the worker that recorded")?.machine;
    for other in &profile.workers {
        let error = other.clock.error_ns.with_context(|| format!("the clock of {}", other.name))?;
        let offset = other.clock.offset_ns.unsigned_abs();
        ensure!(offset <= error + CLOCKS_APART_NS, "{other:?}");
        if home.is_some() && other.machine == home {
            ensure!(offset <= ONE_CLOCK_NS && error <= ONE_CLOCK_NS, "{other:?}");
        }
    }
    Ok(())
}

/// A process that cannot read the system's two clocks together has read one after the other, and may have had to wait.
const CLOCKS_APART_NS: u64 = 50_000_000;
/// Two that can have read them as closely as this.
const ONE_CLOCK_NS: u64 = 1_000;

async fn export_trace(worker: &Worker) -> Result<()> {
    let (sum, profile) = worker.profiled(async || worker.rpc_async("worker1", add, (1, 2)).await).await;
    sum?;
    let directory = tempfile::tempdir()?;
    profile.save(directory.path())?;
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).context(name.to_owned());
    ensure!(read("table.txt")?.contains("::add(worker0 -> worker1)"));
    let trace: serde_json::Value = serde_json::from_str(&read("trace.json")?)?;
    let events = trace["traceEvents"].as_array().context("traceEvents")?;
    // From the caller, through the callee, and back.
    for (phase, process) in [("s", 1), ("t", 2), ("f", 1)] {
        let ends: Vec<_> = events.iter().filter(|event| event["ph"] == phase).collect();
        ensure!(ends.len() == 1 && ends[0]["pid"] == process, "{phase}: {ends:?}");
    }
    ensure!(read("report.html")?.contains("</html>"));
    ensure!(Profile::read_json(read("profile.json")?.as_bytes())? == profile);
    Ok(())
}

async fn failures(worker: &Worker) -> Result<()> {
    let profiling = worker.profile();
    ensure!(worker.rpc_async("worker1", refuse, ()).await.is_err());
    ensure!(worker.rpc_async("worker1", hang, ()).timeout(Duration::from_millis(20)).await.is_err());
    let profile = profiling.finish();
    let ends = profile.calls.iter().map(|call| {
        let error = call.error.map_or("", |error| profile.name(error));
        (profile.name(call.outcome), error)
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort_unstable();
    ensure!(matches!(ends[..], [("error", "no"), ("timed_out", _)]), "{ends:?}");
    ensure!(ends[1].1.starts_with("no reply within"), "{ends:?}");
    Ok(())
}

/// Rank 1 profiles what it serves, for both of the others.
async fn server(part: Part) -> Result<()> {
    let worker = part.init().await?;
    let profiling = (part.rank == 1).then(|| worker.server_profile());
    worker.barrier().await?;
    if part.rank != 1 {
        ensure!(worker.rpc_async("worker1", add, (1, 2)).await? == 3);
    }
    worker.barrier().await?;
    if let Some(profiling) = profiling {
        let profile = profiling.finish();
        let served = profile.calls.iter().filter(|call| profile.key(call).to_string().contains("::add("));
        let mut callers: Vec<_> = served.map(|call| (call.from, call.to)).collect();
        callers.sort_unstable();
        ensure!(callers == [(0, 1), (2, 1)], "{callers:?}");
        ensure!(profile.spans.len() == 2, "{:?}", profile.spans);
    }
    leave(&worker).await
}
