//! [`Launch`]: what to start, and the course of a launch.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpc_rendezvous::TcpStoreServer;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::LaunchError;
use crate::outcome::Outcome;
use crate::output::{Output, OutputMode};
use crate::placement::{self, Job, Shape, Variables};
use crate::process::{self, Parent};
use crate::security::Security;
use crate::stop::StopSignals;
use crate::store;
use crate::supervise::{Worker, supervise};

/// A job to start: a program, and how many times.
///
/// Without more than [`Launch::new`] it is one worker on this machine, with a store on a free port of
/// loopback.
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `run`"]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Variables,
    backend: Option<String>,
    shape: Shape,
    master_addr: Option<String>,
    master_port: Option<u16>,
    job_id: Option<String>,
    output: OutputMode,
    output_of: BTreeMap<u32, OutputMode>,
    names: BTreeMap<u32, String>,
    grace: Duration,
    pass_on_signals: bool,
}

impl Launch {
    /// The grace period unless another is chosen.
    pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);

    /// Starts `program`: a path, or a name that is looked up in `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Variables::default(),
            backend: None,
            shape: Shape { nproc: 1, nnodes: 1, node_rank: 0 },
            master_addr: None,
            master_port: None,
            job_id: None,
            output: OutputMode::default(),
            output_of: BTreeMap::new(),
            names: BTreeMap::new(),
            grace: Self::GRACE_DEFAULT,
            pass_on_signals: false,
        }
    }

    /// Adds arguments, the same for every worker.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable. It wins over those of [`placement`]. That includes `RPC_JOIN_TOKEN` and the
    /// variables of credentials, which the launcher then uses as well.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.0.push((key.into(), value.into()));
        self
    }

    /// Workers on this machine, and on each other one.
    pub fn nproc(mut self, nproc: u32) -> Self {
        self.shape.nproc = nproc;
        self
    }

    /// The backend that the workers shall use.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// How many machines there are, and which one this is, from 0. With more than one,
    /// [`Launch::master_addr`] and [`Launch::master_port`] are needed.
    pub fn node(mut self, node_rank: u32, nnodes: u32) -> Self {
        (self.shape.node_rank, self.shape.nnodes) = (node_rank, nnodes);
        self
    }

    /// Where the workers reach the store: an address of node 0, the same on all machines. The default is
    /// 127.0.0.1, for one machine. Several machines that meet at any other than loopback need a token or credentials
    /// in the environment, the same on each ([`placement`]); `RPC_INSECURE=1` does without, in a network in which
    /// every machine is trusted.
    pub fn master_addr(mut self, addr: impl Into<String>) -> Self {
        self.master_addr = Some(addr.into());
        self
    }

    /// The port of the store, the same on all machines. The default, and the meaning of 0, is any free port,
    /// for one machine.
    pub fn master_port(mut self, port: u16) -> Self {
        self.master_port = Some(port);
        self
    }

    /// The job's id, the same on all machines. The default is written at [`placement`].
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into());
        self
    }

    /// What becomes of the workers' output, apart from those that have their own [`Launch::output_of`].
    pub fn output(mut self, mode: OutputMode) -> Self {
        self.output = mode;
        self
    }

    /// What becomes of the output of one worker of this machine.
    pub fn output_of(mut self, rank: u32, mode: OutputMode) -> Self {
        self.output_of.insert(rank, mode);
        self
    }

    /// The name of a worker of this machine in prefixes and messages. The default is `worker{rank}`. What the
    /// worker calls itself is its own affair.
    pub fn name_of(mut self, rank: u32, name: impl Into<String>) -> Self {
        self.names.insert(rank, name.into());
        self
    }

    /// How long workers that were asked to end may take before they are killed.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Whether [`Launch::run`] handles SIGINT and SIGTERM: passes the first on, and kills at the second. Off
    /// by default, because tokio then handles these signals for the whole process and for good. When off,
    /// they end this process as usual, and the workers with it where the kernel helps (Linux).
    pub fn pass_on_signals(mut self, pass_on: bool) -> Self {
        self.pass_on_signals = pass_on;
        self
    }

    /// Starts the workers and waits until all of them have ended.
    ///
    /// When one fails, the others get SIGTERM and, after the grace period, SIGKILL. The workers' standard
    /// input is empty.
    ///
    /// # Errors
    /// Only if the launch could not begin or be watched; no worker is left running then. That a worker failed
    /// is told by the [`Outcome`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future kills the workers and ends the store. Output that was not yet printed is lost.
    pub async fn run(self) -> Result<Outcome, LaunchError> {
        self.check()?;
        // First of all, so that a signal during the start is not lost: the workers get it once they run.
        let mut signals = match self.pass_on_signals {
            true => Some(StopSignals::listen().map_err(system("listen for signals"))?),
            false => None,
        };
        let (job, store) = self.prepare().await?;
        let mut output = Output::default();
        let (workers, parent) = self.start(&job, &mut output).await?;
        let outcome =
            supervise(workers, self.grace, signals.as_mut()).await.map_err(system("wait for a worker"))?;
        drop(parent);
        drop(store);
        match &mut signals {
            // The reader of our output may never read on; a signal then gives up what is left.
            Some(signals) => tokio::select! { () = output.drain() => {}, _ = signals.next() => {} },
            None => output.drain().await,
        }
        Ok(outcome)
    }

    fn check(&self) -> Result<(), LaunchError> {
        self.shape.check()?;
        if self.shape.nnodes > 1 && (self.master_addr.is_none() || matches!(self.master_port, None | Some(0)))
        {
            return Err(LaunchError::NoMasterAddress { nnodes: self.shape.nnodes });
        }
        let (first, last) = (self.shape.rank(0), self.shape.rank(self.shape.nproc - 1));
        match self.output_of.keys().chain(self.names.keys()).find(|rank| !(first..=last).contains(rank)) {
            Some(&rank) => Err(LaunchError::NotALocalRank { rank, first, last }),
            None => Ok(()),
        }
    }

    /// What the workers are told, and the store if this machine hosts it.
    async fn prepare(&self) -> Result<(Job, Option<TcpStoreServer>), LaunchError> {
        let master_addr = self.master_addr.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let mut master_port = self.master_port.unwrap_or(0);
        let id = match (&self.job_id, self.shape.nnodes) {
            (Some(id), _) => id.clone(),
            (None, 1) => placement::random_job_id()?,
            (None, _) => placement::shared_job_id(&master_addr, master_port),
        };
        let nnodes = self.shape.nnodes;
        let variable = |name: &str| self.env.or_inherited(name);
        let security = Security::new(variable, nnodes, &master_addr, master_port)?;
        let mut hosted = None;
        if self.shape.node_rank == 0 {
            let address = store::listen_address(&master_addr, master_port, nnodes);
            let server = store::host(&address, &security.store).await?;
            master_port = server.local_addr().port();
            hosted = Some(server);
        }
        let (backend, token, env) = (self.backend.clone(), security.made, self.env.clone());
        Ok((Job { shape: self.shape, master_addr, master_port, id, backend, token, env }, hosted))
    }

    async fn start(&self, job: &Job, output: &mut Output) -> Result<(Vec<Worker>, Parent), LaunchError> {
        let commands = (0..self.shape.nproc).map(|local_rank| self.command(job, local_rank)).collect();
        let started = Instant::now();
        let (processes, parent) =
            process::spawn_all(commands).await.map_err(|(index, source)| match index {
                Some(index) => {
                    self.cannot_run(self.shape.node_rank * self.shape.nproc + index as u32, source)
                }
                None => LaunchError::System { what: "start the thread that starts the workers", source },
            })?;
        let mut workers = Vec::with_capacity(processes.len());
        for (mut process, local_rank) in processes.into_iter().zip(0..) {
            let rank = self.shape.rank(local_rank);
            let (name, (running, ended)) = (self.name(rank), watch::channel(()));
            output
                .attach(self.mode(rank), rank, &name, &mut process.child, &ended)
                .map_err(system("start a thread that prints"))?;
            workers.push(Worker { name, rank, process, started, _running: running });
        }
        Ok((workers, parent))
    }

    fn command(&self, job: &Job, local_rank: u32) -> Command {
        let mut command = Command::new(&self.program);
        for name in placement::REMOVED {
            command.env_remove(name);
        }
        command.args(&self.args).envs(job.environment(local_rank)).stdin(std::process::Stdio::null());
        self.mode(self.shape.rank(local_rank)).connect(&mut command);
        command
    }

    fn name(&self, rank: u32) -> String {
        self.names.get(&rank).cloned().unwrap_or_else(|| format!("worker{rank}"))
    }

    fn mode(&self, rank: u32) -> &OutputMode {
        self.output_of.get(&rank).unwrap_or(&self.output)
    }

    fn cannot_run(&self, rank: u32, source: io::Error) -> LaunchError {
        let program = self.program.clone();
        if source.kind() != io::ErrorKind::NotFound {
            return LaunchError::Spawn { worker: self.name(rank), program, source };
        }
        LaunchError::ProgramNotFound { hint: not_found_hint(&program), program }
    }
}

/// Where a program that is not there was looked for, and what may have been meant.
fn not_found_hint(program: &Path) -> String {
    let beside =
        |path: &dyn Display| format!(" in PATH; there is one in the current directory: write ./{path}");
    match (program.components().count() > 1, program.exists()) {
        // exec says "not found" of a script's interpreter too.
        (true, true) => {
            ", or rather its interpreter: the file is there, but not what its first line names".to_owned()
        }
        (true, false) => String::new(),
        (false, true) => beside(&program.display()),
        (false, false) => " in PATH".to_owned(),
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |source| LaunchError::System { what, source }
}
