//! [`Team`]: workers that do something together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Client, RemoteFunction, WorkerId, WorkerInfo, WorkerName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::broadcast::{Broadcast, broadcast_call};
use crate::error::{CollectiveError, TeamError};
use crate::item::Item;
use crate::leading::leader_of;
use crate::part::{Collective, Part};
use crate::proto::limits::TAG_BYTES_MAX;
use crate::proto::{Line, What};
use crate::shared::Shared;

/// Some workers of the job, or all of them. Cloning is cheap.
///
/// All members run the same operations of a team in the same order; several may be under way at a time. Operations of
/// different teams, kinds and tags have nothing to do with each other.
#[derive(Clone)]
pub struct Team {
    shared: Arc<Shared>,
    client: Client,
    /// By id.
    members: Arc<[Member]>,
    leader: WorkerId,
    tag: Arc<str>,
}

type Member = (WorkerId, WorkerName);

impl Team {
    /// The team of `members`, which are in the order of their ids; `None` for nobody.
    pub(crate) fn new(shared: Arc<Shared>, client: Client, members: Vec<&WorkerInfo>) -> Option<Self> {
        let members: Arc<[Member]> =
            members.into_iter().map(|member| (member.id, member.name.clone())).collect();
        let ids: Vec<WorkerId> = members.iter().map(|(id, _)| *id).collect();
        let leader = leader_of(client.agent().group(), &ids)?;
        Some(Self { shared, client, members, leader, tag: "".into() })
    }

    /// The same team for another part of the program: its operations and those of other tags do not meet. For parts that
    /// run at the same time, so that the order in which they come is not the same everywhere. A worker counts up to
    /// 4,096 teams, kinds and tags; they are not for single operations.
    ///
    /// # Errors
    /// [`TeamError::TagTooLong`].
    pub fn tagged(&self, tag: &str) -> Result<Self, TeamError> {
        if tag.len() > TAG_BYTES_MAX {
            return Err(TeamError::TagTooLong { bytes: tag.len() });
        }
        Ok(Self { tag: tag.into(), ..self.clone() })
    }

    /// The same team, whose operations and calls wait `timeout`; zero is for ever.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { client: self.client.with_timeout(timeout), ..self.clone() }
    }

    /// The members' names, by rank.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &WorkerName> {
        self.members.iter().map(|(_, name)| name)
    }

    /// The member through which operations go: that with the smallest name.
    pub fn leader(&self) -> &WorkerName {
        let leader = self.members.iter().find(|(id, _)| *id == self.leader);
        &leader.unwrap_or(&self.members[0]).1
    }

    /// Whether this worker is a member.
    pub fn is_member(&self) -> bool {
        let me = self.shared.me();
        self.members.iter().any(|(id, _)| *id == me)
    }

    /// Gives `value` to all members, and gets what each of them gives, by name. All members have to call it. Tensors and
    /// references inside of values travel as in calls.
    ///
    /// The values are on their way when this returns. Every member gets all of them, or an error that says who is
    /// missing and why; never some of them. One that failed counts as well: to try again, every member calls again after
    /// each error that it gets (see [the crate](crate)).
    ///
    /// ```
    /// # use rpc_collectives::{CollectiveError, Team};
    /// # async fn example(team: Team, own_loss: f64) -> Result<(), CollectiveError> {
    /// let losses = team.all_gather(own_loss).await?;
    /// let mean = losses.values().sum::<f64>() / losses.len() as f64; // the same for all
    /// println!("worker1 is at {}, the mean is {mean}", losses["worker1"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CollectiveError`], through the future.
    ///
    /// # Cancel safety
    /// See [`Collective`].
    pub fn all_gather<T>(&self, value: T) -> Collective<BTreeMap<WorkerName, T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let what = What::AllGather;
        let begun = self.begin(what).and_then(|mut part| {
            // If it fails, the part ends, and the others are told.
            let encode = |error: rpc_core::CodecError| CollectiveError::Encode { reason: error.to_string() };
            part.give(Item::encode(self.client.codecs(), self.client.codec(), &value).map_err(encode)?);
            let asked = part.ask();
            Ok((part, asked))
        });
        drop(value);
        let (team, codecs) = (self.members.clone(), Arc::clone(self.client.codecs()));
        Collective::new(&self.client, async move {
            let (part, asked) = begun?;
            let items = part.finish(asked).await?;
            let mut values = BTreeMap::new();
            for ((_, worker), item) in team.iter().zip(items) {
                let decode = |error: rpc_core::CodecError| CollectiveError::Decode {
                    worker: worker.clone(),
                    reason: error.to_string(),
                };
                values.insert(worker.clone(), item.decode(&codecs).map_err(decode)?);
            }
            Ok(values)
        })
    }

    /// Resolves when all members have called it. One that failed counts as well: to try again, every member calls again
    /// after each error that it gets (see [the crate](crate)).
    ///
    /// ```
    /// # use rpc_collectives::{CollectiveError, Team};
    /// # async fn example(team: Team) -> Result<(), CollectiveError> {
    /// team.barrier().await?; // nobody goes on before all are here
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CollectiveError`], through the future.
    ///
    /// # Cancel safety
    /// See [`Collective`].
    pub fn barrier(&self) -> Collective<()> {
        let what = What::Barrier;
        let begun = self.begin(what).map(|part| {
            let asked = part.ask();
            (part, asked)
        });
        Collective::new(&self.client, async move {
            let (part, asked) = begun?;
            part.finish(asked).await.map(drop)
        })
    }

    /// Calls `function` on every member, this worker included if it is one, and gives what each returns, by name. The
    /// calls have left when this returns. This worker need not be a member, and the others take no part in it but by
    /// running the function.
    ///
    /// ```
    /// # #[rpc_macros::function(crate = "rpc_core")]
    /// # fn square(n: u64) -> u64 { n * n }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rpc_testing::Cluster::new(2).await;
    /// # let host: std::sync::Arc<dyn rpc_core::Host> = std::sync::Arc::new(cluster.client(0).clone());
    /// # let collectives = rpc_collectives::Collectives::start(cluster.client(0), std::sync::Arc::downgrade(&host));
    /// # let team = collectives.everybody(cluster.client(0));
    /// let squares = team.broadcast_call(square, (3,)).await;
    /// assert_eq!(squares["worker0"], Ok(9));
    /// for (worker, result) in squares {
    ///     println!("{worker}: {result:?}"); // a call that failed is one of them
    /// }
    /// # Ok(()) }
    /// ```
    pub fn broadcast_call<F: RemoteFunction>(
        &self,
        function: F,
        args: F::Args,
    ) -> Broadcast<F::Output, F::Error>
    where
        F::Args: Clone,
    {
        let group = self.client.agent().group();
        let members = self.members.iter().filter_map(|(id, _)| group.get(*id));
        broadcast_call(&self.client, members.map(|member| &member.info), function, args)
    }

    fn begin(&self, what: What) -> Result<Part, CollectiveError> {
        if !self.is_member() {
            let worker = self.shared.name(self.shared.me());
            return Err(CollectiveError::NotAMember { worker, operation: what.name().into() });
        }
        let members = self.members.iter().map(|(id, _)| *id).collect();
        let line = Line { what, members, tag: (&*self.tag).into() };
        let operation = self.shared.with_lines(|lines| lines.begin(&line))?;
        Ok(Part::begin(&self.shared, &self.client, operation, self.leader))
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<&WorkerName> = self.members().collect();
        f.debug_struct("Team").field("members", &members).field("tag", &self.tag).finish_non_exhaustive()
    }
}
