//! [`Collectives`]: one worker's part in the operations of its teams, and those that it leads.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rpc_core::{Client, Host, Kind, Target, WorkerId, WorkerInfo, WorkerName};
use tokio::sync::{Notify, oneshot};

use crate::error::{CollectiveError, Incomplete, IncompleteCause, TeamError};
use crate::info::{self, CollectiveInfo};
use crate::item::Item;
use crate::message::{JOIN, KIND, LEAVE, WATCH};
use crate::proto::{
    self, Absence, Before, Cause, End, Failed, Full, Joined, Leader, Lines, Operation, Standing, What,
};
use crate::serve::CollectiveHandler;
use crate::team::Team;

/// What a member gives: nothing, for operations that have no values.
pub(crate) type Given = Option<Item>;

/// One worker's part in the operations of its teams. Serves what members ask the leader for as long as it lives.
///
/// Programs that use the facade have it in their `Worker`.
#[derive(Clone)]
pub struct Collectives {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    host: Weak<dyn Host>,
    state: Mutex<State>,
    /// This worker's program has ended an operation.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Of which this worker is the leader.
    leader: Leader<Given>,
    /// Requests that wait for the end of each of those.
    waiting: HashMap<Operation, Waiting>,
    /// This worker's own.
    lines: Lines,
    /// Requests to watch that wait here.
    watches: usize,
}

/// Requests that wait for the end of one operation.
#[derive(Default)]
struct Waiting {
    /// Bounded by what their senders may have in flight here.
    told: Vec<oneshot::Sender<End<Given>>>,
    /// Held by the one that looks for the missing. Fair, so that the next one follows it.
    looking: Looking,
}

/// Whose turn it is to look for the missing.
pub(crate) type Looking = Arc<tokio::sync::Mutex<()>>;

impl Collectives {
    /// Has the agent of `client` serve collectives. `host` is found by references inside of values. If they are served
    /// already, these are the same, with the host that they have.
    pub fn start(client: &Client, host: Weak<dyn Host>) -> Self {
        let shared = client.extension_or(|| {
            let (state, ended) = (Mutex::default(), Notify::new());
            let shared = Arc::new(Shared { client: client.clone(), host, state, ended });
            client.agent().serve(KIND, Arc::new(CollectiveHandler::new(&shared)));
            shared
        });
        Self { shared }
    }

    /// The team of `workers`, by name, rank or [`WorkerInfo`]; their order does not matter. Its operations wait as long
    /// as calls of `client` do.
    ///
    /// # Errors
    /// [`TeamError`].
    pub fn team<'t, W: Into<Target<'t>>>(
        &self,
        client: &Client,
        workers: impl IntoIterator<Item = W>,
    ) -> Result<Team, TeamError> {
        let group = client.agent().group();
        let members: Result<Vec<&WorkerInfo>, _> =
            workers.into_iter().map(|worker| group.find(&worker.into())).collect();
        let mut members = members?;
        members.sort_unstable_by_key(|member| member.id);
        if let Some(twice) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(TeamError::Twice { worker: twice[0].name.clone() });
        }
        Team::new(Arc::clone(&self.shared), client.clone(), members).ok_or(TeamError::Empty)
    }

    /// The team of all workers of the job.
    pub fn everybody(&self, client: &Client) -> Team {
        let members = client.agent().group().members().iter().map(|member| &member.info).collect();
        let team = Team::new(Arc::clone(&self.shared), client.clone(), members);
        team.expect("a group has at least this worker")
    }

    /// The operations under way that this worker takes part in or leads.
    pub fn info(&self) -> Vec<CollectiveInfo> {
        info::under_way(&self.shared)
    }

    /// What a request of collectives is called, by its kind and method, for
    /// [`AgentInfo::name_functions`](rpc_core::AgentInfo::name_functions): `barrier`, `all_gather`, or `all_gather or
    /// barrier` where both are under way, since the request's method does not tell. `None` for those of others.
    pub fn name_of(&self, kind: Kind, method: u64) -> Option<String> {
        let what = match (kind, method) {
            (KIND, JOIN) => return Some(self.shared.under_way()),
            (KIND, LEAVE) => "leaves",
            (KIND, WATCH) => "looks for the missing",
            _ => return None,
        };
        Some(format!("collectives: {what}"))
    }
}

