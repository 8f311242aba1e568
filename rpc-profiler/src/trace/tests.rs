//! Traces of profiles made by hand and of any, and what the checker finds in those that have been spoilt.

use std::io;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::{Event, check, check_value};
use crate::arbitrary::{any_profile, near_profile, profile, span, tick, whole_call};
use crate::model::{CallTimes, NameId, Profile};

fn trace(profile: &Profile) -> Vec<u8> {
    let mut trace = Vec::new();
    profile.write_chrome_trace(&mut trace).unwrap();
    trace
}

/// Whatever is no metadata, after all checks.
fn events(profile: &Profile) -> Vec<Event> {
    let events = check(&trace(profile)).unwrap();
    events.into_iter().filter(|event| event.phase != "M").collect()
}

fn named(profile: &Profile, name: &str) -> Event {
    events(profile).into_iter().find(|event| event.name == name).unwrap_or_else(|| panic!("no {name}"))
}

const KEY: &str = "rpc_async#app::add(worker0 -> worker1)";

#[test]
fn a_call_has_slices_on_both_workers_and_an_arrow_between_them() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 100)];
    let shown: Vec<_> = events(&profile)
        .into_iter()
        .map(|Event { phase, name, pid, tid, ns, ended_ns, .. }| (phase, name, pid, tid, ns, ended_ns))
        .collect();
    let expected = [
        ("X", KEY, 1, 3, 100, 128),
        ("X", "send", 1, 3, 100, 103),
        ("s", "call", 1, 3, 101, 101),
        ("X", "receive", 1, 3, 121, 128),
        ("f", "call", 1, 3, 124, 124),
        ("X", "app::add", 2, 4, 106, 115),
        ("t", "call", 2, 4, 108, 108),
        ("X", "run", 2, 4, 110, 115),
    ];
    assert_eq!(
        shown,
        expected.map(|(phase, name, pid, tid, ns, ended)| {
            (phase.to_owned(), name.to_owned(), pid, tid, ns, ended)
        })
    );
}

#[test]
fn a_call_tells_what_is_known_of_it() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(0xabc, None, 0, 1, 0)];
    (profile.calls[0].request.bytes, profile.calls[0].response.parts) = (64, 2);
    let expected = json!({
        "id": "0000000000000abc", "outcome": "ok",
        "sent_bytes": 64, "received_bytes": 0, "received_parts": 2,
        "encode_us": 0.001, "queue_us": 0.002, "wire_out_us": 0.003, "wait_us": 0.004, "run_us": 0.005,
        "wire_back_us": 0.006, "decode_us": 0.007,
    });
    assert_eq!(named(&profile, KEY).json["args"], expected);
    assert_eq!(named(&profile, "app::add").json["args"], json!({"id": "0000000000000abc"}));
}

#[test]
fn workers_are_processes_and_lanes_are_threads_with_names() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0), whole_call(2, None, 0, 1, 5)];
    let events = check(&trace(&profile)).unwrap();
    let metadata = events.iter().filter(|event| event.phase == "M");
    let shown: Vec<_> = metadata
        .map(|event| (event.name.as_str(), event.pid, event.tid, event.json["args"].clone()))
        .collect();
    let name = |name: &str| json!({ "name": name });
    let place = |index: u32| json!({ "sort_index": index });
    let expected = [
        ("process_name", 1, 3, name("worker0")),
        ("process_sort_index", 1, 3, place(0)),
        ("thread_name", 1, 3, name("calls 1")),
        ("thread_sort_index", 1, 3, place(0)),
        ("thread_name", 1, 4, name("calls 2")),
        ("thread_sort_index", 1, 4, place(1)),
        ("process_name", 2, 5, name("worker1")),
        ("process_sort_index", 2, 5, place(1)),
        ("thread_name", 2, 5, name("handlers 1")),
        ("thread_sort_index", 2, 5, place(0)),
        ("thread_name", 2, 6, name("handlers 2")),
        ("thread_sort_index", 2, 6, place(1)),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_ran_in_a_handler_has_its_whole_label() {
    let mut profile = profile(3);
    profile.calls = vec![whole_call(1, None, 0, 1, 0), whole_call(2, Some(1), 1, 2, 10)];
    profile.spans = vec![span(3, Some(2), 2)];
    let nested = "rpc_async#app::add(worker1 -> worker2)";
    assert_eq!(named(&profile, nested).json["args"]["label"], format!("{KEY}#remote_op: {nested}"));
    assert_eq!(
        named(&profile, "load").json["args"]["label"],
        format!("{KEY}#remote_op: {nested}#remote_op: load")
    );
}

#[test]
fn a_call_of_which_only_the_callee_knows_is_told_there_without_an_arrow() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0)];
    let times = &mut profile.calls[0].times;
    (times.began, times.encoded, times.written, times.answered, times.decoded) =
        (None, None, None, None, None);
    let phases: Vec<_> = events(&profile).into_iter().map(|event| event.phase).collect();
    assert_eq!(phases, ["X", "X"]);
    assert_eq!(named(&profile, "app::add").json["args"]["outcome"], "ok");
}

