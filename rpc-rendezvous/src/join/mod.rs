//! [`join`]: from a name and a rank to a group.
//!
//! Everything is under the job's prefix. Each rank writes one key, its *claim*, and waits for those of all
//! others:
//!
//! ```text
//! gen{n}/rank/{r}   who has rank r: name, incarnation, address, world size, backend; or why it was refused
//! gen{n}/seen/{r}   rank r has read all claims
//! gen{n}/left/{r}   the incarnation that had rank r has left
//! ```
//! and, when there will be no group, what `notice` describes.
//!
//!
//! A claim is made by comparing with "no value", so one of two workers that want a rank finds the other's
//! claim. Two workers that use one name, or expect different world sizes or backends, each see it in the
//! other's claim; who sees it puts the reason in the place of its own claim, so that those who wait for it
//! learn it too. A worker that gives up takes its claim back; nothing then keeps the job from being joined
//! again.
//!
//! # Generations
//! A worker that joined generation n and left joins generation n+1: its claim of n is there, and the mark
//! that this incarnation has left. A claim without that mark is another worker's.
//!
//! # When the store goes away
//! The rank that hosts the store waits a moment for the others' `seen` before it goes on, so that a short
//! program does not take the store away from those who still read. If the store is lost anyway, because it
//! was that of an earlier generation whose host has just closed it, joining starts over with the next one.
//! If it was the first generation's and nobody opens another store soon, its host has failed.

mod claim;
mod error;
mod leave;
mod notice;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    Fingerprint, Group, Incarnation, Member, PrefixStore, Protection, Store, StoreError, WorkerId,
    WorkerInfo, WorkerName,
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use self::claim::{Claim, Entry, Held, verify};
pub use self::error::JoinError;
pub use self::leave::Joined;
use self::notice::Posted;
use self::progress::Progress;
use crate::memory::FOREVER;

/// Most workers of a job: so many keys fit one wait.
const WORLD_SIZE_MAX: u32 = 4096;
/// Between two looks at who is there: first, and longest for a small job.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Each look reads all claims, so large jobs look less often: longest by this for each worker.
const LOOK_AGAIN_EACH: Duration = Duration::from_millis(5);
/// Before starting over with another store.
const START_OVER_PAUSE: Duration = Duration::from_millis(50);
/// How long rank 0 waits until the others have seen its claim and all others.
const SEEN_TIME: Duration = Duration::from_secs(2);
/// A store that has not answered for so long is gone for good, unless its host had left and may come again.
const GONE_TIME: Duration = Duration::from_secs(15);
/// The last look may end so much after the timeout. A lost connection takes less to be given up.
const GRACE: Duration = Duration::from_secs(4);

/// What a worker brings to [`join`].
#[derive(Clone, Debug)]
pub struct Joining {
    /// Name of the job: workers meet those that use the same.
    pub job: String,
    /// The worker's name.
    pub name: WorkerName,
    /// The worker's rank.
    pub rank: u32,
    /// How many workers the job has, at most 4,096.
    pub world_size: u32,
    /// This life of the worker.
    pub incarnation: Incarnation,
    /// Name of the backend, the same for all workers.
    pub backend: String,
    /// Where the worker listens, in the form of its backend.
    pub address: String,
    /// The certificate that the worker shows on links, if it has one.
    pub fingerprint: Option<Fingerprint>,
    /// What protects the worker's links, the same for all workers.
    pub protection: Protection,
    /// How long to wait for the others.
    pub timeout: Duration,
}

impl Joining {
    fn check(&self) -> Result<(), JoinError> {
        let Self { name, rank, world_size, .. } = self;
        if rank >= world_size {
            return Err(JoinError::RankOutOfRange {
                name: name.clone(),
                rank: *rank,
                world_size: *world_size,
            });
        }
        if *world_size > WORLD_SIZE_MAX {
            return Err(JoinError::WorldTooLarge { world_size: *world_size, limit: WORLD_SIZE_MAX });
        }
        Ok(())
    }

