//! Who is here, who is missing, and when to say so.

use std::time::Duration;

use rpc_core::WorkerName;
use tokio::time::Instant;

use super::claim::Entry;
use super::{JoinError, Joining};

/// Until the first report of who is missing, and between further ones.
const REPORT: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));
/// So many ranks or names a message lists.
const LISTED_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Progress {
    job: String,
    limit: Duration,
    world_size: u32,
    began: Instant,
    next_report: Instant,
    /// As of the last look.
    missing: Vec<u32>,
    present: Vec<WorkerName>,
}

impl Progress {
    pub(super) fn new(me: &Joining) -> Self {
        let began = Instant::now();
        Self {
            job: me.job.clone(),
            limit: me.timeout,
            world_size: me.world_size,
            began,
            next_report: began + REPORT.0,
            missing: (0..me.world_size).filter(|rank| *rank != me.rank).collect(),
            present: vec![me.name.clone()],
        }
    }

    /// Takes note of a look at the entries.
    pub(super) fn saw(&mut self, entries: &[Option<Entry>]) {
        (self.missing, self.present) = (Vec::new(), Vec::new());
        for (rank, entry) in (0..).zip(entries) {
            match entry {
                Some(Entry::Here(claim)) => self.present.push(claim.member.info.name.clone()),
                _ => self.missing.push(rank),
            }
        }
    }

    pub(super) fn next_report(&self) -> Instant {
        self.next_report
    }

    /// Reports if it is time to.
    pub(super) fn report(&mut self) {
        if Instant::now() < self.next_report {
            return;
        }
        self.next_report += REPORT.1;
        tracing::info!(
            job = self.job,
            "waiting for {} ({} of {} here), {} s",
            list(&self.missing, |rank| format!("rank {rank}")),
            self.present.len(),
            self.world_size,
            self.began.elapsed().as_secs()
        );
    }

    pub(super) fn timed_out(&self) -> JoinError {
        JoinError::TimedOut {
            job: self.job.clone(),
            after: self.limit,
            missing: self.missing.clone(),
            present: self.present.clone(),
        }
    }
}

/// `rank 2 is`, `rank 2, rank 3 are`.
pub(super) fn ranks(missing: &[u32]) -> String {
    format!(
        "{} {}",
        list(missing, |rank| format!("rank {rank}")),
        if missing.len() == 1 { "is" } else { "are" }
    )
}

/// `worker0, worker1 are here`.
pub(super) fn names(present: &[WorkerName]) -> String {
    match present {
        [only] => format!("only {only} is here"),
        several => format!("{} are here", list(several, WorkerName::to_string)),
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().take(LISTED_MAX).map(text).collect();
    let more = if items.len() > LISTED_MAX {
        format!(" and {} more", items.len() - LISTED_MAX)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}
