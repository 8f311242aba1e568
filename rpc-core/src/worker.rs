//! Who takes part: names, ranks, incarnations, and the group that they form.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::security::Fingerprint;

/// Longest worker name, in bytes (torch's rule: fewer than 128).
pub const WORKER_NAME_BYTES_MAX: usize = 127;

/// A worker's rank: `0..world_size`, unique in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A worker's unique name: 1 to 127 of the characters `A-Z a-z 0-9 - _ :` (torch's rule).
///
/// Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerName(Arc<str>);

impl WorkerName {
    /// Checks `name` against the rule.
    ///
    /// # Errors
    /// [`InvalidName`] says which part of the rule is broken.
    ///
    /// ```
    /// use rpc_core::WorkerName;
    /// assert!(WorkerName::new("trainer-0").is_ok());
    /// assert!(WorkerName::new("abc*").is_err());
    /// ```
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        let problem = if name.is_empty() {
            Some(NameProblem::Empty)
        } else if name.len() > WORKER_NAME_BYTES_MAX {
            Some(NameProblem::TooLong)
        } else {
            name.chars()
                .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':')))
                .map(NameProblem::Character)
        };
        match problem {
            None => Ok(Self(name.into())),
            Some(problem) => Err(InvalidName { name, problem }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for messages only, such as the one of a worker that the caller made up.
    pub(crate) fn unchecked(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for WorkerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for WorkerName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for WorkerName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WorkerName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A worker name that breaks the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "worker name {name:?} {problem}; a name has 1 to {WORKER_NAME_BYTES_MAX} of the characters A-Z a-z 0-9 - _ :"
)]
pub struct InvalidName {
    /// What was given.
    pub name: String,
    /// Which part of the rule it breaks.
    pub problem: NameProblem,
}

/// The part of the naming rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameProblem {
    /// No characters at all.
    Empty,
    /// More than [`WORKER_NAME_BYTES_MAX`] bytes.
    TooLong,
    /// A character outside of the allowed set.
    Character(char),
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => f.write_str("is too long"),
            Self::Character(c) => write!(f, "has the character {c:?}"),
        }
    }
}

/// Distinguishes two lives of one worker: 128 random bits drawn at start.
///
/// A restarted process has another incarnation and is therefore another peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// Draws a new one from the operating system.
    ///
    /// # Errors
    /// When the system has no randomness to give, which on the supported systems means that the
    /// process may not read it.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Incarnation {
    /// The first 32 bits in hexadecimal: enough to tell two apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One worker's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Unique name.
    pub name: WorkerName,
    /// Rank.
    pub id: WorkerId,
}

impl WorkerInfo {
    /// An identity out of its two parts.
    pub fn new(name: WorkerName, id: WorkerId) -> Self {
        Self { name, id }
    }
}

impl fmt::Display for WorkerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rank {})", self.name, self.id)
    }
}

/// One worker as its peers need to know it: identity, incarnation and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Name and rank.
    pub info: WorkerInfo,
    /// Which life of that worker this is.
    pub incarnation: Incarnation,
    /// Where it listens, in the form of its transport (`127.0.0.1:4711` for TCP).
    pub address: String,
    /// The certificate that it shows on links; `None` if it has none.
    pub fingerprint: Option<Fingerprint>,
}

impl Member {
    /// A member that listens at `address` and has no certificate.
    pub fn new(info: WorkerInfo, incarnation: Incarnation, address: impl Into<String>) -> Self {
        Self { info, incarnation, address: address.into(), fingerprint: None }
    }
}

/// All workers of one job, by rank. Cloning shares the list.
///
/// ```
/// # use rpc_core::{Group, Incarnation, Member, WorkerId, WorkerInfo, WorkerName};
/// # let member = |rank: u32| Member::new(
/// #     WorkerInfo::new(WorkerName::new(format!("worker{rank}")).unwrap(), WorkerId(rank)),
/// #     Incarnation([rank as u8; 16]), "");
/// let group = Group::new("job", vec![member(1), member(0)])?;
/// assert_eq!(group.find(&"worker1".into())?.id, WorkerId(1));
/// assert!(group.find(&7.into()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    job: Arc<str>,
    members: Arc<[Member]>,
}

