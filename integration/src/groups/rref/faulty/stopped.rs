//! Workers that are stopped for a while: nothing tells them apart from workers that think.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use integration::part::{Part, say};
use integration::runner::stage::Stage;
use integration::scenario::{Scenario, leave};
use rpc::prelude::*;

use crate::groups::rref::common::{
    LATE, Tally, all_gone, copy_of, is_confirmed, is_idle, never, new_tally, not_made, until,
};

const SHORT: Duration = Duration::from_millis(200);

/// What this process hands out.
static OFFERED: Mutex<Option<RRef<Tally>>> = Mutex::new(None);

fn offer(rref: Option<RRef<Tally>>) {
    *OFFERED.lock().unwrap_or_else(PoisonError::into_inner) = rref;
}

/// A reference in a result is not waited for, as one in arguments is.
#[rpc::function(inline)]
fn offered() -> Option<RRef<Tally>> {
    OFFERED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[rpc::function(inline)]
fn ping() {}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("rref_faulty::remote_message_dropped_pickle", 3, dropped_then_sent).script(stop_owner),
        Scenario::new("rref_faulty::udf_remote_message_dropped_timeout", 3, dropped).script(stop_owner),
        Scenario::new("rref_faulty::third_holder_of_a_dropped_creation", 3, third_of_dropped)
            .script(stop_owner_of_three),
        Scenario::new("rref_faulty::creation_delayed_within_its_time", 3, delayed).script(stop_owner),
        Scenario::new("rref_faulty::confirmation_delayed", 3, unconfirmed).script(stop_owner),
        Scenario::new("rref_faulty::fetch_and_methods_delayed", 3, uses_delayed).script(stop_owner),
        Scenario::new("rref_faulty::release_delayed", 3, released).script(stop_owner),
        Scenario::new("rref_faulty::stopped_user_keeps_its_value", 3, stopped_user).script(stop_user),
    ]
}

/// What rank 0 does around the time that worker1 is stopped; rank 2 follows it by calls of its own.
struct Acts {
    worker: Worker,
    part: Part,
}

impl Acts {
    /// Has links to all, and says so.
    async fn begin(part: Part) -> Result<Self> {
        let worker = part.init().await?;
        for info in worker.workers() {
            worker.rpc_async(info, ping, ()).await?;
        }
        Ok(Self { worker, part })
    }

    /// From here on worker1 is stopped.
    async fn stopped(&mut self) -> Result<()> {
        say("STOP");
        self.part.told("STOPPED").await
    }

    /// From here on it runs again.
    async fn resumed(&mut self) -> Result<()> {
        say("RESUME");
        self.part.told("RESUMED").await
    }

    /// Rank 0 waits until nothing is left; all leave.
    async fn end(self) -> Result<()> {
        if self.part.rank == 0 {
            all_gone(&self.worker, 0..3).await?;
        }
        leave(&self.worker).await
    }
}

/// Stops worker1 while rank 0 asks for that.
async fn stop_owner(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let (first, owner) = (stage.process(0)?, stage.process(1)?);
    first.says("STOP").await?;
    owner.stop().await?;
    first.tell("STOPPED").await?;
    first.says("RESUME").await?;
    owner.resume()?;
    first.tell("RESUMED").await?;
    stage.all_succeed().await
}

/// A value whose request was never answered: the reference is not sent on any more.
async fn dropped_then_sent(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        acts.stopped().await?;
        let worker = acts.worker.clone();
        let rref = worker.with_timeout(SHORT).remote("worker1", new_tally, (1,))?;
        not_made(rref.to_here().timeout(4 * SHORT).await)?;
        for round in 0..4 {
            for to in ["worker2", "worker1", "worker0"] {
                let error = worker.rpc_async(to, copy_of, (rref.clone(),)).await.err().context("no value")?;
                ensure!(error.handler_ran() == HandlerRan::No, "{error}");
                not_made(Err::<(), _>(error))?;
                not_made(worker.remote(to, copy_of, (rref.clone(),)).map(|_| ()))?;
            }
            if round == 1 {
                acts.resumed().await?;
            }
        }
    }
    acts.end().await
}

