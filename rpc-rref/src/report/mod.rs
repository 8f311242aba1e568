//! The leak check at shutdown, and the same list on demand.
//!
//! A *leak* is a value that still has handles on some worker when all workers have called shutdown and nothing
//! is in flight any more. Its owner reports it: its type, where the program asked for it, since when it is
//! there, and who holds it, each holder with the places where its handles came to be, or the value that they
//! are inside of. A worker that has died, or left before the others did, holds nothing.
//!
//! # When
//! ```text
//!  Registry::begin_leaving   before Agent::shutdown: this worker leaves, others may still be at work
//!  the roll is called        all workers are leaving (roll)
//!  each worker               looks into its values (survey) and tells the owners what it holds (tell)
//!  the agent's drain ends    nothing is in flight, what was told included
//!  Registry::leaks           lists what is left; LeakReport::judge does what the program wants done about it
//!  Registry::close
//! ```
//! What is told are entries of the control streams, thus requests that the drain waits for. Handles that come
//! to be afterwards are told as they come; one that is dropped needs no more than its release, because only
//! holders are listed that the table still lists. From the roll call on, a peer that departs keeps what it
//! held: it is leaked, not lost. A peer that dies holds nothing, then as before.
//!
//! A stack that does not call [`begin_leaving`](Registry::begin_leaving) on all its workers has the list
//! without the places. Where no references were used nothing is sent at all.
//!
//! # Cycles
//! Values that refer to each other keep each other alive, also across workers. Which handles are inside of a
//! value is found by a dry run of its serialization, so what has no encoding is opaque. Each worker passes
//! what it knows of *edges*, from a value to one that is inside of it, to the owners of what is inside of its
//! own values: along a cycle, so all owners on it come to know the whole of it.
//!
//! # Bounds
//! A worker looks into 10,000 values at most, for about a second. It tells one owner of 1,024 handles at most and
//! then of a number, and one peer of 1,024 edges. It keeps 16,384 edges, lists 1,024 values, and takes no more
//! than that from anybody.
//!
//! # On demand
//! [`Registry::rrefs`] asks the holders by requests, while the program runs, and waits two seconds for them. A
//! cycle is then found if it goes through this worker and those that hold something of it alone.

mod ask;
mod cycles;
mod list;
mod policy;
mod reporting;
mod roll;
mod survey;
mod tell;

use std::collections::BTreeSet;
use std::time::Duration;

use rpc_core::{WorkerId, WorkerInfo};

pub use self::list::{CycleStep, HandlePlace, Handles, Held, Holder, Leak, OwnedValue, RRefList};
pub use self::policy::{LeakPolicy, LeakReport, Leaked, UnknownLeakPolicy};
pub(crate) use self::reporting::Reporting;
pub(crate) use self::tell::Tell;

use self::cycles::Components;
use self::tell::{Graph, Told};
use crate::registry::{Registry, State};

/// Values that are listed.
const LISTED_MAX: usize = 1024;

impl Registry {
    /// This worker wants to leave together with the others: to be called before
    /// [`Agent::shutdown`](rpc_core::Agent::shutdown) with [`Shutdown::Graceful`](rpc_core::Shutdown::Graceful),
    /// so that [`leaks`](Self::leaks) can say afterwards where handles are. References can be used as before
    /// until the agent has left.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use rpc_core::{Client, Host, Shutdown};
    /// # use rpc_rref::{LeakPolicy, RRef, Registry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = rpc_testing::Cluster::new(1).await;
    /// # let client: Arc<Client> = Arc::new(cluster.client("worker0").clone());
    /// # let host: Arc<dyn Host> = client.clone();
    /// # let registry = Registry::start(&client, Arc::default(), Arc::downgrade(&host))?;
    /// let forgotten = RRef::new(&registry, 7_u64);
    /// registry.begin_leaving();
    /// client.agent().shutdown(Shutdown::Graceful { timeout: None }).await?;
    /// let report = registry.leaks();
    /// registry.close();
    /// assert_eq!(report.leaks[0].rref, forgotten.id());
    /// assert!(report.judge(LeakPolicy::Error).is_err());
    /// # Ok(()) }
    /// ```
    pub fn begin_leaving(&self) {
        let members = self.agent().group().members().iter();
        let mut by_name: Vec<_> = members.map(|member| (&member.info.name, member.info.id)).collect();
        by_name.sort_unstable();
        let order = by_name.into_iter().map(|(_, id)| id).collect();
        self.change(|state| state.begin_leaving(order));
    }

