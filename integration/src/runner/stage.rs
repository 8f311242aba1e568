//! [`Stage`]: what a scenario's script has at hand.

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rpc::Store;
use rpc_rendezvous::{StoreLimits, TcpStoreServer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

use super::process::Process;
use super::security::{Keys, Security};
use super::way::Way;
use crate::part::LED_VARIABLE;
use crate::scenario::Scenario;

/// How long workers may take to end after another one has failed, whose loss they may have to tell.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Variables of launchers, which must not reach the workers from the runner's own environment.
const LAUNCHER_VARIABLES: &[&str] = &["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"];
const LAUNCHER_PREFIXES: &[&str] = &["RPC_", "MASTER_", "SLURM_", "TORCHELASTIC_", "INTEGRATION_"];

/// The processes of one scenario and what they share.
pub struct Stage {
    scenario: &'static str,
    world_size: u32,
    way: Way,
    security: Security,
    keys: Keys,
    host: IpAddr,
    job: String,
    store: Option<TcpStoreServer>,
    folder: tempfile::TempDir,
    processes: Vec<Process>,
    notes: Vec<String>,
}

impl Stage {
    /// An empty stage for run number `run` of this runner.
    pub fn new(scenario: &Scenario, way: &Way, security: Security, run: usize) -> Result<Self> {
        let host = own_host(run);
        let folder = tempfile::Builder::new().prefix("integration-").tempdir().context("a folder")?;
        Ok(Self {
            scenario: scenario.name,
            world_size: scenario.workers,
            way: way.clone(),
            security,
            keys: Keys::new(security, scenario.workers, &hosts_of(host), folder.path()).context("keys")?,
            host,
            job: format!("{}-{run}", scenario.name),
            store: None,
            folder,
            processes: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Hosts a store, as a launcher would, and starts all workers of the scenario by rank.
    pub async fn start(&mut self) -> Result<()> {
        for rank in 0..self.world_size {
            let mut command = self.launched(rank).await?;
            self.spawn(rank, &mut command)?;
        }
        Ok(())
    }

    /// The command of worker `rank` with the variables that `rpcrun` sets.
    pub async fn launched(&mut self, rank: u32) -> Result<Command> {
        let port = self.store_port().await?;
        let mut command = self.at(rank, port);
        command.env("RPC_STORE_HOSTED", "1").env("RPC_JOB_ID", &self.job);
        command.env("LOCAL_RANK", rank.to_string()).env("LOCAL_WORLD_SIZE", self.world_size.to_string());
        Ok(command)
    }

    /// The command of worker `rank` with the four variables that every launcher sets: rank 0 then hosts the
    /// store at `port` of [`host`](Self::host).
    pub fn at(&self, rank: u32, port: u16) -> Command {
        let mut command = self.bare(rank);
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", self.world_size.to_string());
        command.env("MASTER_ADDR", self.host.to_string()).env("MASTER_PORT", port.to_string());
        command
    }

    /// The command of worker `rank` without any variable that says so.
    pub fn bare(&self, rank: u32) -> Command {
        // A program that cannot be found shows when it is started.
        let program = std::env::current_exe().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(["worker", self.scenario, &rank.to_string()]);
        clean(&mut command);
        command.env(LED_VARIABLE, "1");
        self.way.give(&mut command);
        self.keys.give(rank, &mut command);
        command
    }

    /// Starts `command` as worker `rank`.
    pub fn spawn(&mut self, rank: u32, command: &mut Command) -> Result<&Process> {
        self.spawn_named(format!("worker{rank}"), command)
    }

    /// Starts `command` under a name for messages.
    pub fn spawn_named(&mut self, name: impl Into<String>, command: &mut Command) -> Result<&Process> {
        self.processes.push(Process::spawn(name, command)?);
        self.processes.last().context("a process")
    }

    /// The processes in the order in which they were started; by rank after [`start`](Self::start).
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The process number `at` of [`processes`](Self::processes).
    pub fn process(&self, at: usize) -> Result<&Process> {
        self.processes.get(at).with_context(|| format!("there is no process number {at}"))
    }

    /// Waits until every process has said `word`.
    pub async fn all_say(&self, word: &str) -> Result<()> {
        for process in &self.processes {
            process.says(word).await?;
        }
        Ok(())
    }

    /// Tells every process `line`.
    pub async fn tell_all(&self, line: &str) -> Result<()> {
        for process in &self.processes {
            process.tell(line).await?;
        }
        Ok(())
    }

    /// Waits until all processes have ended with 0. Fails as soon as one has not.
    pub async fn all_succeed(&self) -> Result<()> {
        self.these_succeed(|_| true).await
    }

    /// As [`all_succeed`](Self::all_succeed) for the processes whose number is `wanted`.
    pub async fn these_succeed(&self, wanted: impl Fn(usize) -> bool) -> Result<()> {
        let mut waits = Vec::new();
        for (at, process) in self.processes.iter().enumerate() {
            if wanted(at) {
                waits.push(Box::pin(process.succeeds()));
            }
        }
        // All at once, because whoever waits for a failed one may never end.
        std::future::poll_fn(|cx| {
            let mut failed = None;
            waits.retain_mut(|wait| match wait.as_mut().poll(cx) {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(Ok(())) => false,
                std::task::Poll::Ready(Err(error)) => {
                    failed.get_or_insert(error);
                    false
                }
            });
            match failed {
                Some(error) => std::task::Poll::Ready(Err(error)),
                None if waits.is_empty() => std::task::Poll::Ready(Ok(())),
                None => std::task::Poll::Pending,
            }
        })
        .await
    }

    /// Its name.
    pub fn scenario(&self) -> &'static str {
        self.scenario
    }

    /// How many workers the scenario has.
    pub fn world_size(&self) -> u32 {
        self.world_size
    }

    /// An address of loopback that no other run of a scenario uses, where the system has more than one.
    pub fn host(&self) -> IpAddr {
        self.host
    }

    /// A port of [`host`](Self::host) at which nobody listens.
    ///
    /// Nobody else takes it either, because nobody else uses that address; where the system has a single
    /// address of loopback, something else may.
    pub fn free_port(&self) -> Result<u16> {
        let socket = if self.host.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Never listens, and lets others bind it: see `retire`.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(self.host, 0)).context("a free port")?;
        Ok(socket.local_addr()?.port())
    }

    /// Somebody else's service at [`host`](Self::host), on any port.
    pub async fn listener(&self) -> Result<TcpListener> {
        TcpListener::bind((self.host, 0)).await.context("a stand-in for another service")
    }

    /// The port of the store, which is hosted from the first call on.
    pub async fn store_port(&mut self) -> Result<u16> {
        let store = match self.store.take() {
            Some(store) => store,
            None => self.serve_store(0).await.context("a store")?,
        };
        let port = store.local_addr().port();
        self.store = Some(store);
        Ok(port)
    }

    /// Waits until worker `rank`, which was [launched](Self::launched), has claimed its place in the store,
    /// under the key that [`rpc_rendezvous::join`] gives it.
    pub async fn claimed(&self, rank: u32) -> Result<()> {
        let store = self.store.as_ref().context("there is no store")?.store();
        let key = format!("{}/gen0/rank/{rank}", self.job);
        store.wait(&[key], Duration::MAX).await?;
        Ok(())
    }

    /// Hosts the store at `port`.
    pub async fn host_store_at(&mut self, port: u16) -> Result<()> {
        ensure!(self.store.is_none(), "there is a store already");
        self.store = Some(self.serve_store(port).await.context("the late store")?);
        Ok(())
    }

    async fn serve_store(&self, port: u16) -> Result<TcpStoreServer> {
        let (address, limits) = (SocketAddr::new(self.host, port).to_string(), StoreLimits::default());
        Ok(TcpStoreServer::bind_secured(&address, limits, &self.keys.store()?).await?)
    }

    /// A folder that goes with the stage.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The backend of this run.
    pub fn backend(&self) -> &str {
        self.way.backend()
    }

    /// Over what the workers of this run talk.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// How the workers of this run are secured.
    pub fn security(&self) -> Security {
        self.security
    }

    /// The hosts for which certificates of this run are good.
    pub fn hosts(&self) -> Vec<String> {
        hosts_of(self.host)
    }

    /// Makes new secrets, for workers that are at `hosts`.
    pub fn certify(&mut self, hosts: &[String]) -> Result<()> {
        ensure!(self.store.is_none(), "the store has the old ones");
        self.keys = Keys::new(self.security, self.world_size, hosts, self.folder.path())?;
        Ok(())
    }

    /// The secrets of this run.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A figure to be shown with the result.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The figures so far.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Gives the processes of a failed scenario a moment to say what they know.
    pub async fn hear_out(&self) {
        let all_ended = async {
            for process in &self.processes {
                // How it ended is in its log or does not matter any more.
                let _ = process.ended().await;
            }
        };
        let _ = tokio::time::timeout(AFTER_FAILURE, all_ended).await;
    }

    /// Kills what still runs.
    pub async fn end(&self) {
        for process in &self.processes {
            process.end().await;
        }
    }
}

/// Ends a stand-in so that its port can be bound at once.
///
/// Closing it is not enough: a process that another scenario starts at this moment has a copy of the socket
/// until its program is loaded. On Linux this ends the listening itself, for all copies; elsewhere it does
/// nothing, and the port is free a moment later.
pub fn retire(listener: TcpListener) -> Result<()> {
    let socket = TcpStream::from(OwnedFd::from(listener.into_std()?));
    let _unsupported_elsewhere = socket.shutdown(Shutdown::Both);
    Ok(())
}

/// Takes the launchers' variables out of the environment of `command`.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let launchers = LAUNCHER_VARIABLES.contains(&&*text)
            || LAUNCHER_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
        if launchers {
            command.env_remove(&name);
        }
    }
}

/// On Linux all of 127.0.0.0/8 is loopback, so each run can have an address of its own, at which no port is
/// ever in the way of another run or another program.
fn own_host(run: usize) -> IpAddr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST.into();
    }
    let pid = std::process::id();
    let [.., high, low] = (pid % (1 << 14)).to_be_bytes();
    Ipv4Addr::new(127, 64 + high, low, 1 + (run % 254) as u8).into()
}

/// Workers listen at the first address of loopback, wherever there they meet.
fn hosts_of(host: IpAddr) -> Vec<String> {
    vec![host.to_string(), Ipv4Addr::LOCALHOST.to_string(), "localhost".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_an_address_of_loopback_for_itself() {
        let hosts: Vec<IpAddr> = (0..200).map(own_host).collect();
        assert!(hosts.iter().all(IpAddr::is_loopback));
        if cfg!(target_os = "linux") {
            assert!(hosts.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(std::net::TcpListener::bind((hosts[7], 0)).is_ok());
        }
    }
}
