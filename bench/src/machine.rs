//! What the system is asked: processors, their time, and memory.

use std::fs;
use std::process::Command;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

/// Puts this process, and the threads that it starts from now on, on the `nth` of the processors that it may use.
pub(crate) fn pin(nth: usize) -> anyhow::Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let processors: Vec<usize> =
        (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let processor = processors.get(nth % processors.len().max(1)).context("no processor to run on")?;
    let mut set = CpuSet::new();
    set.set(*processor)?;
    Ok(sched_setaffinity(this, &set)?)
}

/// Seconds that this process has spent on processors, in itself and in the kernel.
pub(crate) fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Resident memory of this process that is its own; 0 where `/proc` does not tell. Pages of the program's file are not in
/// it: how many of them are there depends on how much code a system has, and not on its clients.
pub(crate) fn resident_bytes() -> u64 {
    let kib =
        field(&read("/proc/self/status"), "RssAnon").and_then(|text| text.split(' ').next()?.parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

/// One line about the machine, for who reads the figures later.
pub(crate) fn description() -> String {
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let gib = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib.div_ceil(1 << 20));
    let kernel = read("/proc/sys/kernel/osrelease");
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    format!(
        "{processors} x {model}, {gib} GiB, Linux {}, TCP congestion control {}, load {}",
        kernel.trim(),
        congestion.trim(),
        load()
    )
}

/// The load of the machine over the last minute.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The compiler on the path, which is the one that built this.
pub(crate) fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "unknown rustc".to_owned(),
        |it| String::from_utf8_lossy(&it.stdout).trim().to_owned(),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