impl Group {
    /// A group of `members`, whose ranks must be `0..members.len()` in any order.
    ///
    /// `job` names the job; links between workers of different jobs are refused.
    ///
    /// # Errors
    /// [`InvalidGroup`] names the two workers that share a name or a rank, or the rank without one.
    pub fn new(job: &str, mut members: Vec<Member>) -> Result<Self, InvalidGroup> {
        members.sort_by_key(|member| member.info.id);
        for pair in members.windows(2) {
            if pair[0].info.id == pair[1].info.id {
                return Err(InvalidGroup::DuplicateRank {
                    rank: pair[0].info.id,
                    first: pair[0].info.name.clone(),
                    second: pair[1].info.name.clone(),
                });
            }
        }
        if let Some((rank, _)) = members.iter().enumerate().find(|(at, m)| m.info.id.0 as usize != *at) {
            return Err(InvalidGroup::MissingRank(WorkerId(rank as u32)));
        }
        let mut by_name: Vec<&WorkerInfo> = members.iter().map(|member| &member.info).collect();
        by_name.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in by_name.windows(2) {
            if pair[0].name == pair[1].name {
                return Err(InvalidGroup::DuplicateName {
                    name: pair[0].name.clone(),
                    first: pair[0].id,
                    second: pair[1].id,
                });
            }
        }
        Ok(Self { job: job.into(), members: members.into() })
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// All members, by rank.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Number of workers.
    pub fn world_size(&self) -> usize {
        self.members.len()
    }

    /// The member with this rank.
    pub fn get(&self, id: WorkerId) -> Option<&Member> {
        self.members.get(id.0 as usize)
    }

    /// The worker that `target` means.
    ///
    /// # Errors
    /// [`UnknownWorker`] lists the names that exist.
    pub fn find(&self, target: &Target<'_>) -> Result<&WorkerInfo, UnknownWorker> {
        let found = match target {
            Target::Name(name) => self.members.iter().find(|member| member.info.name.as_str() == *name),
            Target::Rank(rank) => u32::try_from(*rank).ok().and_then(|rank| self.get(WorkerId(rank))),
            Target::Info(info) => self.get(info.id).filter(|member| member.info == **info),
        };
        found.map(|member| &member.info).ok_or_else(|| UnknownWorker {
            target: target.to_string(),
            known: self.members.iter().map(|member| member.info.name.clone()).collect(),
        })
    }

    /// The worker that leads group-wide protocols: the one with the smallest name.
    pub fn leader(&self) -> Option<&WorkerInfo> {
        self.members.iter().map(|member| &member.info).min_by(|a, b| a.name.cmp(&b.name))
    }
}

/// A list of members that is no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroup {
    /// Two workers claim one rank.
    #[error("workers {first} and {second} both claim rank {rank}; give each process its own rank")]
    DuplicateRank {
        /// The rank.
        rank: WorkerId,
        /// One claimant.
        first: WorkerName,
        /// The other.
        second: WorkerName,
    },
    /// Two ranks use one name.
    #[error("ranks {first} and {second} both use the worker name {name}; names must be unique")]
    DuplicateName {
        /// The name.
        name: WorkerName,
        /// One claimant's rank.
        first: WorkerId,
        /// The other's.
        second: WorkerId,
    },
    /// No worker has this rank.
    #[error("no worker has rank {0}")]
    MissingRank(WorkerId),
}

/// How a caller names a worker: by name, by rank, or by [`WorkerInfo`]. A rank is an integer literal, an `i64`, or a
/// [`WorkerId`], `WorkerId(n)`; of a variable of another type it is `i64::from(n)`.
///
/// ```
/// use rpc_core::Target;
/// let by_name: Target<'_> = "worker1".into();
/// let by_rank: Target<'_> = 1.into();
/// assert_eq!((by_name.to_string(), by_rank.to_string()), ("worker1".into(), "rank 1".into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// By unique name.
    Name(&'a str),
    /// By rank. Negative ranks name nobody.
    Rank(i64),
    /// By identity: name and rank must both fit.
    Info(&'a WorkerInfo),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Rank(rank) => write!(f, "rank {rank}"),
            Self::Info(info) => info.fmt(f),
        }
    }
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a WorkerName> for Target<'a> {
    fn from(name: &'a WorkerName) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a WorkerInfo> for Target<'a> {
    fn from(info: &'a WorkerInfo) -> Self {
        Self::Info(info)
    }
}

impl From<WorkerId> for Target<'_> {
    fn from(id: WorkerId) -> Self {
        Self::Rank(i64::from(id.0))
    }
}

/// Any integer literal will do; out-of-range ranks become [`UnknownWorker`].
impl From<i64> for Target<'_> {
    fn from(rank: i64) -> Self {
        Self::Rank(rank)
    }
}

/// A target that names nobody in the group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no worker {target}; the group has {}", list(known))]
pub struct UnknownWorker {
    /// The target as the caller gave it.
    pub target: String,
    /// The names that exist.
    pub known: Vec<WorkerName>,
}

/// Joins names for a message; long groups are cut.
pub(crate) fn list(names: &[WorkerName]) -> String {
    const SHOWN: usize = 16;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(WorkerName::as_str).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, rank: u32) -> Member {
        let info = WorkerInfo::new(WorkerName::new(name).unwrap(), WorkerId(rank));
        Member::new(info, Incarnation([0; 16]), "")
    }

    #[test]
    fn names_follow_torchs_rule() {
        for good in ["worker0", "a-b_c:D9", &"x".repeat(127)] {
            assert!(WorkerName::new(good).is_ok(), "{good}");
        }
        let problem = |name: &str| WorkerName::new(name).unwrap_err().problem;
        assert_eq!(problem(""), NameProblem::Empty);
        assert_eq!(problem(&"x".repeat(128)), NameProblem::TooLong);
        assert_eq!(problem("abc*"), NameProblem::Character('*'));
        assert_eq!(problem("wörker"), NameProblem::Character('ö'));
    }

    #[test]
    fn a_group_names_both_workers_that_clash() {
        let error = Group::new("j", vec![member("a", 0), member("b", 0)]).unwrap_err();
        assert_eq!(error.to_string(), "workers a and b both claim rank 0; give each process its own rank");
        let error = Group::new("j", vec![member("a", 0), member("a", 1)]).unwrap_err();
        assert_eq!(error.to_string(), "ranks 0 and 1 both use the worker name a; names must be unique");
        let error = Group::new("j", vec![member("a", 0), member("b", 2)]).unwrap_err();
        assert_eq!(error, InvalidGroup::MissingRank(WorkerId(1)));
    }

    #[test]
    fn targets_resolve_by_name_rank_and_info_and_nothing_else() {
        let group = Group::new("j", vec![member("b", 0), member("a", 1)]).unwrap();
        let b = group.find(&"b".into()).unwrap().clone();
        assert_eq!(group.find(&0.into()), Ok(&b));
        assert_eq!(group.find(&(&b).into()), Ok(&b));
        assert_eq!(group.leader().unwrap().name.as_str(), "a");
        for bad in [Target::Rank(-1), Target::Rank(2), Target::Name("c")] {
            let error = group.find(&bad).unwrap_err();
            assert!(error.to_string().ends_with("the group has b, a"), "{error}");
        }
    }
}
