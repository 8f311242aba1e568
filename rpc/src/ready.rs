//! The last step of starting: nobody comes out of `init` before everybody serves.
//!
//! Peers learn a worker's address before its agent runs, and its functions are registered a moment after
//! that. Without this step the first calls of a fast worker could meet a slow one in between.

use std::fmt::Write as _;
use std::time::Duration;

use rpc_core::{Group, Incarnation, Store, StoreError, WorkerId};
use tokio::time::Instant;

use crate::error::InitError;

/// When to say first, and then again, who is waited for.
const REPORT_AFTER: Duration = Duration::from_secs(3);
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How much later than asked a store may answer.
const GRACE: Duration = Duration::from_secs(1);
/// Before a store that was lost is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Says that worker `own` serves, and waits until all of `group` have said so.
///
/// The keys carry incarnations, so they mean one life of one worker, and nobody has to remove them.
pub(crate) async fn all_ready(
    store: &dyn Store,
    group: &Group,
    own: WorkerId,
    timeout: Duration,
) -> Result<(), InitError> {
    let keys: Vec<String> =
        group.members().iter().map(|member| key(group.job(), member.incarnation)).collect();
    let own = keys.get(own.0 as usize).cloned().unwrap_or_default();
    let started = Instant::now();
    let left = || timeout.saturating_sub(started.elapsed());
    let not_ready = |missing: &[String]| {
        let missing = group.members().iter().zip(&keys).filter(|(_, key)| missing.contains(key));
        InitError::NotReady {
            after: timeout,
            missing: missing.map(|(member, _)| member.info.clone()).collect(),
        }
    };
    let mut report_after = REPORT_AFTER;
    loop {
        let slice = report_after.min(left());
        // A store that has stopped answering does not know of our time.
        let step = tokio::time::timeout(slice + GRACE, say_and_wait(store, &own, &keys, slice));
        match step.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(StoreError::TimedOut { missing, .. })) if left().is_zero() => {
                return Err(not_ready(&missing));
            }
            Ok(Err(StoreError::TimedOut { missing, .. })) => {
                if let InitError::NotReady { missing, .. } = not_ready(&missing) {
                    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
                    tracing::info!(
                        "waiting until {} serve, {} s",
                        names.join(", "),
                        started.elapsed().as_secs()
                    );
                }
                report_after = REPORT_EVERY;
            }
            // The job whose store this was may have ended, and another server have taken its place: what was
            // said there is said again.
            Ok(Err(StoreError::Unreachable { .. })) if !left().is_zero() => tokio::time::sleep(PAUSE).await,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if left().is_zero() => return Err(not_ready(&keys)),
            Err(_) => {}
        }
    }
}

async fn say_and_wait(
    store: &dyn Store,
    own: &str,
    keys: &[String],
    timeout: Duration,
) -> Result<(), StoreError> {
    store.set(own, b"1").await?;
    store.wait(keys, timeout).await.map(drop)
}

fn key(job: &str, incarnation: Incarnation) -> String {
    let mut key = format!("{job}/ready/");
    for byte in incarnation.0 {
        // Writing to a string does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::{Member, WorkerInfo, WorkerName};
    use rpc_rendezvous::MemoryStore;

    fn group() -> Group {
        let member = |rank: u32| {
            let info = WorkerInfo::new(WorkerName::new(format!("w{rank}")).unwrap(), WorkerId(rank));
            Member::new(info, Incarnation([rank as u8; 16]), "")
        };
        Group::new("job", vec![member(0), member(1)]).unwrap()
    }

    #[tokio::test]
    async fn all_go_on_when_all_are_ready() {
        let (store, group) = (MemoryStore::default(), group());
        let ready = |rank| all_ready(&store, &group, WorkerId(rank), Duration::from_secs(60));
        let (first, second) = tokio::join!(ready(0), ready(1));
        first.unwrap();
        second.unwrap();
    }

    #[tokio::test]
    async fn the_one_that_is_not_ready_is_named() {
        let (store, group) = (MemoryStore::default(), group());
        let error = all_ready(&store, &group, WorkerId(0), Duration::from_millis(10)).await.unwrap_err();
        assert!(error.to_string().contains("w1 (rank 1)"), "{error}");
    }
}
