//! The processes of a bench.

use std::path::Path;
use std::process::{Child, Command, ExitCode};

use anyhow::{Context, ensure};
use clap::Parser;
use rpc::Worker;

use super::{Options, system};

/// Starts a job of `world_size` workers, called `worker0` and so on, and has worker 0 `measure`. The others
/// serve until it is done.
pub(crate) fn run(
    world_size: u32,
    measure: impl AsyncFnOnce(&Options, &Worker) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match &options.store {
        Some(store) => serve(world_size, &options, store),
        None => lead(world_size, &options, measure),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn serve(world_size: u32, options: &Options, store: &Path) -> anyhow::Result<()> {
    system::pin(options.pin, options.rank)?;
    runtime()?.block_on(async {
        let worker = join(options.rank, world_size, store).await?;
        worker.shutdown().await?;
        Ok(())
    })
}

fn lead(
    world_size: u32,
    options: &Options,
    measure: impl AsyncFnOnce(&Options, &Worker) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let children: Vec<_> =
        (1..world_size).map(|rank| Started::new(rank, options, &store)).collect::<Result<_, _>>()?;
    // Only now: children begin where their parent may run.
    system::pin(options.pin, 0)?;
    runtime()?.block_on(async {
        let worker = join(0, world_size, &store).await?;
        measure(options, &worker).await?;
        worker.shutdown().await?;
        anyhow::Ok(())
    })?;
    children.into_iter().try_for_each(Started::end)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn join(rank: u32, world_size: u32, store: &Path) -> anyhow::Result<Worker> {
    let url = format!("file://{}", store.display());
    let worker = Worker::builder_named_by_rank().rank(rank).world_size(world_size).init_method(url);
    Ok(worker.init().await?)
}

/// A worker in a process of its own. Killed if it is dropped before its end.
struct Started(Child);

impl Started {
    fn new(rank: u32, options: &Options, store: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let pin = clap::ValueEnum::to_possible_value(&options.pin);
        let child = Command::new(program)
            .args(["--rank", &rank.to_string()])
            .args(["--pin", pin.as_ref().map_or("none", |pin| pin.get_name())])
            .arg("--store")
            .arg(store)
            .spawn()?;
        Ok(Self(child))
    }

    fn end(mut self) -> anyhow::Result<()> {
        let status = self.0.wait()?;
        ensure!(status.success(), "a worker ended with {status}");
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It has ended already, or this one fails and says why.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