impl fmt::Debug for Collectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        let (led, watches) = (state.leader.open().count(), state.watches);
        f.debug_struct("Collectives").field("led", &led).field("watches", &watches).finish_non_exhaustive()
    }
}

/// What has become of a request to join.
pub(crate) enum Joining {
    Waits { end: oneshot::Receiver<End<Given>>, looking: Looking },
    Known(Result<Values, CollectiveError>),
}

/// What each member gave.
pub(crate) type Values = proto::Values<Given>;

impl proto::Value for Given {
    fn kept_bytes(&self) -> Option<u64> {
        self.as_ref().map_or(Some(0), Item::bytes_alone)
    }
}

impl Shared {
    /// `member` has come to `operation`, of which this worker is the leader.
    pub(crate) fn join(&self, operation: &Operation, member: WorkerId, given: Given) -> Joining {
        let mut state = self.state.lock();
        let (mut joined, mut unused) = state.leader.join(operation, member, given);
        let mut abandoned = Vec::new();
        if let (Joined::Refused(_), Some(given)) = (&joined, unused.take()) {
            abandoned = state.abandoned();
            (joined, unused) = state.leader.join(operation, member, given);
        }
        let joining = match joined {
            Joined::Waits => {
                let (told, end) = oneshot::channel();
                let waiting = state.waiting.entry(operation.clone()).or_default();
                waiting.told.push(told);
                Joining::Waits { end, looking: Arc::clone(&waiting.looking) }
            }
            Joined::Ended(end) => {
                let waiting = state.waiting.remove(operation);
                drop(state);
                tell(waiting, &end);
                Joining::Known(self.outcome(operation, end))
            }
            Joined::Before(before) => Joining::Known(self.outcome_before(operation, before)),
            Joined::Refused(full) => Joining::Known(Err(full.into())),
        };
        drop((unused, abandoned)); // a handle's drop is its registry's business
        joining
    }

    /// `operation`, of which this worker is the leader, cannot end well any more.
    pub(crate) fn fail(&self, operation: &Operation, cause: Cause) {
        let (ended, waiting) = {
            let mut state = self.state.lock();
            let Some(ended) = state.leader.fail(operation, cause) else { return };
            (ended, state.waiting.remove(operation))
        };
        tell(waiting, &End::Failed(ended.failed));
        drop(ended.values);
    }

    pub(crate) fn missing(&self, operation: &Operation) -> Option<Vec<WorkerId>> {
        self.state.lock().leader.missing(operation)
    }

    /// The operations under way of which this worker is the leader, and who is missing in each.
    pub(crate) fn led(&self) -> Vec<(Operation, Vec<WorkerId>)> {
        let state = self.state.lock();
        let missing = |operation: &Operation| state.leader.missing(operation).unwrap_or_default();
        state.leader.open().map(|operation| (operation.clone(), missing(operation))).collect()
    }

    /// The kinds of operations that this worker takes part in or leads now.
    fn under_way(&self) -> String {
        let state = self.state.lock();
        let here = |what: &What| {
            let mut led = state.leader.open().map(|operation| operation.line.what);
            led.any(|led| led == *what) || state.lines.any_under_way(*what)
        };
        let kinds: Vec<_> = What::ALL.into_iter().filter(here).map(What::name).collect();
        // It may have ended since the request was seen.
        if kinds.is_empty() { "collectives".to_owned() } else { kinds.join(" or ") }
    }

    pub(crate) fn with_lines<R>(&self, f: impl FnOnce(&mut Lines) -> R) -> R {
        f(&mut self.state.lock().lines)
    }

    /// This worker's program has ended `operation`.
    pub(crate) fn end(&self, operation: &Operation) {
        self.with_lines(|lines| lines.end(operation));
        self.ended.notify_waiters();
    }

