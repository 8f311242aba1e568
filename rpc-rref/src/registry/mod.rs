//! [`Registry`]: one worker's part in everything about references.
//!
//! It drives [`proto`](crate::proto): tells the table what happens to handles and messages, and sends what
//! the table says. It has no task and no clock of its own.
//!
//! ```text
//!   RRef, methods ──► Registry ──► Client ──► Agent        requests: create, fetch, method
//!   Handle (drop) ──►    │  ▲
//!                        │  └──── desk: handles in messages, counted as they leave and arrive
//!                        └──────► control: batches of the protocol's messages, one in flight for each peer
//! ```
//! - `state`: what is behind the lock, and what a change of it leaves to be done outside.
//! - `control`: the stream of the protocol's messages to each peer.
//! - `desk`: handles that travel in messages.
//! - `create`, `fetch`: how a value comes to be, and is read from elsewhere.
//! - `wait`: what waits for a value to be there, or to be free.
//! - `verdict`: whether the owner of a value is gone.
//! - `trash`: how values are dropped.
//! - `info`: how much of all that there is, for who asks.
//! - `chores`: what may block or has to wait is asked of the worker itself, as a request.
//!
//! # Locking
//! One mutex for all. Nothing of a user's runs under it (destructors, serialization, wakers), and no agent is
//! called: a change returns its [`Effects`](state::Effects), which are applied when the lock is free again.

mod chores;
mod control;
mod create;
mod desk;
mod fetch;
mod handler;
mod info;
mod places;
mod state;
mod trash;
mod verdict;
mod wait;

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rpc_core::handles::HandleDesk;
use rpc_core::{
    Agent, CallContext, Client, FunctionTable, Gatekeeper, Host, PeerWatcher, Response, TableError, WorkerId,
    WorkerInfo,
};
use serde::Serialize;

pub(crate) use self::control::Entry;
pub(crate) use self::desk::Travelling;
pub(crate) use self::fetch::{InUse, value_for};
pub use self::info::{PeerReferences, ReferenceInfo};

pub(crate) use self::handler::REPORT;
pub(crate) use self::handler::{CREATE_BY_METHOD, METHOD};
pub(crate) use self::places::{PLACE_BYTES_MAX, Place, PlaceId};
pub(crate) use self::state::{Phase, State};
pub(crate) use self::verdict::{Held, Holding, Use};
pub(crate) use self::wait::{Borrow, Borrowed, Wanted};

use self::state::Effects;

use crate::method::MethodTable;

/// Which references one worker has given out and holds.
///
/// A program that uses the facade has one in its worker. A stack of its own starts one over its agent:
///
/// ```
/// # use std::sync::Arc;
/// use rpc_core::{Client, Host};
/// use rpc_rref::{RRef, Registry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rpc_testing::Cluster::new(1).await;
/// let client: Arc<Client> = Arc::new(cluster.client("worker0").clone());
/// let host: Arc<dyn Host> = client.clone();
/// let registry = Registry::start(&client, Arc::default(), Arc::downgrade(&host))?;
/// let rref = RRef::new(&registry, String::from("stays here"));
/// assert_eq!(*rref.local_value().await?, "stays here");
/// # Ok(()) }
/// ```
pub struct Registry {
    me: WorkerInfo,
    client: Client,
    functions: Arc<FunctionTable>,
    methods: MethodTable,
    /// The host of functions and methods that run for a reference.
    host: Weak<dyn Host>,
    gatekeeper: Option<Arc<Gatekeeper>>,
    own: Weak<Registry>,
    state: Mutex<State>,
    trash: trash::Trash,
}

