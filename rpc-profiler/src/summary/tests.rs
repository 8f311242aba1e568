//! What tables say, for profiles made by hand and for any.

use proptest::collection::vec;
use proptest::prelude::*;

use super::rows::percentile;
use super::*;
use crate::arbitrary::{any_profile, call, profile, span, tick, whole_call};
use crate::model::{Call, ClockOffset, NameId, Span, Stage, Traffic};

const KEY: &str = "rpc_async#app::add(worker0 -> worker1)";

/// A call of which only the beginning and the end are known.
fn call_of(id: u64, began: u64, ns: u64) -> Call {
    let mut call = call(id, None, 0, 1);
    (call.times.began, call.times.answered) = (Some(tick(began)), Some(tick(began + ns)));
    call
}

fn span_of(id: u64, parent: Option<u64>, worker: u32, began: u64, ended: u64) -> Span {
    let mut span = span(id, parent, worker);
    (span.began, span.ended) = (tick(began), tick(ended));
    span
}

fn keys(table: &Table) -> Vec<&str> {
    table.rows.iter().map(|row| row.key.as_str()).collect()
}

#[test]
fn a_row_has_the_figures_of_its_calls() {
    let mut profile = profile(2);
    profile.calls = vec![call_of(1, 0, 30), call_of(2, 5, 10), call_of(3, 0, 21)];
    profile.calls[1].outcome = NameId(4);
    profile.calls[2].outcome = NameId(5);
    profile.calls[0].request = Traffic { bytes: 100, parts: 2 };
    profile.calls[1].response = Traffic { bytes: 7, parts: 1 };
    let table = profile.key_averages().table();
    let [row] = table.rows.as_slice() else { panic!("{table}") };
    assert_eq!((row.key.as_str(), row.kind, row.count, row.errors, row.timeouts), (KEY, Kind::Call, 3, 2, 1));
    assert_eq!(
        (row.total_ns, row.self_ns, row.mean_ns, row.p50_ns, row.p99_ns, row.max_ns),
        (61, 61, 20, 21, 30, 30)
    );
    assert_eq!(
        (row.request.bytes, row.request.parts, row.response.bytes, row.response.parts),
        (100, 2, 7, 1)
    );
    assert_eq!(row.bytes(), 107);
    assert_eq!((table.total.count, table.total.total_ns, table.spans), (3, 61, 0));
    assert_eq!(table.failures, [("error".to_owned(), 1), ("timed_out".to_owned(), 1)]);
}

#[test]
fn stages_have_shares_of_the_total() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0), whole_call(2, None, 0, 1, 50), call_of(3, 0, 1_000)];
    let table = profile.key_averages().table();
    assert_eq!(table.rows[0].stages_ns, [2, 4, 6, 8, 10, 12, 14]);
    assert_eq!(table.rows[0].stage_ns(Stage::WireOut), 6);
    let row = &table.rows[0];
    assert_eq!((row.total_ns, row.stages_known), (2 * 28 + 1_000, [2; 7]));
    assert_eq!(row.stage_share(Stage::Decode), Some(14.0 / 1_056.0));
    assert_eq!(row.unknown_share(), 1_000.0 / 1_056.0);
    profile.calls.drain(..2);
    let unknown = &profile.key_averages().table().rows[0];
    assert_eq!((unknown.stage_share(Stage::Decode), unknown.unknown_share()), (None, 1.0));
}