#[test]
fn the_arrow_of_a_call_without_a_response_ends_in_the_handler() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0)];
    (profile.calls[0].times.answered, profile.calls[0].times.decoded) = (None, None);
    let phases: Vec<_> = events(&profile).into_iter().map(|event| event.phase).collect();
    assert_eq!(phases, ["X", "X", "s", "X", "f", "X"]);
}

/// By the clocks, the request arrived before the caller noted that it was sent, then before the call began, and then all was over
/// by then.
#[test]
fn an_arrow_ascends_or_is_left_out_when_clocks_are_off() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 100)];
    let arrow = |profile: &Profile| -> Vec<_> {
        let points = events(profile).into_iter().filter(|event| event.phase != "X");
        points.map(|event| (event.phase, event.ns)).collect()
    };
    let points = |points: [(&str, u64); 3]| points.map(|(phase, ns)| (phase.to_owned(), ns));
    for (arrived, sent, served) in [(101, 100, 101), (99, 100, 101)] {
        let times = &mut profile.calls[0].times;
        (times.arrived, times.ran) = (Some(tick(arrived)), Some(tick(arrived)));
        assert_eq!(arrow(&profile), points([("s", sent), ("f", 124), ("t", served)]));
    }
    let times = &mut profile.calls[0].times;
    (times.arrived, times.ran, times.replied) = (Some(tick(90)), Some(tick(91)), Some(tick(92)));
    assert_eq!(arrow(&profile), []);
}

/// A response may be there before anybody has noted that the request is written; and whatever else a file may say.
#[test]
fn what_is_drawn_in_a_call_lies_in_it_whatever_the_times_are() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 100)];
    profile.calls[0].times.written = Some(tick(125));
    let drawn = |profile: &Profile, name| (named(profile, name).ns, named(profile, name).ended_ns);
    assert_eq!((drawn(&profile, "send"), drawn(&profile, "receive")), ((100, 121), (121, 128)));
    let times = &mut profile.calls[0].times;
    (times.answered, times.ran, times.replied) = (Some(tick(500)), Some(tick(300)), Some(tick(200)));
    assert_eq!((drawn(&profile, "send"), drawn(&profile, "receive")), ((100, 125), (128, 128)));
    assert_eq!((drawn(&profile, "app::add"), drawn(&profile, "run")), ((106, 200), (200, 200)));
}

#[test]
fn times_count_from_what_came_first() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 0)];
    profile.calls[0].times.arrived = Some(crate::model::Tick::from_unix_ns(999_990));
    assert_eq!(named(&profile, "app::add").ns, 0);
    assert_eq!(named(&profile, KEY).ns, 10);
    let trace: Value = serde_json::from_slice(&trace(&profile)).unwrap();
    let expected = json!({
        "origin_unix_ns": "999990", "recorded_by": "worker0", "recorded_us": 1.0, "dropped": 0,
        "clocks": [
            {"worker": "worker0", "offset_ns": 0, "error_ns": 0}, {"worker": "worker1", "offset_ns": 0, "error_ns": 0},
        ],
    });
    assert_eq!(trace["otherData"], expected);
}

#[test]
fn names_come_through_whatever_is_in_them() {
    let mut profile = profile(1);
    profile.spans = (6..11_u64).map(|id| span(id, None, 0)).collect();
    for (span, name) in profile.spans.iter_mut().zip(6..) {
        span.name = NameId(name);
    }
    let names: Vec<_> = events(&profile).into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["quote \" back \\ slash", "line\nfeed \u{1} \u{7f}", "наука 😀", "", ""]);
}

/// A trace is larger than what may be in memory, so it leaves in pieces.
#[test]
fn a_trace_is_written_as_it_is_made() {
    #[derive(Default)]
    struct Pieces(Vec<usize>);
    impl io::Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut profile = profile(2);
    profile.calls = (0..5_000).map(|id| whole_call(id, None, 0, 1, 100 * id)).collect();
    let mut pieces = Pieces::default();
    profile.write_chrome_trace(&mut pieces).unwrap();
    let (all, longest) = (pieces.0.iter().sum::<usize>(), pieces.0.iter().max().copied().unwrap_or(0));
    assert!(all > 3_000_000 && longest < 70_000, "{all} bytes in pieces of up to {longest}");
}

