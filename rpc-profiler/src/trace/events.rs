//! [`Events`]: what is in a trace, in the order in which it is written.

use std::io::{self, Write};

use serde::Serialize;

use super::escaped::{Escaped, Label, escape};
use super::flow::{Flow, Stops};
use super::json::Json;
use crate::label::Labels;
use crate::lanes::{Interval, Lanes, Part, Slice, WorkerLanes};
use crate::model::{Call, Profile, Stage, Tick};
use crate::tree::Tree;

/// A trace that is being written.
pub(super) struct Events<'a, W> {
    profile: &'a Profile,
    tree: &'a Tree<'a>,
    lanes: &'a Lanes,
    labels: &'a Labels,
    texts: Escaped,
    origin: Tick,
    json: Json<W>,
}

/// What stands for a lane in a trace.
#[derive(Clone, Copy)]
struct Track {
    pid: u64,
    tid: u64,
}

/// What a trace says about itself.
#[derive(Serialize)]
struct About<'a> {
    origin_unix_ns: String,
    recorded_by: String,
    recorded_us: f64,
    dropped: u64,
    clocks: Vec<ClockError<'a>>,
}

#[derive(Serialize)]
struct ClockError<'a> {
    worker: &'a str,
    offset_ns: i64,
    error_ns: Option<u64>,
}

impl<'a, W: Write> Events<'a, W> {
    pub(super) fn new(
        profile: &'a Profile,
        tree: &'a Tree<'a>,
        lanes: &'a Lanes,
        labels: &'a Labels,
        json: Json<W>,
    ) -> Self {
        let firsts = lanes.workers.iter().filter_map(|worker| worker.slices.first());
        let origin = firsts.map(|slice| slice.began).fold(profile.began, Tick::min);
        Self { profile, tree, lanes, labels, texts: Escaped::new(profile, labels), origin, json }
    }