    fn claim(&self) -> Claim {
        let info = WorkerInfo::new(self.name.clone(), WorkerId(self.rank));
        let mut member = Member::new(info, self.incarnation, self.address.clone());
        member.fingerprint = self.fingerprint;
        Claim {
            member,
            world_size: self.world_size,
            backend: self.backend.clone(),
            protection: self.protection,
        }
    }
}

/// What stands for the address of a store in errors that only we notice.
const RENDEZVOUS: &str = "the rendezvous";

/// The part of the store that belongs to one job.
type JobStore = PrefixStore<Arc<dyn Store>>;

/// Joins the group of a job: says who this worker is, and waits for all others.
///
/// While it waits, it logs who is missing: after 3 s, and then every 5 s.
///
/// # Errors
/// Each broken rule is an error that names both workers. [`JoinError::TimedOut`] lists the ranks that did not
/// come. [`JoinError::Store`] if the store cannot be used.
///
/// # Cancel safety
/// Dropping the future takes the claim back in the background, unless the runtime ends too.
pub async fn join(store: &Arc<dyn Store>, me: Joining) -> Result<Joined, JoinError> {
    me.check()?;
    let store = PrefixStore::new(me.job.clone(), Arc::clone(store));
    let deadline = Instant::now() + me.timeout.min(FOREVER);
    let mut progress = Progress::new(&me);
    let mut contact = Contact::default();
    loop {
        let attempt = attempt(&store, &me, deadline, &mut progress, &mut contact);
        let failure = match timeout_at(deadline + GRACE, attempt).await {
            Ok(Ok(joined)) => return Ok(joined),
            Ok(Err(Ended::ForGood(error))) => return Err(error),
            Ok(Err(Ended::StoreLost(error))) => error,
            // All waiting ends at the deadline, so it is the store that does not answer.
            Err(_) => {
                let cause = "it does not answer".to_owned();
                return Err(StoreError::Unreachable { address: RENDEZVOUS.into(), cause }.into());
            }
        };
        let lost_for = contact.lost_for();
        let over = Instant::now() + START_OVER_PAUSE >= deadline;
        match failure {
            StoreError::Unreachable { address, .. }
                if over || (lost_for >= GONE_TIME && !contact.rejoining) =>
            {
                return Err(JoinError::StoreGone { address });
            }
            failure if over => return Err(failure.into()),
            _ => {}
        }
        tracing::debug!(job = me.job, error = %failure, "the store was lost while joining; starting over");
        sleep(START_OVER_PAUSE).await;
    }
}

/// Says in the place of a worker that cannot join why it cannot, so that the others do not wait for it. Rank 0
/// stays until they know, for a few seconds at most, as its store may go away with it.
///
/// Best effort: a store that fails is the lesser problem of a worker that has failed already.
///
/// # Cancel safety
/// Dropping the future may leave the others without the reason.
pub async fn refuse(store: &Arc<dyn Store>, me: &Joining, reason: &str) {
    let store = PrefixStore::new(me.job.clone(), Arc::clone(store));
    let error = JoinError::Refused {
        worker: WorkerInfo::new(me.name.clone(), WorkerId(me.rank)),
        reason: reason.into(),
    };
    let limit = look_again_longest(me.world_size) + GRACE;
    let told = timeout(limit, async {
        for generation in 0_u64.. {
            let Some(held) = claim(&store, me, generation).await? else { continue };
            if me.rank == 0 {
                let posted = Posted::post(&store, me, generation, &error, &[]).await;
                held.give_up(&error).await;
                posted.stay(Instant::now() + limit).await;
            } else {
                held.refuse(reason).await;
            }
            break;
        }
        Ok::<(), Ended>(())
    });
    if !matches!(told.await, Ok(Ok(()))) {
        tracing::debug!(job = me.job, reason, "could not tell the others");
    }
}

