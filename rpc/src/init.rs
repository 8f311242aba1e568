//! From what the program and the environment say to a worker among its peers.
//!
//! In two steps: [`Plan`] decides everything that can be decided without the network, so that mistakes
//! show at once; then the worker listens, meets the others, and serves.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::{
    AgentStart, Backend, BindOptions, Client, FunctionTable, Gatekeeper, Identity, Incarnation, Shutdown,
    Store, WorkerId, WorkerInfo, WorkerName,
};
use rpc_rendezvous::{
    InitMethod, Joining, LaunchEnv, Meeting, OpenStore, is_local_host, join, open_store, refuse,
};
use rpc_rref::LeakPolicy;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::address;
use crate::backends::{self, BACKEND_VARIABLE};
use crate::builder::WorkerBuilder;
use crate::error::InitError;
use crate::ready;
use crate::runtime::{Driver, KeepAlive};
use crate::security::{Policy, at_loopback};
use crate::worker::{Leaving, Membership, Worker};

/// The job's name when nobody gives one.
const DEFAULT_JOB: &str = "rpc";

/// Variable that says what is done about leaks where the program does not.
const LEAKS_VARIABLE: &str = "RPC_LEAKS";

/// Variable that says whether links on one machine may be local where the program does not.
const LOCAL_VARIABLE: &str = "RPC_LOCAL";

/// What stands for "no timeout": long enough, and short enough to be added to a clock.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Starts the worker that `builder` describes.
pub(crate) async fn init(builder: WorkerBuilder) -> Result<Worker, InitError> {
    let plan = Plan::new(builder)?;
    let driver = plan.builder.runtime.driver(&plan.name).map_err(|cause| InitError::System {
        what: "thread for the worker's runtime",
        cause: Arc::new(cause),
    })?;
    let Some(thread) = driver.thread.clone() else { return start(plan, driver).await };
    let runtime = driver.handle.clone();
    let task = runtime.spawn(start(plan, driver));
    let mut abort = AbortOnDrop { task: task.abort_handle(), linger: Some((runtime, thread)) };
    let result = task.await;
    abort.linger = None;
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(InitError::RuntimeEnded),
        },
    }
}

/// How long a runtime goes on after `init` was dropped, so that what was begun can be taken back.
const LINGER: Duration = Duration::from_secs(1);

/// Makes dropping `init` stop it also when it runs on another thread.
struct AbortOnDrop {
    task: tokio::task::AbortHandle,
    linger: Option<(Handle, KeepAlive)>,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.task.abort();
        if let Some((runtime, thread)) = self.linger.take() {
            runtime.spawn(async move {
                tokio::time::sleep(LINGER).await;
                drop(thread);
            });
        }
    }
}

/// What is decided before anything listens.
struct Plan {
    name: WorkerName,
    place: Place,
    backend: Arc<dyn Backend>,
    functions: FunctionTable,
    security: Policy,
    leaks: LeakPolicy,
    local_links: bool,
    /// The rest, as it was given.
    builder: WorkerBuilder,
}

impl Plan {
    fn new(builder: WorkerBuilder) -> Result<Self, InitError> {
        let variable = |name: &str| (builder.variables)(name).filter(|value| !value.is_empty());
        // A bad name is reported before what the environment lacks: it is the program's own.
        let given_name = builder.name.clone().map(WorkerName::new).transpose()?;
        let backend = builder.backend.clone().or_else(|| variable(BACKEND_VARIABLE));
        let backends = builder.backends.clone().unwrap_or_else(backends::default_backends);
        let backend = backends::choose(&backends, backend.as_deref())?;
        let security = Policy::new(&builder.security, variable)?;
        let leaks = match (builder.leaks, variable(LEAKS_VARIABLE)) {
            (Some(policy), _) => policy,
            (None, Some(text)) => text.parse().map_err(InitError::Leaks)?,
            (None, None) => LeakPolicy::default(),
        };
        let local_links = match (builder.local_links, variable(LOCAL_VARIABLE).as_deref()) {
            (Some(on), _) => on,
            (None, None | Some("on")) => true,
            (None, Some("off")) => false,
            (None, Some(other)) => return Err(InitError::LocalLinks { value: other.to_owned() }),
        };
        let functions = match builder.functions.clone() {
            Some(functions) => functions,
            None => FunctionTable::linked()?,
        };
        let place = Place::find(&builder)?;
        let name = match given_name {
            Some(name) => name,
            None => WorkerName::new(format!("worker{}", place.rank))?,
        };
        Ok(Self { name, place, backend, functions, security, leaks, local_links, builder })
    }

    fn timeout(&self) -> Duration {
        if self.builder.init_timeout.is_zero() { FOR_EVER } else { self.builder.init_timeout.min(FOR_EVER) }
    }
}

/// Which worker of which job this is, and where they meet.
#[derive(Debug)]
struct Place {
    rank: u32,
    world_size: u32,
    job: String,
    meeting: MeetIn,
}

#[derive(Debug)]
enum MeetIn {
    Given(Arc<dyn Store>),
    At(Meeting),
}