impl Registry {
    /// Starts to count the references of the worker of `client`: its agent serves the reference protocol
    /// from now on, and messages of `client` and its clones can carry handles. Functions and methods that
    /// run for a reference find `host` (see [`CallContext::host`]); functions that `remote` calls are those
    /// of `functions`.
    ///
    /// The agent holds it weakly: it ends with the last `Arc`, and so do all values in it.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        client: &Client,
        functions: Arc<FunctionTable>,
        host: Weak<dyn Host>,
    ) -> Result<Arc<Self>, StartError> {
        Self::start_guarded(client, functions, host, None)
    }

    /// As [`start`](Self::start), where `gatekeeper` decides which peers may call which functions and methods:
    /// for a result that comes back, and for one that stays here.
    ///
    /// It is not asked when a peer reads a value (`to_here`), or asks whether it is there. What guards those
    /// is the reference: only workers that were given one are served.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_guarded(
        client: &Client,
        functions: Arc<FunctionTable>,
        host: Weak<dyn Host>,
        gatekeeper: Option<Arc<Gatekeeper>>,
    ) -> Result<Arc<Self>, StartError> {
        let methods = MethodTable::linked()?;
        let agent = client.agent();
        let me = agent.group().get(agent.id()).map(|member| member.info.clone());
        let me = me.expect("an agent is a member of its own group");
        let world_size = agent.group().world_size();
        let batch_max = control::batch_max(&**agent);
        let registry = Arc::new_cyclic(|own: &Weak<Self>| Self {
            state: Mutex::new(State::new(me.id, world_size, batch_max)),
            me,
            client: client.clone(),
            functions,
            methods,
            host,
            gatekeeper,
            own: Weak::clone(own),
            trash: trash::Trash::default(),
        });
        let desk: Arc<dyn HandleDesk> = Arc::clone(&registry) as _;
        if !client.set_desk(Arc::downgrade(&desk)) {
            return Err(StartError::AlreadyStarted);
        }
        for kind in handler::KINDS {
            agent.serve(kind, Arc::new(handler::ReferenceHandler::new(&registry, kind)));
        }
        let watcher: Arc<dyn PeerWatcher> = Arc::clone(&registry) as _;
        agent.watch(Arc::downgrade(&watcher));
        Ok(registry)
    }

    /// The registry of the worker that runs the calling handler; `None` outside of one.
    pub fn current() -> Option<Arc<Self>> {
        Self::of(&CallContext::current()?.client()?)
    }

    /// The registry that counts for `client`.
    pub fn of(client: &Client) -> Option<Arc<Self>> {
        let desk: Arc<dyn std::any::Any + Send + Sync> = client.desk()?;
        desk.downcast().ok()
    }

    /// The worker whose registry this is.
    pub fn worker(&self) -> &WorkerInfo {
        &self.me
    }

    /// The client that makes its requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn agent(&self) -> &Arc<dyn Agent> {
        self.client.agent()
    }

    pub(crate) fn me(&self) -> WorkerId {
        self.me.id
    }

    pub(crate) fn own(&self) -> &Weak<Self> {
        &self.own
    }

    pub(crate) fn host(&self) -> Weak<dyn Host> {
        self.host.clone()
    }

    /// Lets worker `from` call `function`, for itself or for a reference.
    ///
    /// # Errors
    /// The response that says that it may not.
    pub(crate) fn admit(&self, from: WorkerId, function: &str) -> Result<(), Response> {
        self.gatekeeper.as_ref().map_or(Ok(()), |gatekeeper| gatekeeper.admit(from, function))
    }

    pub(crate) fn methods(&self) -> &MethodTable {
        &self.methods
    }

    /// The worker's name and rank, as it stands in errors.
    pub(crate) fn describe(&self, id: WorkerId) -> String {
        match self.agent().group().get(id) {
            Some(member) => member.info.to_string(),
            None => id.to_string(),
        }
    }

    /// Changes the state, and does what follows from that when the lock is free again.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, effects) = self.change_only(change);
        self.apply(effects);
        result
    }

    fn change_only<R>(&self, change: impl FnOnce(&mut State) -> R) -> (R, Effects) {
        let mut state = self.state.lock();
        let result = change(&mut state);
        let effects = state.settle();
        (result, effects)
    }

    /// Reads the state, which does not change.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.state.lock())
    }

    fn apply(&self, effects: Effects) {
        let Effects { freed, wake, spent, batches, speak } = effects;
        // First, because somebody waits for these; an answer can leave together with the batches.
        for waker in wake {
            waker.wake();
        }
        for batch in batches {
            self.send_batches(batch);
        }
        drop(spent);
        if !freed.is_empty() {
            self.discard(freed);
        }
        if speak {
            self.speak_later();
        }
    }

    /// Whether no value is shared or used here, nobody waits for one, and no handle or message about one is on
    /// its way.
    pub fn is_idle(&self) -> bool {
        self.read(|state| {
            state.table.is_idle()
                && state.streams.values().all(|stream| stream.out.is_idle())
                && state.failed.is_empty()
                && state.queues.is_empty()
                && state.waiting.is_empty()
        })
    }

    /// The worker has left its group: the values are dropped, and handles are of no use any more.
    pub fn close(&self) {
        let owned = self.change(State::close);
        trash::drop_values(owned);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        trash::drop_values(self.state.get_mut().close());
        self.empty_trash();
    }
}

/// Why a registry could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two methods in the program have the same name.
    #[error(transparent)]
    Methods(#[from] TableError),
    /// The client has a registry already, or had one that has ended.
    #[error("this client's references are counted already; a client has one registry in its life")]
    AlreadyStarted,
}

/// Plain data as it stands in a message.
pub(crate) fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    // Room for what travels with most requests. Serializing plain data into a vector does not fail.
    postcard::to_extend(value, Vec::with_capacity(96)).unwrap_or_default()
}

impl AsRef<Registry> for Registry {
    fn as_ref(&self) -> &Registry {
        self
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("worker", &self.me).finish_non_exhaustive()
    }
}