#[test]
fn calls_are_grouped_by_what_was_asked_for() {
    let mut profile = profile(3);
    profile.calls =
        vec![whole_call(1, None, 0, 1, 0), whole_call(2, Some(1), 1, 2, 10), whole_call(3, None, 0, 2, 0)];
    profile.calls[2].function = NameId(6);
    profile.spans = vec![span_of(4, Some(2), 2, 20, 22)];
    let grouped = |group_by| profile.key_averages().group_by(group_by).sort_by(SortBy::Name).table();
    let of = |group_by| keys(&grouped(group_by)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let nested = format!("{KEY}#remote_op: rpc_async#app::add(worker1 -> worker2)");
    let third = "rpc_async#quote \" back \\ slash(worker0 -> worker2)".to_owned();
    assert_eq!(
        of(GroupBy::Label),
        [KEY.to_owned(), nested.clone(), format!("{nested}#remote_op: load"), third]
    );
    assert_eq!(of(GroupBy::Function), ["app::add", "load", "quote \" back \\ slash"]);
    assert_eq!(of(GroupBy::Operation), ["rpc_async"]);
    assert_eq!(of(GroupBy::Pair), ["worker0 -> worker1", "worker0 -> worker2", "worker1 -> worker2"]);
    assert_eq!(of(GroupBy::Caller), ["worker0", "worker1", "worker2"]);
    assert_eq!(of(GroupBy::Callee), ["worker1", "worker2"]);
    let kinds: Vec<_> = grouped(GroupBy::Caller).rows.iter().map(|row| (row.kind, row.count)).collect();
    assert_eq!(kinds, [(Kind::Call, 2), (Kind::Call, 1), (Kind::Span, 1)]);
}

#[test]
fn rows_are_sorted_by_what_was_asked_for_and_the_rest_is_counted() {
    let mut profile = profile(1);
    profile.names.extend(["many", "long", "heavy"].map(str::to_owned));
    let of = |function: u32, id: u64, ns: u64, bytes: u64| {
        let mut call = call_of(id, 0, ns);
        (call.function, call.request.bytes) = (NameId(10 + function), bytes);
        call
    };
    profile.calls = (0..10).map(|id| of(0, id, 10, 1)).collect();
    profile.calls.extend([of(1, 20, 50, 2), of(1, 21, 1, 2), of(2, 22, 30, 100)]);
    let sorted = |sort_by| {
        let table = profile.key_averages().group_by(GroupBy::Function).sort_by(sort_by).table();
        keys(&table).join(" ")
    };
    assert_eq!(sorted(SortBy::Total), "many long heavy");
    assert_eq!(sorted(SortBy::SelfTime), "many long heavy");
    assert_eq!(sorted(SortBy::Mean), "heavy long many");
    assert_eq!(sorted(SortBy::P99), "long heavy many");
    assert_eq!(sorted(SortBy::Max), "long heavy many");
    assert_eq!(sorted(SortBy::Count), "many long heavy");
    assert_eq!(sorted(SortBy::Bytes), "heavy many long");
    assert_eq!(sorted(SortBy::Name), "heavy long many");
    let table = profile.key_averages().group_by(GroupBy::Function).row_limit(1).table();
    assert_eq!((keys(&table), table.rows_left_out, table.total.count), (vec!["many"], 2, 13));
}

/// Two children overlap, and one sticks out: what they cover together is 10 to 40 and 90 to 100.
#[test]
fn the_time_of_its_own_is_without_what_is_inside() {
    let mut profile = profile(2);
    profile.spans = vec![
        span_of(1, None, 0, 0, 100),
        span_of(2, Some(1), 0, 10, 30),
        span_of(3, Some(1), 0, 20, 40),
        span_of(4, Some(1), 0, 90, 120),
        span_of(5, Some(2), 0, 10, 30),
        span_of(6, Some(7), 1, 11, 14),
    ];
    profile.calls = vec![whole_call(7, None, 0, 1, 0)];
    for (span, name) in profile.spans.iter_mut().zip([2, 3, 4, 5, 6, 8]) {
        span.name = NameId(name);
    }
    let table = profile.key_averages().group_by(GroupBy::Function).sort_by(SortBy::SelfTime).table();
    let selves: Vec<_> = table.rows.iter().map(|row| (row.key.as_str(), row.total_ns, row.self_ns)).collect();
    let expected = [
        ("load", 100, 60),
        ("timed_out", 30, 30),
        ("app::add", 28, 25),
        ("error", 20, 20),
        ("quote \" back \\ slash", 20, 20),
        ("наука 😀", 3, 3),
        ("ok", 20, 0),
    ];
    assert_eq!(selves, expected);
}

#[test]
fn a_percentile_is_the_least_time_that_so_many_do_not_exceed() {
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!([0, 1, 50, 99, 100].map(|p| percentile(&hundred, p)), [1, 1, 50, 99, 100]);
    assert_eq!([50, 99].map(|p| percentile(&[1, 2, 3], p)), [2, 3]);
    assert_eq!([50, 99].map(|p| percentile(&[7], p)), [7, 7]);
    assert_eq!(percentile(&[], 50), 0);
}

/// What people see, from end to end.
#[test]
fn a_table_reads_like_this() {
    let mut profile = profile(2);
    profile.ended = tick(1_234_567_890);
    (profile.dropped, profile.under_way) = (3, 4);
    profile.workers[1].clock = ClockOffset::new(-1_500, Some(250));
    profile.workers.push(crate::model::Worker::new(2, "worker2", ClockOffset::new(0, None)));
    profile.calls = vec![call_of(1, 0, 2_000_000), call_of(2, 0, 1_500), whole_call(3, None, 0, 1, 0)];
    profile.calls[0].outcome = NameId(5);
    profile.calls[1].request = Traffic { bytes: 4_096, parts: 1 };
    profile.spans = vec![span_of(4, None, 0, 0, 10), span_of(5, None, 0, 0, 900)];
    profile.spans[1].name = NameId(7);
    let text = profile.key_averages().row_limit(2).table().to_string();
    assert_eq!(text, TEXT);
}

const TEXT: &str = "\
name                                    calls  errors  timed out     total      self        mean       p50       p99       max  encode  queue  wire out   wait    run  wire back  decode  not known     sent  parts  received  kind
-----------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------
rpc_async#app::add(worker0 -> worker1)      3       1          1  2.001 ms  2.001 ms  667.176 µs  1.500 µs  2.000 ms  2.000 ms   0.0 %  0.0 %     0.0 %  0.0 %  0.0 %      0.0 %   0.0 %    100.0 %  4.0 KiB      1       0 B     -
line\\nfeed \\u{1} \\u{7f}                     1       -          -    900 ns    900 ns      900 ns    900 ns    900 ns    900 ns       -      -         -      -      -          -       -          -        -      -         -  span
-----------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------
all calls                                   3       1          1  2.001 ms  2.001 ms  667.176 µs  1.500 µs  2.000 ms  2.000 ms   0.0 %  0.0 %     0.0 %  0.0 %  0.0 %      0.0 %   0.0 %    100.0 %  4.0 KiB      1       0 B     -
Rows that are not shown: 1.
Recorded by worker0 for 1.234 s: 3 calls, 2 spans, 3 dropped for lack of room.
Calls without a result: 1 timed_out.
Clocks are off by (taken off all times): worker0 +0 ns ± 0 ns, worker1 -1.500 µs ± 250 ns, worker2 unknown.
Calls that were still under way, and are not shown: 4.
A call counts in those in whose handlers it was made, too. Stages are shares of the total; percentiles are exact, by nearest rank.
";

/// For one's own tools.
#[test]
fn a_table_comes_back_from_json_as_it_was() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0), call_of(2, 0, 7)];
    profile.spans = vec![span_of(3, Some(1), 1, 11, 12)];
    let table = profile.key_averages().table();
    let json = serde_json::to_value(&table).unwrap();
    assert_eq!(
        (json["rows"][0]["kind"].as_str(), json["rows"][0]["total_ns"].as_u64()),
        (Some("call"), Some(35))
    );
    assert_eq!(serde_json::from_value::<Table>(json).unwrap(), table);
}

