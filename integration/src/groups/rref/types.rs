//! When a value is there, and whether it is what its holders take it for.
//!
//! Types are known when a program is built, so nothing asks for them at run time; what torch's tests of
//! them show is how a value is waited for.

use anyhow::{Context, Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use tokio::sync::Semaphore;

use super::common::{Tally, new_tally, not_made, on_first};

/// Makers of [`tally_of_the_gate`] that may go on, in this process.
static GATE: Semaphore = Semaphore::const_new(0);

#[rpc::function(inline)]
fn open_gate() {
    GATE.add_permits(1);
}

#[rpc::function]
async fn tally_of_the_gate(n: i64) -> Result<Tally, String> {
    let permit = GATE.acquire().await.map_err(|error| error.to_string())?;
    permit.forget();
    Ok(Tally::new(n))
}

#[rpc::function]
fn no_tally() -> Result<Tally, String> {
    Err("none left".into())
}

/// Its caller has `RRef<Tally>` where the callee has `RRef<Diary>`, as programs of two versions might.
enum Misread {
    Sent(RRef<Tally>),
    Came(RRef<Diary>),
}

impl Serialize for Misread {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sent(rref) => rref.serialize(to),
            Self::Came(rref) => rref.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Misread {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RRef::deserialize(from).map(Self::Came)
    }
}

/// What a [`Tally`] is taken for.
#[derive(Debug, Serialize, Deserialize)]
struct Diary {
    pages: Vec<String>,
}

#[rpc::methods]
impl Diary {
    fn write(&mut self, page: String) -> usize {
        self.pages.push(page);
        self.pages.len()
    }

    async fn len(&self) -> usize {
        self.pages.len()
    }
}

/// Uses the reference for what it is not, in every way that there is.
#[rpc::function]
async fn use_as_diary(rref: Misread) -> Vec<Option<ReferenceError>> {
    let Misread::Came(diary) = rref else { return Vec::new() };
    let error = |error: CallError| error.failure().and_then(Failure::reference).cloned();
    let mut errors = vec![
        diary.rpc_async().write("Monday".into()).await.err().and_then(error),
        diary.rpc_async().len().await.err().and_then(error),
    ];
    match diary.remote().len() {
        Ok(len) => errors.push(len.to_here().await.err().and_then(error)),
        Err(at_once) => errors.push(error(at_once)),
    }
    if diary.is_owner() {
        errors.push(diary.local_value().await.err());
        errors.push(diary.local_value_mut().await.err());
    }
    errors
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_first("rref::rref_type_blocking", 2, async |worker| blocking(worker, "worker1").await),
        on_first("rref::rref_type_non_blocking", 2, async |worker| non_blocking(worker, "worker1").await),
        on_first("rref::rref_type_owner_blocking", 1, async |worker| blocking(worker, "worker0").await),
        on_first("rref::rref_type_owner_non_blocking", 1, async |worker| {
            non_blocking(worker, "worker0").await
        }),
        on_first("rref::rref_type_with_error", 2, with_error),
        on_first("rref::rref_type_slow_init", 2, slow_init),
        on_first("rref::value_of_another_type", 3, another_type),
    ]
}

async fn blocking(worker: &Worker, to: &str) -> Result<()> {
    let rref = worker.remote(to, new_tally, (1,))?;
    rref.created().wait()?;
    rref.created().wait()?;
    ensure!(rref.to_here().wait()?.n == 1);
    Ok(())
}

async fn non_blocking(worker: &Worker, to: &str) -> Result<()> {
    let rref = worker.remote(to, new_tally, (1,))?;
    let (first, second) = (rref.created(), rref.created());
    drop(rref);
    second.await?;
    first.await?;
    Ok(())
}

async fn with_error(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, no_tally, ())?;
        for outcome in [rref.created().wait(), rref.created().await, rref.created().wait()] {
            let error = not_made(outcome)?;
            ensure!(error.creation_error::<String>().as_deref() == Some("none left"), "{error}");
        }
        not_made(rref.rpc_async().get().await)?;
        not_made(rref.remote().get()?.to_here().await)?;
    }
    Ok(())
}

/// Whatever uses a value waits until it has been made.
async fn slow_init(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, tally_of_the_gate, (1,))?;
        let created = rref.created();
        let copy = rref.to_here();
        let sum = rref.rpc_async().add(1);
        let by_method = rref.remote().get()?;
        worker.rpc_async(to, open_gate, ()).await?;
        created.await?;
        ensure!(sum.await? == 2);
        ensure!((1..=2).contains(&copy.await?.n) && (1..=2).contains(&by_method.to_here().await?));
        // The other way around: nothing is there as long as the gate is closed.
        let rref = worker.remote(to, tally_of_the_gate, (1,))?;
        let Err(created) = rref.created().wait_timeout(std::time::Duration::from_millis(50)) else {
            bail!("made behind a closed gate")
        };
        worker.rpc_async(to, open_gate, ()).await?;
        created.await?;
    }
    Ok(())
}

/// A value is what its owner made, whatever others take it for: that is an error with both types.
async fn another_type(worker: &Worker) -> Result<()> {
    for (owner, user) in [(1, 2), (1, 1), (0, 1)] {
        let rref = worker.remote(owner, new_tally, (1,))?;
        let errors = worker.rpc_async(user, use_as_diary, (Misread::Sent(rref.clone()),)).await?;
        ensure!(errors.len() == if owner == user { 5 } else { 3 });
        for error in errors {
            let error = error.context("used as what it is not")?;
            // The value of a method that was not run was not created.
            let of_a_method = matches!(error, ReferenceError::CreationFailed { .. });
            ensure!(of_a_method || matches!(error, ReferenceError::WrongType { .. }), "{error}");
            ensure!(
                error.to_string().contains("Tally, not a integration::groups::rref::types::Diary"),
                "{error}"
            );
        }
        ensure!(rref.to_here().await?.n == 1, "it is as good as before");
    }
    Ok(())
}
