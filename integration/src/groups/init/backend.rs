//! Backends by name, the program's own among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use integration::part::{Part, variable};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;
use rpc::rpc_core::{
    Backend, BackendError, BindOptions, BoundBackend, BoxFuture, LinkSecurity, RegistryError,
};
use rpc::{BackendRegistry, default_backends};
use rpc_rendezvous::JoinError;

#[rpc::function(inline)]
fn ping() {}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("init::register_rpc_backend_and_set_and_start_rpc_backend", 2, own_backend),
        Scenario::new("init::backend_by_variable", 2, own_backend_by_variable).script(with_variable),
        Scenario::new("init::unknown_backend", 1, unknown_backend),
        Scenario::new("init::backend_mismatch", 2, backend_mismatch),
        Scenario::new("torch_defects::registry_after_a_custom_backend", 2, registry_after_another).plain(),
    ]
}

/// A backend of the user: another one under a name of its own, which counts how often it was used.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Backend>,
    bound: Arc<AtomicUsize>,
}

impl Backend for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn bind(&self, options: &BindOptions) -> BoxFuture<'_, Result<Box<dyn BoundBackend>, BackendError>> {
        self.bound.fetch_add(1, Ordering::SeqCst);
        self.inner.bind(options)
    }

    fn protects(&self, security: &LinkSecurity) -> Result<(), BackendError> {
        self.inner.protects(security)
    }
}

/// The compiled-in backends and that one, over the backend of this run.
fn registry() -> Result<(BackendRegistry, Arc<AtomicUsize>)> {
    let mut registry = default_backends();
    let name = variable("INNER").or_else(|_| variable("RPC_BACKEND"))?;
    let (inner, bound) = (registry.get(&name)?, Arc::new(AtomicUsize::new(0)));
    registry.register(Counting { inner: Arc::clone(&inner), bound: Arc::clone(&bound) })?;
    let again = registry.register(Counting { inner, bound: Arc::clone(&bound) });
    ensure!(matches!(again, Err(RegistryError::Duplicate { name }) if name == "counting"));
    Ok((registry, bound))
}

async fn own_backend(part: Part) -> Result<()> {
    let (registry, bound) = registry()?;
    let worker = part.builder().backends(registry).backend("counting").init().await?;
    use_it(&worker, &bound).await
}

/// What was there before something was registered is there afterwards, and is what is used when it is asked for.
async fn registry_after_another(part: Part) -> Result<()> {
    let (registry, bound) = registry()?;
    let name = variable("RPC_BACKEND")?;
    ensure!(default_backends().names().all(|name| registry.get(name).is_ok()), "{registry:?}");
    let worker = part.builder().backends(registry).backend(&name).init().await?;
    worker.rpc_async(i64::from(1 - part.rank), ping, ()).await?;
    ensure!(bound.load(Ordering::SeqCst) == 0, "it was the other one");
    leave(&worker).await
}

/// The name comes from `RPC_BACKEND`, as after `rpcrun --backend counting`.
async fn own_backend_by_variable(part: Part) -> Result<()> {
    let (registry, bound) = registry()?;
    let worker = part.builder().backends(registry).init().await?;
    use_it(&worker, &bound).await
}

async fn use_it(worker: &Worker, bound: &AtomicUsize) -> Result<()> {
    for info in worker.workers() {
        worker.rpc_async(info, ping, ()).await?;
    }
    ensure!(bound.load(Ordering::SeqCst) == 1);
    leave(worker).await
}

async fn with_variable(stage: &mut Stage) -> Result<()> {
    for rank in 0..2 {
        let mut command = stage.launched(rank).await?;
        command.env("INNER", stage.backend()).env("RPC_BACKEND", "counting");
        stage.spawn(rank, &mut command)?;
    }
    stage.all_succeed().await
}

async fn unknown_backend(part: Part) -> Result<()> {
    match part.builder().backend("carrier-pigeon").init().await {
        Err(InitError::Registry(error @ RegistryError::Unknown { .. })) => {
            let known = default_backends().names().collect::<Vec<_>>().join(", ");
            let text = error.to_string();
            ensure!(text.contains("carrier-pigeon") && text.contains(&known), "{text}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

async fn backend_mismatch(part: Part) -> Result<()> {
    let (registry, _) = registry()?;
    let builder = part.builder().backends(registry).init_timeout(Duration::from_secs(30));
    let builder = if part.rank == 0 { builder.backend("counting") } else { builder };
    match builder.init().await {
        Err(InitError::Join(error @ JoinError::BackendMismatch { .. })) => {
            let text = error.to_string();
            let parts = ["worker0 (rank 0) uses the backend counting", "worker1 (rank 1) uses"];
            ensure!(parts.iter().all(|part| text.contains(part)), "{text}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}
