//! Meeting beside a port that another service holds.
//!
//! Under `torchrun` the launcher itself listens at `MASTER_ADDR:MASTER_PORT`, with a protocol that is not
//! ours, and tells the processes of no other port. So all of them derive the same sequence of
//! [`CANDIDATES`] ports from what they all know: that port and the job's name, which holds the run's id and
//! the number of restarts. Rank 0 binds the first that is free and serves the store there; the others knock
//! at all candidates until one answers as the store of this very job.
//!
//! # Why they always meet
//! - The sequence is a pure function of its inputs, so rank 0's port is in every client's list, however many
//!   candidates were taken on rank 0's host and whatever has come or gone there since.
//! - A client never stops at a wrong door: it accepts only an answer with our handshake and with the key of
//!   this job, which the store of another job, or of an earlier start of this one, does not have. Everything
//!   else, refusals and silence included, means to knock there again later.
//! - All candidates are tried side by side, so a door that never answers delays no other one.
//! - Hence a client finds rank 0's store within one attempt after it is up, or rank 0 found all candidates
//!   taken and says so. Another store of the same job means another rank 0, and `join` names both.
//!
//! The ports lie from 20,000 to 31,999: above those of common services, below those that systems hand out for
//! outgoing connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rpc_core::StoreError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::hash::fnv1a;
use crate::launch::host_port;
use crate::tcp::{Access, Knock, ServerHello, Stream, knock};

/// Length of the sequence.
const CANDIDATES: usize = 16;
/// Between two knocks at one door: first and longest.
const KNOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// The places where the store of one job can be.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    pub(crate) host: String,
    pub(crate) ports: Vec<u16>,
    /// By which the store of this job is known.
    pub(crate) key: u64,
    job: String,
}

impl Candidates {
    pub(crate) fn new(host: &str, taken: u16, job: &str) -> Self {
        let mut ports = Vec::with_capacity(CANDIDATES);
        let hashes = (0_u32..).map(|at| fnv1a(format!("{at} {taken} {job}").as_bytes()));
        for port in hashes.map(|hash| 20_000 + (hash % 12_000) as u16) {
            if port != taken && !ports.contains(&port) {
                ports.push(port);
            }
            if ports.len() == CANDIDATES {
                break;
            }
        }
        let key = fnv1a(format!("store {taken} {job}").as_bytes());
        Self { host: host.to_owned(), ports, key, job: job.to_owned() }
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.ports.iter().map(|port| host_port(&self.host, *port))
    }

    /// All of them, for messages.
    pub(crate) fn address(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        format!("{}, ports {}", self.host, ports.join(", "))
    }

    /// Knocks at all candidates until the store of this job opens.
    pub(crate) async fn find(
        &self,
        access: &Access,
        deadline: Instant,
    ) -> Result<(Stream, ServerHello), StoreError> {
        let mut doors = JoinSet::new();
        let denied = Arc::new(OnceLock::new());
        for address in self.addresses() {
            let (access, denied) = (access.clone(), Arc::clone(&denied));
            doors.spawn(knock_until_open(address, self.key, access, deadline, denied));
        }
        // The tasks end only by success.
        match timeout_at(deadline, doors.join_next()).await {
            Ok(Some(Ok(opened))) => Ok(opened),
            // A store that denies us may be another job's, or ours, if we are the one with the wrong token.
            _ if let Some(denial) = denied.get() => Err(StoreError::clone(denial)),
            _ => Err(StoreError::Unreachable {
                address: self.address(),
                cause: format!("no store of job {} answered in time", self.job),
            }),
        }
    }
}

async fn knock_until_open(
    address: String,
    key: u64,
    access: Access,
    deadline: Instant,
    denied: Arc<OnceLock<StoreError>>,
) -> (Stream, ServerHello) {
    let mut pause = KNOCK_PAUSE.0;
    loop {
        match knock(&address, &access, deadline).await {
            Knock::Store(stream, hello) if hello.is_welcome() && hello.key == key => return (stream, hello),
            Knock::Store(..) => tracing::debug!(address, "the store of another job, or a full one"),
            Knock::Denied(cause) => {
                tracing::debug!(address, "the store of another job, or a wrong token: {cause}");
                denied.get_or_init(|| StoreError::Denied { address: address.clone(), cause });
            }
            Knock::Stranger(what) | Knock::HungUp(what) | Knock::Silent(what) => {
                tracing::debug!(address, "not the store of this job: {what}");
            }
            Knock::Nobody(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(KNOCK_PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_ranks_derive_the_same_distinct_ports_and_never_the_taken_one(taken: u16, job in ".{0,40}") {
            let ports = Candidates::new("h", taken, &job).ports;
            prop_assert_eq!(&ports, &Candidates::new("another name of it", taken, &job).ports);
            prop_assert_eq!(ports.len(), CANDIDATES);
            for (at, port) in ports.iter().enumerate() {
                prop_assert!((20_000..32_000).contains(port) && *port != taken && !ports[..at].contains(port));
            }
        }
    }

    #[test]
    fn another_restart_of_a_job_has_another_key_and_other_ports() {
        let (a, b) = (Candidates::new("h", 29500, "j-restart0"), Candidates::new("h", 29500, "j-restart1"));
        assert_ne!(a.key, b.key);
        assert_ne!(a.ports, b.ports);
    }
}
