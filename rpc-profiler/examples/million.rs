//! What it takes to make a table, a trace and a report of a profile of a million calls, over four workers.
//!
//! ```text
//! cargo run --release -p rpc-profiler --example million [CALLS [DIR]]
//! ```
//! Prints seconds and sizes, and the peak of the process's memory (Linux), with the profile itself in it. Files go to DIR, or
//! to a folder that is removed again.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, process};

use rpc_profiler::Profile;
use rpc_profiler::model::{Call, ClockOffset, NameId, Span, SpanId, Tick, Traffic, Worker};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let calls = arguments.next().map_or(Ok(1_000_000), |calls| calls.parse())?;
    let kept = arguments.next().map(PathBuf::from);
    let temporary = env::temp_dir().join(format!("rpc-profiler-million-{}", process::id()));
    let dir = kept.as_ref().unwrap_or(&temporary);
    fs::create_dir_all(dir)?;

    let begun = Instant::now();
    let profile = synthetic(calls);
    println!("{} calls and {} spans: {:.2?}", profile.calls.len(), profile.spans.len(), begun.elapsed());
    println!("peak of memory before the export: {}", peak_of_memory());

    let begun = Instant::now();
    write(&dir.join("table.txt"), |file| write!(file, "{}", profile.key_averages().table()))?;
    write(&dir.join("trace.json"), |file| profile.write_chrome_trace(file))?;
    write(&dir.join("report.html"), |file| profile.write_report(file))?;
    println!("all: {:.2?}", begun.elapsed());
    println!("peak of memory: {}", peak_of_memory());
    write(&dir.join("profile.json"), |file| profile.write_json(file))?;

    if kept.is_none() {
        fs::remove_dir_all(temporary)?;
    }
    Ok(())
}

/// Writes one file and prints what that took.
fn write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.flush()?;
    let bytes = file.get_ref().metadata()?.len();
    let name = path.file_name().unwrap_or_default().display();
    println!("{name}: {:.2?}, {:.1} MB", begun.elapsed(), bytes as f64 / 1e6);
    Ok(())
}

/// As Linux has it.
fn peak_of_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "not known here".to_owned(), |peak| peak.trim().to_owned())
}

/// Eight calls at a time from each of two callers, of some 100 µs each. Every tenth call has a span in its handler, and in it a
/// call to a third worker.
fn synthetic(calls: u64) -> Profile {
    const NAMES: [&str; 9] = [
        "rpc_async",
        "rpc_sync",
        "ok",
        "timed_out",
        "load",
        "app::add",
        "app::pull",
        "app::push",
        "app::train",
    ];
    let tick = |ns: u64| Tick::from_unix_ns(1_700_000_000_000_000_000 + ns);
    let mut profile = Profile::new(0, tick(0), tick(calls * 7_000 + 1_000_000));
    profile.names = NAMES.map(str::to_owned).to_vec();
    profile.workers = (0..4)
        .map(|rank| {
            Worker::new(rank, format!("worker{rank}"), ClockOffset::new(0, Some(u64::from(rank) * 900)))
        })
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for number in 0..calls {
        let is_nested = number % 11 == 10;
        let id = |number: u64| SpanId(number + 1);
        let (from, to) = if is_nested { (2, 3) } else { ((number % 2) as u32, 2) };
        let function = NameId(5 + below(4) as u32);
        let outcome = NameId(if below(1_000) == 0 { 3 } else { 2 });
        let mut call = Call::new(id(number), from, to, NameId(below(2) as u32), function, outcome);
        let mut at = number * 7_000 + if is_nested { 20_000 } else { 0 };
        let mut after = |ns: u64| {
            at += 1 + below(ns);
            Some(tick(at))
        };
        call.times.began = after(1);
        call.times.encoded = after(2_000);
        call.times.written = after(3_000);
        call.times.arrived = after(10_000);
        call.times.ran = after(5_000);
        call.times.replied = after(if is_nested { 5_000 } else { 90_000 });
        call.times.answered = after(10_000);
        call.times.decoded = after(4_000);
        call.request = Traffic { bytes: 64 + below(100_000), parts: below(3) as u16 };
        call.response = Traffic { bytes: 32, parts: 0 };
        if is_nested && let (Some(began), Some(ended)) = (call.times.began, call.times.decoded) {
            let span = SpanId(1 << 40 | number);
            call.parent = Some(span);
            call.depth = 2;
            let mut load = Span::new(span, 2, NameId(4), began.shifted(-500), ended.shifted(500));
            load.parent = Some(id(number - 1));
            load.depth = 1;
            profile.spans.push(load);
        }
        profile.calls.push(call);
    }
    profile
}