#[test]
fn an_error_of_the_file_ends_the_writing() {
    let mut profile = profile(2);
    profile.calls = (0..5_000).map(|id| whole_call(id, None, 0, 1, 100 * id)).collect();
    let mut small = [0; 100_000];
    let error = profile.write_chrome_trace(&mut small[..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

proptest! {
    #[test]
    fn traces_of_profiles_are_what_the_format_asks_for(profile in near_profile()) {
        let events = check(&trace(&profile)).map_err(TestCaseError::fail)?;
        let spans = events.iter().filter(|event| event.json["cat"] == "span").count();
        prop_assert_eq!(spans, profile.spans.len());
    }

    /// Times that are centuries apart are beyond what viewers can tell apart, but are written all the same.
    #[test]
    fn any_profile_gives_json(profile in any_profile()) {
        prop_assert!(serde_json::from_slice::<Value>(&trace(&profile)).is_ok());
    }
}

/// Each rule of the checker finds what breaks it.
#[test]
fn the_checker_finds_what_is_wrong() {
    let mut profile = profile(2);
    profile.calls = vec![whole_call(1, None, 0, 1, 100)];
    let good: Value = serde_json::from_slice(&trace(&profile)).unwrap();
    assert!(check_value(&good).is_ok());
    let spoilt = |what: (&str, &str), key: &str, value: Option<Value>| {
        let mut trace = good.clone();
        let events = trace["traceEvents"].as_array_mut().unwrap();
        let event = events.iter_mut().find(|event| event["ph"] == what.0 && event["name"] == what.1).unwrap();
        match value {
            Some(value) => event[key] = value,
            None => _ = event.as_object_mut().unwrap().remove(key),
        }
        check_value(&trace).unwrap_err()
    };
    let cases = [
        (("X", "run"), "name", None, "name is no text"),
        (("X", "run"), "cat", None, "cat is no text"),
        (("X", "run"), "pid", None, "pid is no number"),
        (("X", "run"), "tid", Some(json!("one")), "tid is no number"),
        (("X", "run"), "ts", None, "ts is no time"),
        (("X", "run"), "ts", Some(json!(-0.5)), "ts is no time"),
        (("X", "run"), "dur", None, "dur is no time"),
        (("X", "run"), "dur", Some(json!(-1)), "dur is no time"),
        (("X", "run"), "dur", Some(json!(0.006)), "overlap"),
        (("X", "run"), "ts", Some(json!(0.105)), "overlap"),
        (("X", "run"), "tid", Some(json!(99)), "in a process or thread without a name"),
        (("X", "run"), "pid", Some(json!(1)), "in a process or thread without a name"),
        (("X", "run"), "args", Some(json!([])), "args is no object"),
        (("X", "run"), "ph", Some(json!("Q")), "ph is none of"),
        (("s", "call"), "id", None, "id is none"),
        (("s", "call"), "id", Some(json!(7)), "flow is not one start"),
        (("s", "call"), "ph", Some(json!("t")), "flow is not one start"),
        (("s", "call"), "ts", Some(json!(0.108)), "flow does not ascend"),
        (("f", "call"), "ts", Some(json!(0.129)), "bound to no slice"),
        (("f", "call"), "cat", Some(json!("other")), "flow is not one start"),
        (("t", "call"), "tid", Some(json!(3)), "in a process or thread without a name"),
        (("f", "call"), "bp", None, "bp is not e"),
        (("M", "process_name"), "args", None, "no metadata"),
        (("M", "thread_name"), "tid", Some(json!(4)), "two threads with one id"),
        (("M", "process_sort_index"), "args", Some(json!({"sort_index": "first"})), "no metadata"),
    ];
    for (what, key, value, complaint) in cases {
        let found = spoilt(what, key, value.clone());
        let is_right = found.contains(complaint) || (what.0 == "t" && found.contains("bound to no slice"));
        assert!(is_right, "{what:?} with {key} {value:?}: {found}");
    }
    for (key, value, complaint) in
        [("traceEvents", json!({}), "no traceEvents"), ("displayTimeUnit", json!("s"), "displayTimeUnit")]
    {
        let mut trace = good.clone();
        trace[key] = value;
        assert!(check_value(&trace).unwrap_err().contains(complaint));
    }
    assert!(check(b"{\"traceEvents\":[{]}").unwrap_err().contains("no JSON"));
}

#[test]
fn a_profile_without_anything_is_a_trace_without_anything() {
    let mut empty = profile(0);
    assert_eq!(events(&empty), []);
    empty.calls = vec![whole_call(1, None, 0, 1, 0)];
    empty.calls[0].times = CallTimes::default();
    assert_eq!(events(&empty), []);
}