    /// Resolves when this worker's program is past `operation`.
    pub(crate) async fn until_past(&self, operation: &Operation) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable(); // before looking
            if self.with_lines(|lines| lines.standing(operation)) == Standing::Past {
                return;
            }
            ended.await;
        }
    }

    /// Counts one more request to watch that waits, unless there are too many.
    pub(crate) fn count_watch(self: &Arc<Self>) -> Option<Watching> {
        let mut state = self.state.lock();
        if state.watches >= crate::proto::limits::WATCHES_MAX {
            return None;
        }
        state.watches += 1;
        Some(Watching(Arc::clone(self)))
    }

    /// What references inside of values find their worker by.
    pub(crate) fn host(self: &Arc<Self>) -> Weak<dyn Host> {
        if self.host.strong_count() > 0 {
            return Weak::clone(&self.host);
        }
        let own: Arc<dyn Host> = Arc::clone(self) as _;
        Arc::downgrade(&own)
    }

    pub(crate) fn me(&self) -> WorkerId {
        self.client.agent().id()
    }

    pub(crate) fn name(&self, worker: WorkerId) -> WorkerName {
        let group = self.client.agent().group();
        let member = group.get(worker).or_else(|| group.members().first());
        member.expect("a group has members").info.name.clone()
    }

    pub(crate) fn outcome(&self, operation: &Operation, end: End<Given>) -> Result<Values, CollectiveError> {
        match end {
            End::Whole(values) => Ok(values),
            End::Failed(failed) => Err(self.incomplete(operation, &failed)),
        }
    }

    fn outcome_before(
        &self,
        operation: &Operation,
        before: Before<Given>,
    ) -> Result<Values, CollectiveError> {
        match (before, operation.line.what) {
            (Before::Failed(failed), _) => Err(self.incomplete(operation, &failed)),
            (Before::Whole(Some(values)), _) => Ok(values),
            (Before::Whole(None), What::Barrier) => Ok(Arc::new([])),
            (Before::Whole(None), what @ What::AllGather) => {
                Err(CollectiveError::ResultLost { operation: what.name().into() })
            }
        }
    }

    /// A failure in the words of users.
    fn incomplete(&self, operation: &Operation, failed: &Failed) -> CollectiveError {
        let name = |worker: WorkerId| self.name(worker);
        let cause = match &failed.cause {
            Cause::TimedOut { member, after } => {
                IncompleteCause::TimedOut { worker: name(*member), after: *after }
            }
            Cause::GaveUp { member } => IncompleteCause::GaveUp { worker: name(*member) },
            Cause::Absent { member, why } => {
                let worker = name(*member);
                match why {
                    Absence::Died { reason } => IncompleteCause::Died { worker, reason: reason.clone() },
                    Absence::Departed => IncompleteCause::Departed { worker },
                    Absence::NotServed => IncompleteCause::NotServed { worker },
                    Absence::Past => IncompleteCause::GaveUp { worker },
                }
            }
        };
        let mut missing: Vec<WorkerName> = failed.missing.iter().copied().map(name).collect();
        missing.sort();
        CollectiveError::Incomplete(Box::new(Incomplete {
            operation: operation.line.what.name().into(),
            members: operation.line.members.len(),
            cause,
            missing,
        }))
    }
}

/// Where who started the collectives has gone, they are their own host.
impl Host for Shared {
    fn client(&self) -> Client {
        self.client.clone()
    }
}

impl State {
    /// Ends the operations for which nobody waits any more: of members that have died, or whose giving up was lost with
    /// a link. They hold places that others need. Returns what is to be dropped.
    fn abandoned(&mut self) -> Vec<Given> {
        let nobody = |waiting: &Waiting| waiting.told.iter().all(oneshot::Sender::is_closed);
        let abandoned: Vec<Operation> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| nobody(waiting))
            .map(|(operation, _)| operation.clone())
            .collect();
        let mut values = Vec::new();
        for operation in abandoned {
            self.waiting.remove(&operation);
            let came = self.leader.anybody(&operation);
            if let Some(ended) =
                came.and_then(|member| self.leader.fail(&operation, Cause::GaveUp { member }))
            {
                values.extend(ended.values);
            }
        }
        values
    }
}

/// Tells those who wait. Without locks held: who is told may go on at once.
fn tell(waiting: Option<Waiting>, end: &End<Given>) {
    for told in waiting.into_iter().flat_map(|waiting| waiting.told) {
        // Nobody may be waiting any more.
        let _ = told.send(end.clone());
    }
}

impl From<Full> for CollectiveError {
    fn from(full: Full) -> Self {
        Self::TooMany { bound: full.bound.into(), limit: full.limit as u64 }
    }
}

/// A request to watch that waits.
pub(crate) struct Watching(Arc<Shared>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.state.lock().watches -= 1;
    }
}