    pub(super) fn write_all(&mut self) -> io::Result<()> {
        self.write_head()?;
        // Ids of threads are of a trace, not of a process, to some viewers; and one with that of its process is its main one.
        let mut tid = self.lanes.workers.iter().map(|worker| pid(worker.rank)).max().unwrap_or(0) + 1;
        for worker in &self.lanes.workers {
            let first = Track { pid: pid(worker.rank), tid };
            tid += u64::from(worker.own) + u64::from(worker.serving);
            self.write_tracks(worker, first)?;
            for slice in &worker.slices {
                self.write_slice(slice, Track { tid: first.tid + u64::from(slice.lane), ..first });
                self.json.pause()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.json.text("\n]}\n");
        self.json.finish()
    }

    fn write_head(&mut self) -> io::Result<()> {
        let Profile { home, began, ended, workers, dropped, .. } = self.profile;
        let clocks = workers.iter().map(|worker| ClockError {
            worker: &worker.name,
            offset_ns: worker.clock.offset_ns,
            error_ns: worker.clock.error_ns,
        });
        let about = About {
            origin_unix_ns: self.origin.unix_ns().to_string(),
            recorded_by: self.profile.worker_name(*home),
            recorded_us: ended.since(*began) as f64 / 1e3,
            dropped: *dropped,
            clocks: clocks.collect(),
        };
        self.json.text("{\"displayTimeUnit\":\"ns\",\"otherData\":").text(&serde_json::to_string(&about)?);
        self.json.text(",\"traceEvents\":[");
        Ok(())
    }

    fn write_tracks(&mut self, worker: &WorkerLanes, first: Track) -> io::Result<()> {
        let name = escape(&self.profile.worker_name(worker.rank));
        self.write_metadata("process_name", first, "name", &name);
        self.write_metadata("process_sort_index", first, "sort_index", &worker.rank.to_string());
        for lane in 0..worker.own + worker.serving {
            let track = Track { tid: first.tid + u64::from(lane), ..first };
            let name = match lane.checked_sub(worker.own) {
                None => format!("\"calls {}\"", lane + 1),
                Some(lane) => format!("\"handlers {}\"", lane + 1),
            };
            self.write_metadata("thread_name", track, "name", &name);
            self.write_metadata("thread_sort_index", track, "sort_index", &lane.to_string());
            self.json.pause()?;
        }
        Ok(())
    }

    fn write_metadata(&mut self, what: &str, track: Track, key: &str, value: &str) {
        self.json.event().text("{\"ph\":\"M\",\"name\":\"").text(what).text("\"");
        write_track(&mut self.json, track);
        self.json.text(",\"args\":{\"").text(key).text("\":").text(value).text("}}");
    }

    fn write_slice(&mut self, slice: &Slice, track: Track) {
        let interval = Interval { began: slice.began, ended: slice.ended };
        match slice.part {
            Part::Span(index) => self.write_span(index as usize, interval, track),
            Part::Caller(index) => {
                if let Some(call) = self.tree.call(index as usize) {
                    self.write_caller(index as usize, &call, interval, track);
                }
            }
            Part::Handler(index) => {
                if let Some(call) = self.tree.call(index as usize) {
                    self.write_handler(index as usize, &call, interval, track);
                }
            }
        }
    }

    fn write_span(&mut self, index: usize, interval: Interval, track: Track) {
        let Self { json, texts, labels, origin, .. } = self;
        let label = texts.label(labels.span_id(index));
        begin(json, "span", &label.own, interval, *origin, track);
        if let Some(whole) = &label.whole {
            json.text(",\"args\":{\"label\":").text(whole).text("}");
        }
        json.text("}");
    }

    fn write_caller(&mut self, index: usize, call: &Call, interval: Interval, track: Track) {
        let Self { json, texts, labels, origin, .. } = self;
        let label = texts.label(labels.call_id(index));
        begin(json, "call", &label.own, interval, *origin, track);
        write_details(json, texts, label, call);
        json.text("}");

        let stops = Stops::of(call);
        let flow = Flow::of(&stops);
        if let Some(send) = stops.send {
            begin(json, "stage", "\"send\"", send, *origin, track);
            json.text("}");
            if let Some(flow) = flow {
                write_flow(json, "s", index, flow.sent.since(*origin), track);
            }
        }
        if let Some(receive) = stops.receive {
            begin(json, "stage", "\"receive\"", receive, *origin, track);
            json.text("}");
            if let Some(back) = flow.and_then(|flow| flow.back) {
                write_flow(json, "f", index, back.since(*origin), track);
            }
        }
    }

    fn write_handler(&mut self, index: usize, call: &Call, interval: Interval, track: Track) {
        let Self { json, texts, labels, origin, .. } = self;
        let label = texts.label(labels.call_id(index));
        begin(json, "handler", texts.name(call.function), interval, *origin, track);
        if call.times.began.is_some() {
            json.text(",\"args\":{\"id\":").id(call.id.0).text("}");
        } else {
            write_details(json, texts, label, call); // nobody else has them
        }
        json.text("}");

        let stops = Stops::of(call);
        if let Some(flow) = Flow::of(&stops) {
            let phase = if flow.back.is_some() { "t" } else { "f" };
            write_flow(json, phase, index, flow.served.since(*origin), track);
        }
        if let Some(run) = stops.run {
            begin(json, "stage", "\"run\"", run, *origin, track);
            json.text("}");
        }
    }
}

fn pid(rank: u32) -> u64 {
    u64::from(rank) + 1
}

fn write_track<W: Write>(json: &mut Json<W>, track: Track) {
    json.text(",\"pid\":").number(track.pid).text(",\"tid\":").number(track.tid);
}

/// A slice without its closing brace. `category` needs no escapes, `name` has them.
fn begin<W: Write>(json: &mut Json<W>, category: &str, name: &str, at: Interval, origin: Tick, track: Track) {
    json.event().text("{\"ph\":\"X\",\"cat\":\"").text(category).text("\",\"name\":").text(name);
    write_track(json, track);
    json.text(",\"ts\":").micros(at.began.since(origin)).text(",\"dur\":").micros(at.ended.since(at.began));
}

/// A point of the arrow of the call at `index`. The first and the middle ones are in what is innermost anyway.
fn write_flow<W: Write>(json: &mut Json<W>, phase: &str, index: usize, ns: u64, track: Track) {
    json.event()
        .text("{\"ph\":\"")
        .text(phase)
        .text("\",\"cat\":\"flow\",\"name\":\"call\",\"id\":")
        .number(index as u64 + 1);
    write_track(json, track);
    json.text(",\"ts\":").micros(ns).text(if phase == "s" { "}" } else { ",\"bp\":\"e\"}" });
}

/// What is known of a call beside when it was and what it is called.
fn write_details<W: Write>(json: &mut Json<W>, texts: &Escaped, label: &Label, call: &Call) {
    const STAGES: [&str; 7] = [
        ",\"encode_us\":",
        ",\"queue_us\":",
        ",\"wire_out_us\":",
        ",\"wait_us\":",
        ",\"run_us\":",
        ",\"wire_back_us\":",
        ",\"decode_us\":",
    ];
    json.text(",\"args\":{\"id\":").id(call.id.0).text(",\"outcome\":").text(texts.name(call.outcome));
    if let Some(error) = call.error {
        json.text(",\"error\":").text(texts.name(error));
    }
    if let Some(whole) = &label.whole {
        json.text(",\"label\":").text(whole);
    }
    for (bytes, parts, one_way) in [
        (",\"sent_bytes\":", ",\"sent_parts\":", call.request),
        (",\"received_bytes\":", ",\"received_parts\":", call.response),
    ] {
        json.text(bytes).number(one_way.bytes);
        if one_way.parts > 0 {
            json.text(parts).number(one_way.parts.into());
        }
    }
    for (key, stage) in STAGES.into_iter().zip(Stage::ALL) {
        if let Some(ns) = call.times.stage_ns(stage) {
            json.text(key).micros(ns);
        }
    }
    json.text("}");
}