/// How the attempts to join got on with the store.
#[derive(Debug, Default)]
struct Contact {
    /// It answered since the last loss.
    answered: bool,
    /// It held an earlier generation of the job, so its host may have left to come again.
    rejoining: bool,
    lost_since: Option<Instant>,
}

impl Contact {
    /// Takes note of a loss. How long it is since the first one that no answer followed.
    fn lost_for(&mut self) -> Duration {
        if std::mem::take(&mut self.answered) {
            self.lost_since = None;
        }
        self.lost_since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// Why an attempt to join ended.
enum Ended {
    ForGood(JoinError),
    StoreLost(StoreError),
}

impl<E: Into<JoinError>> From<E> for Ended {
    fn from(error: E) -> Self {
        match error.into() {
            JoinError::Store(lost @ StoreError::Unreachable { .. }) => Self::StoreLost(lost),
            other => Self::ForGood(other),
        }
    }
}

async fn attempt(
    store: &JobStore,
    me: &Joining,
    deadline: Instant,
    progress: &mut Progress,
    contact: &mut Contact,
) -> Result<Joined, Ended> {
    for generation in 0_u64.. {
        let keys: Vec<String> = (0..me.world_size).map(|rank| rank_key(generation, rank)).collect();
        // What was refused before we came does not concern us: those workers may come again.
        let old = look(store, &keys).await?;
        (contact.answered, contact.rejoining) = (true, generation > 0);
        let Some(mut held) = claim(store, me, generation).await? else { continue };
        if me.rank == 0 {
            notice::remove_old(store, generation).await?;
        }
        let waited = wait_for_all(store, me, generation, &keys, &old, deadline, progress).await;
        match waited {
            Ok(members) => {
                let group = Group::new(&me.job, members).map_err(JoinError::from)?;
                seen_by_all(store, me, generation, deadline).await;
                // Only now: a future that is dropped while it waits takes the claim back.
                held.keep();
                return Ok(Joined::new(group, store.clone(), generation, me));
            }
            // Whatever is at the lost store is gone with it, or will be recognised as ours.
            Err(Ended::StoreLost(error)) => {
                held.keep();
                return Err(Ended::StoreLost(error));
            }
            Err(Ended::ForGood(error)) => {
                if me.rank == 0 {
                    let posted = Posted::post(store, me, generation, &error, &progress.present()).await;
                    held.give_up(&error).await;
                    posted.stay(deadline + SEEN_TIME).await;
                } else {
                    held.give_up(&error).await;
                    notice::told(store, me, generation).await;
                }
                return Err(Ended::ForGood(error));
            }
        }
    }
    unreachable!("there are more generations than joins in the life of a store")
}

/// Claims the rank, or returns `None` if this generation is over for it.
async fn claim(store: &JobStore, me: &Joining, generation: u64) -> Result<Option<Held>, Ended> {
    let key = rank_key(generation, me.rank);
    let mine = Entry::Here(me.claim()).to_bytes();
    let mut expected: Option<Vec<u8>> = None;
    loop {
        let now = store.compare_set(&key, expected.as_deref(), &mine).await?;
        if now == mine {
            return Ok(Some(Held::new(store.clone(), key, me)));
        }
        match Entry::decode(&key, &now)? {
            // Left by a worker that was refused and is gone, or changed since we looked.
            Entry::Refused(_) if expected.as_ref() != Some(&now) => expected = Some(now),
            Entry::Refused(_) => expected = None,
            Entry::Here(other) if other.member.incarnation == me.incarnation => {
                return Ok(Some(Held::new(store.clone(), key, me)));
            }
            Entry::Here(other) => {
                let left = store.get(&left_key(generation, me.rank)).await?;
                if left.as_deref() == Some(&other.member.incarnation.0) {
                    return Ok(None);
                }
                return Err(Ended::ForGood(JoinError::DuplicateRank {
                    job: me.job.clone(),
                    rank: WorkerId(me.rank),
                    first: other.member.info.name,
                    second: me.name.clone(),
                }));
            }
        }
    }
}

async fn wait_for_all(
    store: &JobStore,
    me: &Joining,
    generation: u64,
    keys: &[String],
    old: &[Option<Entry>],
    deadline: Instant,
    progress: &mut Progress,
) -> Result<Vec<Member>, Ended> {
    let longest = look_again_longest(me.world_size);
    let mut pause = LOOK_AGAIN.0;
    loop {
        let now = look(store, keys).await?;
        match now.get(me.rank as usize) {
            Some(Some(Entry::Here(mine))) if mine.member.incarnation == me.incarnation => {}
            // Another server took the store's place between two looks.
            _ => {
                let cause = "this worker's claim is gone".to_owned();
                return Err(Ended::StoreLost(StoreError::Unreachable { address: RENDEZVOUS.into(), cause }));
            }
        }
        if let Some(members) = verify(me, &now, old)? {
            return Ok(members);
        }
        progress.saw(&now);
        if Instant::now() >= deadline {
            return Err(Ended::ForGood(progress.timed_out()));
        }
        if let Some(over) = notice::read(store, generation).await? {
            // Rank 0 may have come, seen what is wrong between it and us, and said so since we looked. Then it is
            // our own error too, and better told as such.
            verify(me, &look(store, keys).await?, old)?;
            return Err(Ended::ForGood(over));
        }
        let until = deadline.min(Instant::now() + pause).min(progress.next_report());
        if now.iter().all(Option::is_some) {
            // Complete but for workers that were refused earlier and may come again.
            sleep_until(until).await;
        } else {
            match store.wait(keys, until.saturating_duration_since(Instant::now())).await {
                Ok(_) | Err(StoreError::TimedOut { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        progress.report();
        pause = (pause * 2).min(longest);
    }
}

fn look_again_longest(world_size: u32) -> Duration {
    LOOK_AGAIN.1.max(LOOK_AGAIN_EACH * world_size)
}

/// The entries that are there now, by rank.
async fn look(store: &JobStore, keys: &[String]) -> Result<Vec<Option<Entry>>, JoinError> {
    let mut wanted: Vec<String> = keys.to_vec();
    loop {
        match store.wait(&wanted, Duration::ZERO).await {
            Ok(values) => {
                let mut found = wanted.iter().zip(values).peekable();
                let entry = |key: &String| match found.next_if(|(wanted, _)| *wanted == key) {
                    Some((_, value)) => Entry::decode(key, &value).map(Some),
                    None => Ok(None),
                };
                return keys.iter().map(entry).collect();
            }
            Err(StoreError::TimedOut { missing, .. }) => {
                let missing: std::collections::HashSet<String> = missing.into_iter().collect();
                wanted.retain(|key| !missing.contains(key));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Says that this worker has read all claims; rank 0 also waits until the others have.
async fn seen_by_all(store: &JobStore, me: &Joining, generation: u64, deadline: Instant) {
    let until = deadline.max(Instant::now() + SEEN_TIME / 2).min(Instant::now() + SEEN_TIME);
    let seen = async {
        store.set(&seen_key(generation, me.rank), b"1").await?;
        if me.rank == 0 {
            let keys: Vec<String> = (0..me.world_size).map(|rank| seen_key(generation, rank)).collect();
            store.wait(&keys, until.saturating_duration_since(Instant::now())).await?;
        }
        Ok::<(), StoreError>(())
    };
    if let Ok(Err(error)) = timeout(SEEN_TIME, seen).await {
        tracing::debug!(job = me.job, %error, "not all workers said that they have seen all others");
    }
}

fn rank_key(generation: u64, rank: u32) -> String {
    format!("gen{generation}/rank/{rank}")
}

fn seen_key(generation: u64, rank: u32) -> String {
    format!("gen{generation}/seen/{rank}")
}

fn left_key(generation: u64, rank: u32) -> String {
    format!("gen{generation}/left/{rank}")
}