impl Place {
    /// The builder is asked first, then its `init_method`, then the environment. The latter is not even
    /// read if nothing is missing, so that a variable that is none of the job's business cannot break it.
    fn find(builder: &WorkerBuilder) -> Result<Self, InitError> {
        let (meeting, rank, world_size) = match &builder.init_method {
            None => (None, None, None),
            Some(url) => match InitMethod::parse(url)? {
                InitMethod::At { meeting, rank, world_size } => (Some(meeting), rank, world_size),
                InitMethod::Env { rank, world_size } => (None, rank, world_size),
                _ => (None, None, None),
            },
        };
        let rank = builder.rank.or(rank);
        let world_size = builder.world_size.or(world_size);
        let meeting = builder.store.clone().map(MeetIn::Given).or(meeting.map(MeetIn::At));

        let complete = rank.is_some() && world_size.is_some() && meeting.is_some();
        let env = if complete { LaunchEnv::default() } else { LaunchEnv::from_vars(&*builder.variables)? };
        let missing = |what, method, variables| InitError::Missing { what, method, variables };
        let place = Self {
            rank: rank.or(env.rank).ok_or_else(|| missing("the rank", "rank", "RANK"))?,
            world_size: world_size
                .or(env.world_size)
                .ok_or_else(|| missing("the number of workers", "world_size", "WORLD_SIZE"))?,
            job: builder.job.clone().or(env.job).unwrap_or_else(|| DEFAULT_JOB.into()),
            meeting: meeting.or(env.meeting.map(MeetIn::At)).ok_or_else(|| {
                missing("the place to meet the other workers", "init_method", "MASTER_ADDR and MASTER_PORT")
            })?,
        };
        if place.rank >= place.world_size {
            return Err(InitError::RankOutOfRange { rank: place.rank, world_size: place.world_size });
        }
        Ok(place)
    }
}

/// Listens, meets the others, and serves.
async fn start(plan: Plan, driver: Driver) -> Result<Worker, InitError> {
    let timeout = plan.timeout();
    let started = Instant::now();
    let left = || timeout.saturating_sub(started.elapsed());

    let options = bind_options(&plan, left()).await?;
    let Plan { name, place, backend, functions, security, leaks, builder, .. } = plan;
    let Place { rank, world_size, job, meeting } = place;
    let (store, opened): (Arc<dyn Store>, Option<OpenStore>) = match meeting {
        MeetIn::Given(store) => (store, None),
        MeetIn::At(meeting) => {
            let opened = open_store(&meeting, rank, &job, left(), &security.store()).await?;
            (Arc::clone(&opened.store), Some(opened))
        }
    };
    let mut joining = Joining {
        job,
        name: name.clone(),
        rank,
        world_size,
        incarnation: Incarnation::random()
            .map_err(|cause| InitError::System { what: "randomness", cause: Arc::new(cause) })?,
        backend: backend.name().to_owned(),
        address: String::new(),
        fingerprint: options.security.identity.as_ref().map(Identity::fingerprint),
        protection: options.security.protection,
        timeout: left(),
    };
    let bound = match backend.bind(&options).await {
        Ok(bound) => bound,
        Err(error) => {
            refuse(&store, &joining, &error.to_string()).await;
            return Err(error.into());
        }
    };
    joining.address = bound.address();
    joining.timeout = left();
    let joined = join(&store, joining).await?;
    let mut start = AgentStart::new(WorkerId(rank), joined.group.clone(), builder.config);
    start.functions_digest = functions.digest();
    tracing::debug!(backend = backend.name(), protection = ?options.security.protection, "links of {name}");
    let agent = match bound.start(start).await {
        Ok(agent) => agent,
        Err(error) => {
            joined.leave().await;
            return Err(error.into());
        }
    };
    let client = Client::new(agent, Arc::new(builder.codecs));
    client.set_rpc_timeout(builder.rpc_timeout);
    if let Some(source) = builder.trace_source {
        // It is the first one: the client is new.
        client.set_trace_source(move || source());
    }
    #[cfg(feature = "otel")]
    crate::otel::take_part(&client);
    // Nobody else can have set a follower: the client is new.
    #[cfg(feature = "profiler")]
    let _ = rpc_profiler::Recorder::start_keeping(&client, builder.calls_kept);
    if let Some(observer) = builder.observer {
        client.observers().set(observer);
    }
    let info = WorkerInfo::new(name, WorkerId(rank));
    let group = joined.group.clone();
    let membership = Membership { joined, store: Arc::clone(&store), opened, thread: driver.thread };
    let gatekeeper = builder.authorize.map(|hook| {
        Arc::new(Gatekeeper::new(info.id, group.clone(), move |peer: &_, function: &_| hook(peer, function)))
    });
    let worker = Worker::serving(
        info,
        client,
        Arc::new(functions),
        gatekeeper,
        Leaving { timeout: builder.shutdown_timeout, leaks },
        driver.handle,
        membership,
    )?;
    if let Err(error) = ready::all_ready(&*store, &group, WorkerId(rank), left()).await {
        // It does not fail, and afterwards the rank is free again.
        let _ = worker.shutdown_with(Shutdown::Immediate).await;
        return Err(error);
    }
    Ok(worker)
}

/// Where to listen, and how links are protected: once it is known that both may be, and before anything
/// listens.
async fn bind_options(plan: &Plan, timeout: Duration) -> Result<BindOptions, InitError> {
    let Plan { place, security, backend, builder, .. } = plan;
    let mut local = true;
    if let MeetIn::At(Meeting::Tcp { host, .. }) = &place.meeting {
        security.check_store(host)?;
        local = is_local_host(host);
    }
    let bind = match (&builder.bind, &place.meeting) {
        (Some(bind), _) => bind.clone(),
        (None, MeetIn::At(Meeting::Tcp { host, port, .. })) => {
            address::listen_towards(host, *port, timeout).await?
        }
        (None, _) => address::LOOPBACK.to_owned(),
    };
    // A backend of the program's own may have addresses that are no host and port.
    if security.depends_on_address() {
        let at_loopback = at_loopback(&address::resolve(&bind, timeout).await?);
        security.check_bind(&bind, at_loopback)?;
        local &= at_loopback;
    }
    let mut options = BindOptions::new(bind);
    options.advertise_host.clone_from(&builder.advertise_host);
    options.security = security.links(local)?;
    options.local_links = plan.local_links;
    backend.protects(&options.security)?;
    Ok(options)
}
