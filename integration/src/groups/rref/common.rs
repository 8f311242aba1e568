//! What scenarios about references share: a value to refer to, and how they end.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::part::say;
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::{FunctionTable, Registry, Shutdown};

/// Far above what anything here waits for, and far below the timeout of the scenario.
pub(crate) const LATE: Duration = Duration::from_secs(20);
/// From the death of a worker to what the others make of it.
pub(crate) const NOTICE: Duration = Duration::from_secs(5);
/// Between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Values of type [`Tally`] that live in this process, copies not counted.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// A number that changes, and that the script hears the end of: `DROPPED`, unless it is a copy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) n: i64,
    #[serde(skip)]
    original: Option<Original>,
}

#[derive(Debug)]
struct Original {
    loud: bool,
}

impl Tally {
    pub(crate) fn new(n: i64) -> Self {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Self { n, original: Some(Original { loud: true }) }
    }

    /// As [`new`](Self::new), for those of which there are thousands.
    pub(crate) fn quiet(n: i64) -> Self {
        LIVE.fetch_add(1, Ordering::SeqCst);
        Self { n, original: Some(Original { loud: false }) }
    }

    pub(crate) fn is_copy(&self) -> bool {
        self.original.is_none()
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
        if self.loud {
            say("DROPPED");
        }
    }
}

#[rpc::methods]
impl Tally {
    pub(crate) fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }

    #[rpc(inline)]
    pub(crate) fn get(&self) -> i64 {
        self.n
    }

    /// As [`get`](Self::get), after another task had its turn.
    pub(crate) async fn get_later(&self) -> i64 {
        tokio::task::yield_now().await;
        self.n
    }

    pub(crate) fn divided_by(&self, by: i64) -> Result<i64, String> {
        self.n.checked_div(by).ok_or_else(|| format!("{} divided by {by}", self.n))
    }

    /// Waits for ever, and keeps the value to itself.
    pub(crate) async fn hang_alone(&mut self) {
        say("RUNNING");
        std::future::pending().await
    }

    /// Waits for ever.
    pub(crate) async fn hang(&self) {
        say("RUNNING");
        std::future::pending().await
    }
}

#[rpc::function]
pub(crate) fn new_tally(n: i64) -> Tally {
    Tally::new(n)
}

#[rpc::function(inline)]
pub(crate) fn quiet_tally(n: i64) -> Tally {
    Tally::quiet(n)
}

/// A value that is never there.
#[rpc::function]
pub(crate) async fn never() -> Tally {
    say("RUNNING");
    std::future::pending().await
}

#[rpc::function(inline)]
pub(crate) fn sum_of(a: i64, b: i64, c: i64) -> i64 {
    a + b + c
}

/// What is behind the reference, read with a copy.
#[rpc::function]
pub(crate) async fn copy_of(tally: RRef<Tally>) -> Result<i64, CallError> {
    Ok(tally.to_here().await?.n)
}

/// How many values of type [`Tally`] live there, copies not counted.
#[rpc::function(inline)]
pub(crate) fn live_tallies() -> i64 {
    LIVE.load(Ordering::SeqCst)
}

#[rpc::function(inline)]
fn idle_here() -> bool {
    is_idle(&Worker::current())
}

/// Adds what [`all_gone`] asks of a worker that serves a choice of functions.
pub(crate) fn see_tallies(functions: &mut FunctionTable) -> Result<()> {
    functions.add(live_tallies)?;
    functions.add(idle_here)?;
    Ok(())
}

/// Whether nothing on `worker` has to do with a reference.
pub(crate) fn is_idle(worker: &Worker) -> bool {
    let registry: &Registry = worker.as_ref();
    registry.is_idle()
}

/// Waits until `look` is true.
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !look().await? {
        ensure!(began.elapsed() < LATE, "after {:?} it was still not true that {what}", began.elapsed());
        // What is looked at is state that nobody announces.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Waits until nothing of any reference is left on `ranks`, and no [`Tally`] lives there.
pub(crate) async fn all_gone(worker: &Worker, ranks: impl IntoIterator<Item = u32>) -> Result<()> {
    for rank in ranks {
        let to = i64::from(rank);
        let what = format!("worker{rank} has nothing to do with references any more");
        until(&what, async || Ok(worker.rpc_async(to, idle_here, ()).await?)).await?;
        until("all values are dropped", async || Ok(worker.rpc_async(to, live_tallies, ()).await? == 0))
            .await?;
    }
    Ok(())
}

/// Waits until the owner is known to know of the handles here: the answer to the request to make the value
/// may come after one that needed the value.
pub(crate) async fn is_confirmed<T>(rref: &RRef<T>) -> Result<()> {
    until("the owner has confirmed it", async || Ok(rref.confirmed_by_owner())).await
}

/// As [`Scenario::on_first`]; at the end nothing of any reference is left anywhere.
pub(crate) fn on_first(
    name: &'static str,
    workers: u32,
    body: impl AsyncFn(&Worker) -> Result<()> + 'static,
) -> Scenario {
    Scenario::on_first(name, workers, async move |worker: &Worker| {
        body(worker).await?;
        all_gone(worker, 0..workers).await
    })
}

/// As [`Scenario::on_all`]; at the end nothing of any reference is left anywhere.
pub(crate) fn on_all(
    name: &'static str,
    workers: u32,
    body: impl AsyncFn(&Worker) -> Result<()> + 'static,
) -> Scenario {
    Scenario::on_all(name, workers, async move |worker: &Worker| {
        body(worker).await?;
        all_gone(worker, 0..workers).await
    })
}

/// The rank that is `steps` after that of `worker`.
pub(crate) fn after(worker: &Worker, steps: u32) -> i64 {
    i64::from(worker.id().0 + steps) % worker.world_size() as i64
}

/// Why the reference is of no use that a call has used or carried.
pub(crate) fn reference_error<T, E>(outcome: Result<T, CallError<E>>) -> Result<ReferenceError>
where
    CallError<E>: std::fmt::Display,
{
    let Err(error) = outcome else { bail!("there is a value") };
    let reference = error.failure().and_then(Failure::reference).cloned();
    reference.with_context(|| format!("not an error of a reference: {error}"))
}

/// Checks that the value was never made, and that the error says so.
pub(crate) fn not_made<T, E>(outcome: Result<T, CallError<E>>) -> Result<ReferenceError>
where
    CallError<E>: std::fmt::Display,
{
    let error = reference_error(outcome)?;
    let expected = matches!(error, ReferenceError::NotCreated { .. } | ReferenceError::CreationFailed { .. });
    ensure!(expected, "{error}");
    ensure!(error.to_string().contains("was not created"), "{error}");
    Ok(error)
}

/// Checks that the value went with its owner, which the error names.
pub(crate) fn owner_lost<T, E>(outcome: Result<T, CallError<E>>, name: &str) -> Result<()>
where
    CallError<E>: std::fmt::Display,
{
    let error = reference_error(outcome)?;
    ensure!(matches!(&error, ReferenceError::OwnerLost { owner, .. } if owner.contains(name)), "{error}");
    Ok(())
}

/// Leaves together with the others; `lost`, in this order, are missed.
pub(crate) async fn leave_without(worker: &Worker, lost: &[&str]) -> Result<()> {
    let report = worker.shutdown_with(Shutdown::Graceful { timeout: Some(LATE) }).await?;
    let mut names: Vec<&str> = report.lost.iter().map(|info| info.name.as_str()).collect();
    names.sort_unstable();
    ensure!(names == lost, "{names:?} were lost");
    Ok(())
}