/// Every use of the reference is the same error, and so it is for the next value and the one after.
async fn dropped(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        acts.stopped().await?;
        let hasty = acts.worker.with_timeout(SHORT);
        let made: Result<Vec<_>, _> = (0..3).map(|n| hasty.remote("worker1", new_tally, (n,))).collect();
        let made = made?;
        for round in 0..4 {
            for rref in &made {
                let error = not_made(rref.to_here().timeout(4 * SHORT).await)?;
                ensure!(error.to_string().contains("no reply within"), "the reason is told: {error}");
                not_made(rref.created().timeout(4 * SHORT).await)?;
                not_made(rref.rpc_async().get().await)?;
                ensure!(!rref.confirmed_by_owner());
            }
            if round == 1 {
                acts.resumed().await?;
            }
        }
        ensure!(acts.worker.remote("worker1", new_tally, (7,))?.to_here().await?.n == 7, "the next is made");
    }
    acts.end().await
}

/// Worker2 has the reference before its creator gives up.
async fn third_of_dropped(mut part: Part) -> Result<()> {
    if part.rank == 2 {
        let worker = part.init().await?;
        part.told("TAKE").await?;
        let rref = worker.rpc_async("worker0", offered, ()).await?.context("it is offered")?;
        say("TOOK");
        ensure!(!rref.confirmed_by_owner());
        let error = rref.to_here().timeout(SHORT).await.err().context("its owner is stopped")?;
        ensure!(error.is_timeout(), "{error}");
        part.told("RESUMED").await?;
        for _ in 0..3 {
            not_made(rref.to_here().await)?;
            not_made(rref.rpc_async().get().await)?;
        }
        drop(rref);
        say("DONE");
        return leave(&worker).await;
    }
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        acts.stopped().await?;
        let rref = acts.worker.with_timeout(SHORT).remote("worker1", never, ())?;
        offer(Some(rref.clone()));
        say("OFFER");
        acts.part.told("TAKEN").await?;
        not_made(rref.to_here().timeout(4 * SHORT).await)?;
        offer(None);
        acts.resumed().await?;
        not_made(rref.to_here().await)?;
        drop(rref);
        acts.part.told("DONE").await?;
    }
    acts.end().await
}

async fn stop_owner_of_three(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let (first, owner, third) = (stage.process(0)?, stage.process(1)?, stage.process(2)?);
    first.says("STOP").await?;
    owner.stop().await?;
    first.tell("STOPPED").await?;
    first.says("OFFER").await?;
    third.tell("TAKE").await?;
    third.says("TOOK").await?;
    first.tell("TAKEN").await?;
    first.says("RESUME").await?;
    owner.resume()?;
    first.tell("RESUMED").await?;
    third.tell("RESUMED").await?;
    third.says("DONE").await?;
    first.tell("DONE").await?;
    stage.all_succeed().await
}

/// Late is not too late.
async fn delayed(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        acts.stopped().await?;
        let worker = acts.worker.clone();
        let rref = worker.remote("worker1", new_tally, (1,))?;
        let (copy, method) = (rref.to_here(), rref.rpc_async().get());
        let passed = worker.rpc_async("worker2", copy_of, (rref.clone(),));
        let made = worker.remote("worker2", copy_of, (rref.clone(),))?;
        let error = rref.to_here().timeout(SHORT).await.err().context("its owner is stopped")?;
        ensure!(error.is_timeout(), "{error}");
        ensure!(!rref.confirmed_by_owner());
        acts.resumed().await?;
        ensure!((copy.await?.n, method.await?, passed.await?, made.to_here().await?) == (1, 1, 1, 1));
        is_confirmed(&rref).await?;
    }
    acts.end().await
}

