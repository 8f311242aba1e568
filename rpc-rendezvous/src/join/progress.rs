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
    began: Instant,
    next_report: Instant,
    /// By rank, as of the last look.
    here: Vec<Option<WorkerName>>,
    /// By rank, who was ever here: those who give up just before us have come, too.
    came: Vec<Option<WorkerName>>,
}

impl Progress {
    pub(super) fn new(me: &Joining) -> Self {
        let began = Instant::now();
        let nobody = vec![None; me.world_size as usize];
        Self {
            job: me.job.clone(),
            limit: me.timeout,
            began,
            next_report: began + REPORT.0,
            here: nobody.clone(),
            came: nobody,
        }
    }

    /// Takes note of a look at the entries.
    pub(super) fn saw(&mut self, entries: &[Option<Entry>]) {
        let name = |entry: &Option<Entry>| match entry {
            Some(Entry::Here(claim)) => Some(claim.member.info.name.clone()),
            _ => None,
        };
        self.here = entries.iter().map(name).collect();
        for (came, here) in self.came.iter_mut().zip(&self.here) {
            if here.is_some() {
                came.clone_from(here);
            }
        }
    }

    /// The ranks that were there at the last look.
    pub(super) fn present(&self) -> Vec<u32> {
        (0..).zip(&self.here).filter(|(_, name)| name.is_some()).map(|(rank, _)| rank).collect()
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
            list(&missing(&self.here), |rank| format!("rank {rank}")),
            self.here.iter().flatten().count(),
            self.here.len(),
            self.began.elapsed().as_secs()
        );
    }

    pub(super) fn timed_out(&self) -> JoinError {
        JoinError::TimedOut {
            job: self.job.clone(),
            after: self.limit,
            missing: missing(&self.came),
            present: self.came.iter().flatten().cloned().collect(),
        }
    }
}

fn missing(names: &[Option<WorkerName>]) -> Vec<u32> {
    (0..).zip(names).filter(|(_, name)| name.is_none()).map(|(rank, _)| rank).collect()
}

/// `rank 2 is`, `rank 2, rank 3 are`.
pub(super) fn ranks(missing: &[u32]) -> String {
    format!(
        "{} {}",
        list(missing, |rank| format!("rank {rank}")),
        if missing.len() == 1 { "is" } else { "are" }
    )
}

/// `worker0, worker1 came`.
pub(super) fn names(present: &[WorkerName]) -> String {
    match present {
        [only] => format!("only {only} came"),
        several => format!("{} came", list(several, WorkerName::to_string)),
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
