//! What a rank writes into the store, and what the claims of all ranks mean together.

use std::collections::HashMap;

use rpc_core::{Member, Protection, Store, WorkerInfo};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{JobStore, JoinError, Joining};

/// First byte of a value, so that another version is recognised.
const VERSION: u8 = 1;

/// The value of a rank's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry {
    Here(Claim),
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) member: Member,
    pub(super) world_size: u32,
    pub(super) backend: String,
    pub(super) protection: Protection,
}

/// What stays of a claim that broke a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) claim: Claim,
    pub(super) reason: String,
}

impl Entry {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        versioned_bytes(self)
    }

    pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<Self, JoinError> {
        versioned(bytes).ok_or_else(|| JoinError::Unreadable { key: key.to_owned() })
    }
}

pub(super) fn versioned_bytes(value: &impl Serialize) -> Vec<u8> {
    // Plain data into a growing buffer: there is nothing that could fail. If it did, the empty rest would
    // be unreadable to all, which is an error of its own.
    let body = postcard::to_allocvec(value).unwrap_or_default();
    [&[VERSION][..], &body].concat()
}

/// What [`versioned_bytes`] has written, or `None` if it was something else.
pub(super) fn versioned<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).ok(),
        _ => None,
    }
}

/// Checks the rules on the entries that are there. Returns the members if all are.
///
/// Refusals that are also among `old` are of workers that may come again, and count as missing.
pub(super) fn verify(
    me: &Joining,
    now: &[Option<Entry>],
    old: &[Option<Entry>],
) -> Result<Option<Vec<Member>>, JoinError> {
    let mine = me.claim();
    let mut members: Vec<Member> = Vec::with_capacity(now.len());
    let mut refused = None;
    let mut names = HashMap::new();
    for (at, entry) in now.iter().enumerate() {
        let claim = match entry {
            Some(Entry::Here(claim)) => claim,
            Some(Entry::Refused(refusal)) if entry != &old[at] => {
                refused.get_or_insert(refusal);
                &refusal.claim
            }
            _ => continue,
        };
        agree(&mine, claim)?;
        let Member { info, .. } = &claim.member;
        if let Some(first) = names.insert(&info.name, info.id) {
            return Err(JoinError::DuplicateName { name: info.name.clone(), first, second: info.id });
        }
        members.push(claim.member.clone());
    }
    // Rules that concern us are told as such, above; what remains is between others.
    if let Some(Refusal { claim, reason }) = refused {
        return Err(JoinError::Refused { worker: claim.member.info.clone(), reason: reason.clone() });
    }
    Ok((members.len() == now.len()).then_some(members))
}

/// Whether two workers expect the same.
fn agree(mine: &Claim, theirs: &Claim) -> Result<(), JoinError> {
    let (first, second) =
        if mine.member.info.id < theirs.member.info.id { (mine, theirs) } else { (theirs, mine) };
    let info = |claim: &Claim| -> WorkerInfo { claim.member.info.clone() };
    if first.world_size != second.world_size {
        return Err(JoinError::WorldSizeMismatch {
            first: info(first),
            first_size: first.world_size,
            second: info(second),
            second_size: second.world_size,
        });
    }
    if first.backend != second.backend {
        return Err(JoinError::BackendMismatch {
            first: info(first),
            first_backend: first.backend.clone(),
            second: info(second),
            second_backend: second.backend.clone(),
        });
    }
    if first.protection != second.protection {
        return Err(JoinError::ProtectionMismatch {
            first: info(first),
            first_protection: first.protection,
            second: info(second),
            second_protection: second.protection,
        });
    }
    Ok(())
}

/// A claim of ours in the store. Taken back on drop, unless the join succeeded.
pub(super) struct Held {
    /// `None` once there is nothing left to do.
    store: Option<JobStore>,
    key: String,
    claim: Claim,
}

impl Held {
    pub(super) fn new(store: JobStore, key: String, me: &Joining) -> Self {
        Self { store: Some(store), key, claim: me.claim() }
    }

    /// Leaves the claim in the store.
    pub(super) fn keep(&mut self) {
        self.store = None;
    }

    /// Takes the claim back; if this worker is what keeps the others from being a group, says so in its place.
    pub(super) async fn give_up(self, error: &JoinError) {
        let tell = match error {
            // Told by whoever sees it. A third worker must not be taken for the reason by one of the two.
            JoinError::DuplicateName { first, second, .. } => {
                [first, second].contains(&&self.claim.member.info.id)
            }
            JoinError::WorldSizeMismatch { .. }
            | JoinError::BackendMismatch { .. }
            | JoinError::ProtectionMismatch { .. } => true,
            _ => false,
        };
        if tell { self.refuse(&error.to_string()).await } else { self.take_back().await }
    }

    /// Puts the reason why this worker cannot join in the place of its claim.
    pub(super) async fn refuse(mut self, reason: &str) {
        let Some(store) = self.store.take() else { return };
        let refused = Entry::Refused(Refusal { claim: self.claim.clone(), reason: reason.to_owned() });
        if let Err(error) = store.set(&self.key, &refused.to_bytes()).await {
            tracing::debug!(key = self.key, %error, "could not say why this worker does not join");
        }
    }

    async fn take_back(mut self) {
        let Some(store) = self.store.take() else { return };
        if let Err(error) = store.delete(&self.key).await {
            tracing::debug!(key = self.key, %error, "could not take the claim back");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let key = std::mem::take(&mut self.key);
        runtime.spawn(async move { store.delete(&key).await });
    }
}