/// A function that takes a reference does not begin before the owner knows, and then not without it.
async fn unconfirmed(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        let worker = acts.worker.clone();
        let rref = worker.remote("worker1", new_tally, (1,))?;
        rref.created().await?;
        acts.stopped().await?;
        let call = worker.rpc_async("worker2", copy_of, (rref.clone(),));
        let error = worker.rpc_async("worker2", copy_of, (rref.clone(),)).timeout(SHORT).await.err();
        ensure!(error.context("its owner is stopped")?.is_timeout());
        // Dropped here, it is still on its way in the call.
        drop(rref);
        acts.resumed().await?;
        ensure!(call.await? == 1);
    }
    acts.end().await
}

async fn uses_delayed(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        let rref = acts.worker.remote("worker1", new_tally, (1,))?;
        is_confirmed(&rref).await?;
        acts.stopped().await?;
        let uses = [rref.rpc_async().add(1), rref.rpc_async().add(1)];
        for error in [
            rref.to_here().timeout(SHORT).await.err(),
            rref.created().timeout(SHORT).await.err(),
            rref.rpc_async().get().timeout(SHORT).await.err(),
        ] {
            ensure!(error.context("its owner is stopped")?.is_timeout());
        }
        ensure!(rref.confirmed_by_owner(), "nothing is wrong with it");
        acts.resumed().await?;
        for call in uses {
            call.await?;
        }
        ensure!(rref.to_here().await?.n == 3);
    }
    acts.end().await
}

/// Handles that go while the owner is stopped: it hears of them later, and dropping never waits.
async fn released(part: Part) -> Result<()> {
    let mut acts = Acts::begin(part).await?;
    if acts.part.rank == 0 {
        let made: Result<Vec<_>, _> =
            (0..100).map(|n| acts.worker.remote("worker1", new_tally, (n,))).collect();
        let made = made?;
        for rref in &made {
            rref.created().await?;
        }
        acts.stopped().await?;
        let unmade = acts.worker.remote("worker1", new_tally, (100,))?;
        drop((made, unmade));
        ensure!(!is_idle(&acts.worker), "the owner has not heard of it");
        acts.resumed().await?;
        until("the owner has heard of it", async || Ok(is_idle(&acts.worker))).await?;
    }
    acts.end().await
}

/// Worker1 is a user here, that its owner waits for.
async fn stopped_user(mut part: Part) -> Result<()> {
    if part.rank == 1 {
        let worker = part.init().await?;
        let rref = loop {
            if let Some(rref) = worker.rpc_async("worker0", offered, ()).await? {
                break rref;
            }
        };
        rref.rpc_async().add(1).await?;
        say("TOOK");
        part.told("USE").await?;
        ensure!(rref.rpc_async().get().timeout(LATE).await? == 1);
        drop(rref);
        return leave(&worker).await;
    }
    let mut acts = Acts { worker: part.init().await?, part };
    if acts.part.rank == 0 {
        let rref = RRef::new(&acts.worker, Tally::new(0));
        offer(Some(rref.clone()));
        acts.part.told("TAKEN").await?;
        offer(None);
        acts.stopped().await?;
        drop(rref);
        let error = acts.worker.rpc_async("worker1", ping, ()).timeout(SHORT).await.err();
        ensure!(error.context("it is stopped")?.is_timeout());
        acts.resumed().await?;
    }
    acts.end().await
}

async fn stop_user(stage: &mut Stage) -> Result<()> {
    stage.start().await?;
    let (owner, user) = (stage.process(0)?, stage.process(1)?);
    user.says("TOOK").await?;
    owner.tell("TAKEN").await?;
    owner.says("STOP").await?;
    user.stop().await?;
    owner.tell("STOPPED").await?;
    owner.says("RESUME").await?;
    user.resume()?;
    owner.tell("RESUMED").await?;
    user.tell("USE").await?;
    stage.all_succeed().await
}
