//! [`Scenario`]: what is run, by how many processes, and what has to come of it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rpc::{Shutdown, Worker};

use crate::part::Part;
use crate::runner::security::Security;
use crate::runner::stage::Stage;
use crate::runner::way::Way;

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

type Role = Rc<dyn Fn(Part) -> LocalFuture<'static, Result<()>>>;
type Script = Rc<dyn for<'a> Fn(&'a mut Stage) -> LocalFuture<'a, Result<()>>>;

/// How long workers wait for each other when they leave: less than the runner does, so that whoever is
/// missing is named.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(30);

/// One scenario: a *role* that every worker process plays, and a *script* by which the runner starts,
/// disturbs and judges them.
///
/// Both sides check: a worker by returning an error, which makes its process exit with 1, and the script by
/// returning one. They keep step by lines: what a worker [says](crate::part::say) the script can wait for,
/// and what the script tells a process the worker can wait for ([`Part::told`]). Nobody sleeps for that.
#[derive(Clone)]
pub struct Scenario {
    /// `group::name`.
    pub name: &'static str,
    /// How many workers the job has.
    pub workers: u32,
    /// The only way with which it makes sense, because it speaks that one's wire format by hand.
    only: Option<&'static str>,
    /// The ways to secure workers with which it makes sense; none for all.
    securities: &'static [Security],
    /// Whether it runs while no other does, because it measures, or takes all there is.
    pub(crate) alone: bool,
    role: Role,
    script: Script,
}

impl Scenario {
    /// `workers` processes that play `role`, which also has to initialise the worker. Without a
    /// [`script`](Self::script) all of them are started and have to exit with 0.
    pub fn new(name: &'static str, workers: u32, role: impl AsyncFn(Part) -> Result<()> + 'static) -> Self {
        let role = Rc::new(role);
        Self {
            name,
            workers,
            only: None,
            securities: &[],
            alone: false,
            role: Rc::new(move |part| {
                let role = Rc::clone(&role);
                Box::pin(async move { role(part).await })
            }),
            script: script(async |stage: &mut Stage| {
                stage.start().await?;
                stage.all_succeed().await
            }),
        }
    }

    /// As [`new`](Self::new), with `body` run by all workers between initialisation and graceful shutdown.
    pub fn on_all(
        name: &'static str,
        workers: u32,
        body: impl AsyncFn(&Worker) -> Result<()> + 'static,
    ) -> Self {
        Self::new(name, workers, async move |part: Part| {
            let worker = part.init().await?;
            body(&worker).await?;
            leave(&worker).await
        })
    }

    /// As [`on_all`](Self::on_all), with `body` run by rank 0 while the others serve.
    pub fn on_first(
        name: &'static str,
        workers: u32,
        body: impl AsyncFn(&Worker) -> Result<()> + 'static,
    ) -> Self {
        Self::on_all(name, workers, async move |worker: &Worker| match worker.id().0 {
            0 => body(worker).await,
            _ => Ok(()),
        })
    }

    /// What the runner does, in place of starting all workers and waiting for their success.
    pub fn script(mut self, run: impl AsyncFn(&mut Stage) -> Result<()> + 'static) -> Self {
        self.script = script(run);
        self
    }

    /// Makes sense with `way` alone.
    pub fn only(mut self, way: &'static str) -> Self {
        self.only = Some(way);
        self
    }

    /// Makes sense with workers that are secured in one of these ways.
    pub fn secured(mut self, by: &'static [Security]) -> Self {
        self.securities = by;
        self
    }

    /// Has nothing to do with how workers are secured: it runs with open ones, over every way.
    pub fn plain(self) -> Self {
        self.secured(&[Security::Open])
    }

    /// Whether it makes sense with these.
    pub(crate) fn fits(&self, way: &Way, security: Security) -> bool {
        // Encrypted links are never local: that would be TCP once more.
        // What a token has to do with is over when a link is up, so what happens later is not run again with one.
        let later =
            ["nested::", "collectives::", "futures::", "rref::", "faulty::", "timeouts::", "bounds::"]
                .iter()
                .any(|group| self.name.starts_with(group));
        let is_a_way = match security {
            _ if !way.is_local() => true,
            Security::Open => true,
            Security::Token => !later,
            Security::Ca => false,
        };
        is_a_way
            && self.only.is_none_or(|only| only == way.name())
            && (self.securities.is_empty() || self.securities.contains(&security))
    }

    /// Runs while no other scenario does, after all of those.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// In a worker's process.
    pub(crate) fn play(&self, part: Part) -> LocalFuture<'static, Result<()>> {
        (self.role)(part)
    }

    /// In the runner.
    pub(crate) fn direct<'a>(&self, stage: &'a mut Stage) -> LocalFuture<'a, Result<()>> {
        (self.script)(stage)
    }
}

fn script(run: impl AsyncFn(&mut Stage) -> Result<()> + 'static) -> Script {
    /// Tells the compiler that the closure takes any lifetime.
    fn any_lifetime<F>(f: F) -> F
    where
        F: for<'a> Fn(&'a mut Stage) -> LocalFuture<'a, Result<()>>,
    {
        f
    }
    let run = Rc::new(run);
    Rc::new(any_lifetime(move |stage| {
        let run = Rc::clone(&run);
        Box::pin(async move { run(stage).await })
    }))
}

/// Leaves together with all others. None may have been lost, and nobody may have kept a reference.
pub async fn leave(worker: &Worker) -> Result<()> {
    let how = Shutdown::Graceful { timeout: Some(LEAVE_TIMEOUT) };
    let report = worker.shutdown_with(how).await.context("graceful shutdown")?;
    ensure!(report.lost.is_empty(), "lost on the way: {:?}", report.lost);
    ensure!(report.leaked() == 0, "leaked: {:?}", report.leaks);
    Ok(())
}
