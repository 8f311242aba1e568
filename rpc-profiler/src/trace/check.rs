//! Checks a trace against the trace-event format: what a viewer needs to show it whole.
//!
//! - the object form: `traceEvents`, and `displayTimeUnit` if there is one
//! - phases that we use, each with the fields that it has to have, of the right types, and times that are not negative
//! - slices of one thread nest, or do not overlap
//! - flows have one start and one end, ascend, and each of their points is in a slice of its thread
//! - processes and threads with slices have names, and no two processes share a thread

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// An event, as far as the tests ask.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) phase: String,
    pub(crate) name: String,
    pub(crate) pid: u64,
    pub(crate) tid: u64,
    pub(crate) ns: u64,
    pub(crate) ended_ns: u64,
    pub(crate) json: Value,
}

/// The events of a trace that viewers show whole; or what they would complain about.
pub(crate) fn check(trace: &[u8]) -> Result<Vec<Event>, String> {
    let trace: Value = serde_json::from_slice(trace).map_err(|error| format!("no JSON: {error}"))?;
    check_value(&trace)
}

pub(crate) fn check_value(trace: &Value) -> Result<Vec<Event>, String> {
    let unit = trace.get("displayTimeUnit").map_or(Some("ms"), Value::as_str);
    if !matches!(unit, Some("ms" | "ns")) {
        return Err("displayTimeUnit is neither ms nor ns".to_owned());
    }
    let events = trace["traceEvents"].as_array().ok_or("no traceEvents")?;
    let events: Vec<_> = events.iter().map(event).collect::<Result<_, _>>()?;
    let slices = slices(&events)?;
    flows(&events, &slices)?;
    names(&events)?;
    Ok(events)
}

fn event(json: &Value) -> Result<Event, String> {
    let wrong = |what: &str| format!("{what}: {json}");
    let text =
        |key: &str| json[key].as_str().map(str::to_owned).ok_or_else(|| wrong(&format!("{key} is no text")));
    let whole = |key: &str| json[key].as_u64().ok_or_else(|| wrong(&format!("{key} is no number")));
    let time = |key: &str| {
        let us = json[key].as_f64().filter(|us| *us >= 0.0);
        us.map(|us| (us * 1e3).round() as u64).ok_or_else(|| wrong(&format!("{key} is no time")))
    };
    let phase = text("ph")?;
    let (pid, tid, name) = (whole("pid")?, whole("tid")?, text("name")?);
    if !matches!(json.get("args"), None | Some(Value::Object(_))) {
        return Err(wrong("args is no object"));
    }
    let (ns, ended_ns) = match phase.as_str() {
        "X" => (time("ts")?, time("ts")? + time("dur")?),
        "s" | "t" | "f" => {
            let is_id = json["id"].is_u64() || json["id"].is_string();
            is_id.then_some(()).ok_or_else(|| wrong("id is none"))?;
            if phase == "f" && json["bp"] != "e" {
                return Err(wrong("bp is not e, so the end is of the next slice"));
            }
            (time("ts")?, time("ts")?)
        }
        "M" => {
            let args = &json["args"];
            let is_good = match name.as_str() {
                "process_name" | "thread_name" => args["name"].is_string(),
                "process_sort_index" | "thread_sort_index" => args["sort_index"].is_i64(),
                _ => false,
            };
            is_good.then_some((0, 0)).ok_or_else(|| wrong("no metadata"))?
        }
        _ => return Err(wrong("ph is none of X, M, s, t and f")),
    };
    if phase != "M" {
        text("cat")?;
    }
    Ok(Event { phase, name, pid, tid, ns, ended_ns, json: json.clone() })
}

type Threads<'a> = BTreeMap<(u64, u64), Vec<&'a Event>>;

/// By thread, those that contain others first.
fn slices(events: &[Event]) -> Result<Threads<'_>, String> {
    let mut threads = Threads::new();
    for event in events.iter().filter(|event| event.phase == "X") {
        threads.entry((event.pid, event.tid)).or_default().push(event);
    }
    for slices in threads.values_mut() {
        slices.sort_by_key(|slice| (slice.ns, std::cmp::Reverse(slice.ended_ns)));
        let mut open: Vec<&Event> = Vec::new();
        for slice in slices {
            open.retain(|around| around.ended_ns > slice.ns);
            if let Some(around) = open.last().filter(|around| around.ended_ns < slice.ended_ns) {
                return Err(format!("overlap: {} sticks out of {}", slice.json, around.json));
            }
            open.push(slice);
        }
    }
    Ok(threads)
}

fn flows(events: &[Event], slices: &Threads<'_>) -> Result<(), String> {
    let mut flows: BTreeMap<(String, String, String), Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| matches!(event.phase.as_str(), "s" | "t" | "f")) {
        let Value::Object(json) = &event.json else { continue };
        let key = ["cat", "name", "id"].map(|key| json[key].to_string());
        let [category, name, id] = key;
        flows.entry((category, name, id)).or_default().push(event);
        let there = slices.get(&(event.pid, event.tid)).map_or(&[][..], Vec::as_slice);
        if !there.iter().any(|slice| (slice.ns..=slice.ended_ns).contains(&event.ns)) {
            return Err(format!("bound to no slice: {}", event.json));
        }
    }
    for mut points in flows.into_values() {
        points.sort_by_key(|point| point.ns);
        let phases: String = points.iter().map(|point| point.phase.as_str()).collect();
        let steps = phases.trim_start_matches('s').trim_end_matches('f');
        if steps.len() + 2 != phases.len() || steps.chars().any(|phase| phase != 't') {
            return Err(format!(
                "flow is not one start, steps and one end, but {phases}: {}",
                points[0].json
            ));
        }
        if points.windows(2).any(|pair| pair[0].ns >= pair[1].ns) {
            return Err(format!("flow does not ascend: {}", points[0].json));
        }
    }
    Ok(())
}

fn names(events: &[Event]) -> Result<(), String> {
    let named =
        |what: &'static str| events.iter().filter(move |event| event.name == what && event.phase == "M");
    let processes: BTreeSet<_> = named("process_name").map(|event| event.pid).collect();
    let mut threads = BTreeMap::new();
    for event in named("thread_name") {
        if threads.insert(event.tid, event.pid).is_some() {
            return Err(format!("two threads with one id: {}", event.json));
        }
    }
    for event in events.iter().filter(|event| event.phase != "M") {
        if !processes.contains(&event.pid) || threads.get(&event.tid) != Some(&event.pid) {
            return Err(format!("in a process or thread without a name: {}", event.json));
        }
    }
    Ok(())
}
