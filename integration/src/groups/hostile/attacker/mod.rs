//! What an attacker knows and can do.

mod crowd;
mod noise;
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use integration::part::{say, variable};
use rpc::prelude::*;
use rustix::process::{Resource, getrlimit, setpriority_process, setrlimit};

pub(super) use self::crowd::all;
pub(super) use self::noise::Noise;
pub(super) use self::tls::{Dialler, quic};

/// How far below others the attacker's processes stand: a tenth of their share of a processor that all want.
const NICE: i32 = 10;

/// A worker, as far as others can find out without its secrets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Target {
    /// Where it listens.
    pub(super) address: String,
    /// The job's name.
    pub(super) job: String,
    /// Of all workers, by rank.
    pub(super) incarnations: Vec<[u8; 16]>,
    /// Of all workers' certificates, by rank, where they have some.
    pub(super) fingerprints: Vec<Option<[u8; 32]>>,
}

impl Target {
    /// The worker in this process.
    pub(super) fn of(worker: &Worker) -> Result<Self> {
        let group = worker.agent().group();
        Ok(Self {
            address: group.get(worker.id()).context("a member")?.address.clone(),
            job: group.job().to_owned(),
            incarnations: group.members().iter().map(|member| member.incarnation.0).collect(),
            fingerprints: group.members().iter().map(|member| member.fingerprint.map(|of| of.0)).collect(),
        })
    }
}

/// The process that attacks.
pub(super) struct Attacker {
    pub(super) target: Target,
    attempts: AtomicU64,
}

impl Attacker {
    /// Steps back behind all others on this machine, and takes the target from the environment.
    pub(super) fn from_env() -> Result<Self> {
        setpriority_process(None, NICE).context("a lower priority")?;
        raise_file_limit()?;
        let target = serde_json::from_str(&variable("TARGET")?).context("TARGET")?;
        Ok(Self { target, attempts: AtomicU64::new(0) })
    }

    /// Tells the script that the attack has begun in earnest.
    pub(super) fn under_way(&self) {
        say("UNDER_WAY");
    }

    /// Counts one more attempt; returns how many came before.
    pub(super) fn attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// How often it has tried.
    pub(super) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }
}

/// Lets this process open as many files as it may. Returns how many.
pub(super) fn raise_file_limit() -> Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files")?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