/// A profile without anything, and one of depth: nothing recurses.
#[test]
fn tables_are_of_any_size() {
    let empty = profile(0).key_averages().table();
    assert_eq!((empty.rows.len(), empty.total.count, empty.total.max_ns), (0, 0, 0));
    assert!(empty.to_string().contains("0 calls, 0 spans"));
    let mut deep = profile(1);
    deep.spans = (1..=50_000).map(|id| span_of(id, Some(id - 1), 0, id, 100_000 - id)).collect();
    let table = deep.key_averages().table();
    assert_eq!((table.rows[0].count, table.rows[0].max_ns, table.rows[0].self_ns), (50_000, 99_998, 99_998));
    assert_eq!(deep.lanes().workers[0].own, 1);
}

proptest! {
    /// The definition, in so many words.
    #[test]
    fn percentiles_are_what_the_definition_says(mut times in vec(0..100_u64, 1..200), percent in 1..=100_usize) {
        times.sort_unstable();
        let found = percentile(&times, percent);
        let reached = |time: u64| times.iter().filter(|other| **other <= time).count() * 100 >= percent * times.len();
        prop_assert_eq!(Some(found), times.iter().copied().find(|time| reached(*time)));
    }

    /// Whatever a table is grouped by, its rows have all calls, and its text has a line for each.
    #[test]
    fn rows_have_all_calls_once(profile in any_profile()) {
        let groups =
            [GroupBy::Label, GroupBy::Function, GroupBy::Operation, GroupBy::Pair, GroupBy::Caller, GroupBy::Callee];
        for group_by in groups {
            let table = profile.key_averages().group_by(group_by).table();
            let count = |kind| table.rows.iter().filter(|row| row.kind == kind).map(|row| row.count).sum::<u64>();
            prop_assert_eq!(count(Kind::Call), table.total.count);
            prop_assert!(table.total.count <= profile.calls.len() as u64);
            let spans = match group_by {
                GroupBy::Operation | GroupBy::Pair | GroupBy::Callee => 0,
                _ => profile.spans.len() as u64,
            };
            prop_assert_eq!(count(Kind::Span), spans);
            for row in &table.rows {
                prop_assert!(row.self_ns <= row.total_ns && row.p50_ns <= row.p99_ns && row.p99_ns <= row.max_ns);
                prop_assert!(row.timeouts <= row.errors && row.errors <= row.count);
            }
            let mut keys: Vec<_> = table.rows.iter().map(|row| (row.kind, &row.key)).collect();
            keys.sort();
            prop_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "two rows have one key");
            prop_assert!(table.to_string().lines().count() >= table.rows.len() + 5);
        }
    }
}
