//! What the system is asked: processors and memory.

use super::Pin;

/// Puts this process, and the threads that it starts from now on, where `pin` says.
#[cfg(target_os = "linux")]
pub(crate) fn pin(pin: Pin, rank: u32) -> anyhow::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    if pin == Pin::None {
        return Ok(());
    }
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let at = if pin == Pin::Apart { rank as usize % processors.len() } else { 0 };
    let mut set = CpuSet::new();
    set.set(processors[at]);
    Ok(sched_setaffinity(None, &set)?)
}

/// Puts this process, and the threads that it starts from now on, where `pin` says.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(pin: Pin, _rank: u32) -> anyhow::Result<()> {
    anyhow::ensure!(pin == Pin::None, "--pin works on Linux only");
    Ok(())
}

/// Resident memory of this process; 0 where `/proc` does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// The load of the machine over the last minute, for who reads the figures later.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}
