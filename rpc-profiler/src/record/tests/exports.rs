//! What was recorded over several workers, as a table and as a trace.

use super::*;
use crate::summary::{Kind, SortBy};
use crate::trace::check::check;

#[tokio::test(start_paused = true)]
async fn what_ran_on_third_workers_is_in_table_and_trace_below_the_call() {
    let workers = Workers::with_clocks(&[0, 3_000_000_000, -2_000_000_000, 500]).await;
    let profiling = workers.recorders[0].profile();
    workers.client(0).rpc_async("worker1", relay, (vec![2, 3], 4)).await.unwrap();
    let profile = profiling.finish();

    let table = profile.key_averages().sort_by(SortBy::Total).table();
    let rows: Vec<_> = table.rows.iter().map(|row| (row.key.as_str(), row.kind, row.count)).collect();
    let function = profile.name(profile.calls[0].function);
    let hop = |from, to| format!("rpc_async#{function}(worker{from} -> worker{to})");
    let labels = [hop(0, 1), hop(1, 2), hop(2, 3), "leaf".to_owned()];
    let label = |depth: usize| labels[..=depth].join("#remote_op: ");
    let expected = [label(0), label(1), label(2), label(3)];
    let kinds = [Kind::Call, Kind::Call, Kind::Call, Kind::Span];
    let expected: Vec<_> =
        expected.iter().zip(kinds).map(|(label, kind)| (label.as_str(), kind, 1)).collect();
    assert_eq!(rows, expected);

    let mut trace = Vec::new();
    profile.write_chrome_trace(&mut trace).unwrap();
    let events = check(&trace).unwrap();
    let phase = |phase: &str| events.iter().filter(|event| event.phase == phase).count();
    assert_eq!((phase("s"), phase("t"), phase("f")), (3, 3, 3));
    let leaf = events.iter().find(|event| event.name == "leaf").unwrap();
    assert_eq!((leaf.pid, leaf.json["args"]["label"].as_str()), (4, Some(label(3).as_str())));
}
