//! A worker's side of a scenario: its place, its standard streams, and how its process ends.

use std::fmt::Display;
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use rpc::{Credentials, JoinToken, Worker, WorkerBuilder};
use rpc_rendezvous::StoreSecurity;
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::Scenarios;
use crate::runner::args::Place;

/// Set for processes that the runner starts itself and whose standard input it holds.
pub(crate) const LED_VARIABLE: &str = "INTEGRATION_LED";

/// Lines that the runner may be ahead of the worker. Reached: the runner's line waits in the pipe.
const INBOX_LEN: usize = 16;

/// What a worker process knows of the scenario it plays in.
pub struct Part {
    /// Its rank, also where the scenario keeps `RANK` from it.
    pub rank: u32,
    /// Number of workers of the scenario.
    pub world_size: u32,
    inbox: mpsc::Receiver<String>,
}

impl Part {
    /// The worker `worker{RANK}` as the environment describes it.
    pub fn builder(&self) -> WorkerBuilder {
        Worker::builder_named_by_rank()
    }

    /// Starts that worker.
    pub async fn init(&self) -> Result<Worker> {
        self.builder().init().await.context("init")
    }

    /// Waits until the script tells this process `word`.
    pub async fn told(&mut self, word: &str) -> Result<()> {
        match self.inbox.recv().await {
            Some(line) if line == word => Ok(()),
            Some(line) => bail!("told {line:?} instead of {word:?}"),
            None => bail!("nobody is there to say {word:?}"),
        }
    }

    /// Whether the script has told this process `word`, which it may not have done yet.
    pub fn is_told(&mut self, word: &str) -> Result<bool> {
        match self.inbox.try_recv() {
            Ok(line) if line == word => Ok(true),
            Ok(line) => bail!("told {line:?} instead of {word:?}"),
            Err(mpsc::error::TryRecvError::Empty) => Ok(false),
            Err(mpsc::error::TryRecvError::Disconnected) => bail!("nobody is there to say {word:?}"),
        }
    }
}

/// Prints a line that the script can wait for.
pub fn say(line: impl Display) {
    println!("{line}");
}

/// The variable `name`, which the script has to set for this process.
pub fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("the variable {name}"))
}

/// What the store of this run asks for, for who connects to it by hand.
pub fn store_security() -> Result<StoreSecurity> {
    if let Ok(token) = variable("RPC_JOIN_TOKEN") {
        return Ok(StoreSecurity::Token { token: JoinToken::new(&token)? });
    }
    let Ok(authorities) = variable("RPC_TLS_CA") else { return Ok(StoreSecurity::Open) };
    let credentials =
        Credentials::from_files(authorities, variable("RPC_TLS_CERT")?, variable("RPC_TLS_KEY")?)?;
    Ok(StoreSecurity::Ca { identity: credentials.identity().clone() })
}

/// Plays the part at `place`. Errors are for the standard error of this process.
pub(crate) fn run(place: &Place, scenarios: &Scenarios) -> Result<bool> {
    // RUST_LOG may ask for more of single targets, not for less: scripts wait for lines of the log.
    let more = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = EnvFilter::new(format!("{more},info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();

    let scenario = scenarios.find(&place.scenario);
    let scenario = scenario.with_context(|| format!("there is no scenario {}", place.scenario))?;
    let rank = match place.rank {
        Some(rank) => rank,
        None => variable("RANK")?.parse().context("RANK")?,
    };
    let part = Part { rank, world_size: scenario.workers, inbox: inbox()? };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("runtime")?;
    let outcome = runtime.block_on(scenario.play(part));
    // A handler that still blocks a thread must not keep the process.
    runtime.shutdown_background();
    outcome.map(|()| true)
}

/// What the script tells this process. When the runner has gone, so does this process.
fn inbox() -> Result<mpsc::Receiver<String>> {
    let (sender, inbox) = mpsc::channel(INBOX_LEN);
    if std::env::var_os(LED_VARIABLE).is_none() {
        return Ok(inbox);
    }
    let listen = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            // Told more than it asks for: that is the script's affair.
            let _ = sender.blocking_send(line);
        }
        eprintln!("the runner has gone");
        std::process::exit(1);
    };
    std::thread::Builder::new().name("stdin".into()).spawn(listen).context("thread")?;
    Ok(inbox)
}