    /// Says that the processes of `workers` have died, as a graceful shutdown of the agent has found out. What they
    /// held is let go, so that it is no leak; the registry may not have noticed by itself yet.
    pub fn lost(&self, workers: impl IntoIterator<Item = WorkerId>) {
        self.change(|state| workers.into_iter().for_each(|worker| state.peer_gone(worker)));
    }

    /// This worker's values that still have holders: its leaks, after a graceful shutdown of the agent that
    /// went well, and before [`close`](Self::close). The list is as of now, and asks nobody.
    pub fn leaks(&self) -> LeakReport {
        let names = self.names();
        let (graph, (mut leaks, more)) = self.change(|state| {
            state.hear_self();
            (state.current(&state.report.graph), list(state, &state.report.told, &names))
        });
        name_cycles(&mut leaks, &graph);
        LeakReport { worker: self.worker().clone(), leaks, more }
    }

    /// This worker's values with their holders, and its handles to others' values, as of now. For people who
    /// look for what keeps a value alive while the program runs.
    ///
    /// Asks the holders, and waits for them for two seconds; those that do not answer are listed without
    /// places. Looking into values borrows each for a moment, to read.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn rrefs(&self) -> RRefList {
        let (me, names) = (self.me(), self.names());
        let holders = self.read(|state| {
            let users = state.table.iter_owned().flat_map(|(_, _, users)| users);
            users.copied().filter(|user| !state.dead.contains(user)).collect::<BTreeSet<WorkerId>>()
        });
        let others = self.ask_holders(holders);
        let own = self.ask_self().await;
        let others = others.await;

        let (mut told, mut graph) = (Told::default(), Graph::default());
        let now_s = self.read(State::age_s);
        for edge in own.edges.iter().chain(others.iter().flat_map(|(_, answer)| &answer.edges)) {
            graph.insert(edge);
        }
        for (holder, mut answer) in others {
            told.holdings(holder, &answer.holdings.remove(&me).unwrap_or_default(), now_s);
        }
        let mut of_owner = own.holdings;
        told.holdings(me, &of_owner.remove(&me).unwrap_or_default(), now_s);
        let held_more = of_owner.values().map(|holdings| holdings.more).sum();
        let held = of_owner.into_values().flat_map(|holdings| holdings.handles).map(|handle| Held {
            rref: handle.rref,
            owner: names.of(handle.rref.owner),
            handle: HandlePlace { place: handle.place.into(), inside: handle.inside },
            age: Duration::from_secs(handle.age_s.unwrap_or_default().into()),
        });
        let held = held.collect();

        let (graph, (mut owned, owned_more)) =
            self.read(|state| (state.current(&graph), list(state, &told, &names)));
        name_cycles(&mut owned, &graph);
        RRefList { worker: self.worker().clone(), owned, owned_more, held, held_more }
    }

    fn names(&self) -> Names {
        Names(self.agent().group().members().iter().map(|member| member.info.clone()).collect())
    }
}

/// All workers, by rank.
struct Names(Vec<WorkerInfo>);

impl Names {
    /// Those whom the table knows are in the group.
    fn of(&self, id: WorkerId) -> WorkerInfo {
        self.0[id.0 as usize].clone()
    }
}

/// The first of this worker's values with who holds them, and the number of the others.
fn list(state: &State, told: &Told, names: &Names) -> (Vec<OwnedValue>, u64) {
    let now_s = state.age_s();
    let mut values = state.table.iter_owned();
    let listed = values.by_ref().take(LISTED_MAX).map(|(rref, owned, users)| {
        let itself = owned.local.is_some().then_some(&state.me);
        let holders = users.iter().chain(itself).map(|holder| {
            let (handles, age_s) = told.look_up(*holder, rref, now_s);
            Holder { worker: names.of(*holder), age: age_s.map(Duration::from_secs), handles }
        });
        OwnedValue {
            rref,
            type_name: owned.value.as_ref().map(|value| value.type_name()),
            created: state.places.text(owned.created),
            age: Duration::from_secs(now_s.saturating_sub(owned.born_s).into()),
            holders: holders.collect(),
            cycle: Vec::new(),
        }
    });
    let listed = listed.collect();
    (listed, values.count() as u64)
}

/// Says of each value that is on a cycle in `graph` which one.
fn name_cycles(values: &mut [OwnedValue], graph: &Graph) {
    let components = Components::of(graph.edges());
    for value in values {
        let cycle = components.cycle_through(graph.edges(), value.rref).unwrap_or_default();
        let step = |rref| CycleStep { rref, type_name: graph.type_name(rref) };
        value.cycle = cycle.into_iter().map(step).collect();
    }
}
