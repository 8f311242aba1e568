//! The last step of starting: nobody comes out of `init` before everybody serves.
//!
//! Peers learn a worker's address before its agent runs, and its functions are registered a moment after
//! that. Without this step the first calls of a fast worker could meet a slow one in between.

use std::fmt::Write as _;
use std::time::Duration;

use rpc_core::{Group, Incarnation, Store, StoreError, WorkerId};

use crate::error::InitError;

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
    if let Some(own) = keys.get(own.0 as usize) {
        store.set(own, b"1").await?;
    }
    match store.wait(&keys, timeout).await {
        Ok(_) => Ok(()),
        Err(StoreError::TimedOut { missing, .. }) => {
            let missing = group.members().iter().zip(&keys).filter(|(_, key)| missing.contains(key));
            let missing = missing.map(|(member, _)| member.info.clone()).collect();
            Err(InitError::NotReady { after: timeout, missing })
        }
        Err(error) => Err(error.into()),
    }
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
        let member = |rank: u32| Member {
            info: WorkerInfo::new(WorkerName::new(format!("w{rank}")).unwrap(), WorkerId(rank)),
            incarnation: Incarnation([rank as u8; 16]),
            address: String::new(),
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
