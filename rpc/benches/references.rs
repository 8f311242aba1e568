//! What references cost: `cargo bench -p rpc --bench references -- --pin together`.
//!
//! Three processes: worker 0 uses, worker 1 owns, and worker 2 is the third party in some rows. After the rows,
//! a hundred thousand references are dropped at once, and a million are held on one owner.

mod harness;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rpc::prelude::*;
use rpc::{RRef, Registry, Worker};

use crate::harness::rows::{self, Row};
use crate::harness::{Options, job, system};

const BENCH: &str = "references";

const OWNER: WorkerId = WorkerId(1);
const THIRD: WorkerId = WorkerId(2);

#[rpc::function(inline)]
fn plain(n: u64) -> u64 {
    n
}

#[rpc::function(inline)]
fn make(n: u64) -> u64 {
    n
}

#[derive(Serialize, Deserialize)]
struct Counter {
    n: u64,
}

#[rpc::methods]
impl Counter {
    #[rpc(inline)]
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }
}

#[rpc::function(inline)]
fn make_counter(n: u64) -> Counter {
    Counter { n }
}

/// May carry a reference.
#[rpc::function(inline)]
fn carry(value: Option<RRef<u64>>) -> bool {
    value.is_some()
}

static HELD: Mutex<Option<RRef<u64>>> = Mutex::new(None);

/// Keeps a reference on the callee until the next.
#[rpc::function]
fn hold(value: Option<RRef<u64>>) {
    let mut held = HELD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = std::mem::replace(&mut *held, value);
    drop(held);
    drop(before);
}

/// Resident bytes, and whether nothing is shared, of the worker that runs it.
#[rpc::function]
fn state() -> (u64, bool) {
    (system::resident_bytes(), Registry::current().is_some_and(|registry| registry.is_idle()))
}

fn main() -> anyhow::Result<ExitCode> {
    job::run(3, async |options: &Options, worker: &Worker| {
        let held: RRef<u64> = worker.remote(THIRD, make, (7,))?;
        worker.rpc_async(OWNER, hold, (Some(held.clone()),)).await?;
        rows::measure(BENCH, options, rows_of(worker, &held)?).await?;
        drop(held);
        worker.rpc_async(OWNER, hold, (None,)).await?;
        drop_many(options, worker).await?;
        hold_a_million(options, worker).await
    })
}

/// An operation with clones of its own of what it uses.
macro_rules! operation {
    ($($used:ident),+; $($body:tt)+) => {{
        $(let $used = $used.clone();)+
        move || {
            $(let $used = $used.clone();)+
            async move {
                $($body)+
                anyhow::Ok(())
            }
        }
    }};
}

fn rows_of(worker: &Worker, held: &RRef<u64>) -> anyhow::Result<Vec<Row>> {
    let call = operation!(worker; worker.rpc_async(OWNER, plain, (7,)).await?;);
    let fetch_cycle = operation!(worker;
        let value: RRef<u64> = worker.remote(OWNER, make, (7,))?;
        value.to_here().await?;
    );
    let method_cycle = operation!(worker;
        let counter: RRef<Counter> = worker.remote(OWNER, make_counter, (7,))?;
        counter.rpc_async().add(1).await?;
    );
    let create_cycle = operation!(worker;
        let value: RRef<u64> = worker.remote(OWNER, make, (7,))?;
        value.created().await?;
    );
    let value: RRef<u64> = worker.remote(OWNER, make, (7,))?;
    let counter: RRef<Counter> = worker.remote(OWNER, make_counter, (7,))?;
    let fetch = operation!(value; value.to_here().await?;);
    let method = operation!(counter; counter.rpc_async().add(1).await?;);

    let bare = operation!(worker; worker.rpc_async(OWNER, carry, (None,)).await?;);
    /// A call to the owner that carries a reference.
    macro_rules! carry {
        ($rref:expr) => {{
            let rref: RRef<u64> = $rref;
            operation!(worker, rref; worker.rpc_async(OWNER, carry, (Some(rref),)).await?;)
        }};
    }
    let of_caller = carry!(RRef::new(worker, 7));
    let of_callee = carry!(value);
    let of_third = carry!(worker.remote(THIRD, make, (7,))?);
    let of_third_held = carry!(held.clone());

    let bare_name = "call without a reference";
    let mut rows = vec![
        Row::alone("plain call", 5_000, call.clone()),
        Row::alone("remote, to_here, drop", 3_000, fetch_cycle.clone()).limit(2.2),
        Row::alone("remote, method, drop", 3_000, method_cycle.clone()),
        Row::alone("remote, created, drop", 3_000, create_cycle),
        Row::alone("to_here", 5_000, fetch.clone()),
        Row::alone("method", 5_000, method.clone()),
        Row::alone(bare_name, 5_000, bare.clone()),
        Row::alone("with one of the caller's", 3_000, of_caller.clone()).against(bare_name),
        Row::alone("with one of the callee's", 3_000, of_callee.clone()).against(bare_name),
        Row::alone("with one of a third's", 2_000, of_third.clone()).against(bare_name),
        Row::alone("with one of a third's that it holds", 3_000, of_third_held).against(bare_name),
    ];
    rows.extend([
        Row::together("plain call", 40_000, call),
        Row::together("remote, to_here, drop", 20_000, fetch_cycle),
        Row::together("remote, method, drop", 20_000, method_cycle),
        Row::together("to_here", 40_000, fetch),
        Row::together("method", 40_000, method),
        Row::together(bare_name, 40_000, bare),
        Row::together("with one of the caller's", 20_000, of_caller).against(bare_name),
        Row::together("with one of the callee's", 20_000, of_callee).against(bare_name),
        Row::together("with one of a third's", 20_000, of_third).against(bare_name),
    ]);
    Ok(rows)
}

/// As many references to values of the owner.
async fn create(worker: &Worker, count: usize) -> anyhow::Result<Vec<RRef<u64>>> {
    // Well below the bound on requests to one worker.
    const AT_A_TIME: usize = 4096;
    let mut made: Vec<RRef<u64>> = Vec::with_capacity(count);
    while made.len() < count {
        for n in 0..AT_A_TIME.min(count - made.len()) {
            made.push(worker.remote(OWNER, make, (n as u64,))?);
        }
        if let Some(last) = made.last() {
            last.created().await?;
        }
    }
    Ok(made)
}

/// Waits until no message about references is left. Asks nobody: what counts here is over when the other
/// side has acknowledged it.
async fn settled(worker: &Worker) {
    let registry: &Registry = worker.as_ref();
    while !registry.is_idle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn requests_sent(worker: &Worker) -> u64 {
    worker.debug_info().agent.requests.sent
}

async fn drop_many(options: &Options, worker: &Worker) -> anyhow::Result<()> {
    settled(worker).await;
    let count = options.count(100_000);
    let made = create(worker, count).await?;
    let (sent, start) = (requests_sent(worker), Instant::now());
    drop(made);
    let returned = start.elapsed();
    settled(worker).await;
    let requests = requests_sent(worker) - sent;
    let each_us = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    let figure = |what: &str, value, unit| rows::figure(BENCH, options, what, value, unit);
    figure(&format!("requests for {count} references dropped at once"), requests as f64, "");
    figure("  until the drop returns, each", each_us(returned), "us");
    figure("  until the owner has acknowledged, each", each_us(start.elapsed()), "us");
    Ok(())
}

async fn hold_a_million(options: &Options, worker: &Worker) -> anyhow::Result<()> {
    let count = options.count(1_000_000);
    // What queues and pools grow to once is not the values'.
    drop(create(worker, 20_000).await?);
    settled(worker).await;
    let resident =
        async || anyhow::Ok((worker.rpc_async(OWNER, state, ()).await?.0, system::resident_bytes()));
    let release = async |made: Vec<RRef<u64>>| {
        drop(made);
        settled(worker).await;
        while !worker.rpc_async(OWNER, state, ()).await?.1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(())
    };
    let before = resident().await?;
    let start = Instant::now();
    let made = create(worker, count).await?;
    let created = start.elapsed();
    let held = resident().await?;
    let start = Instant::now();
    release(made).await?;
    let dropped = start.elapsed();
    let after = resident().await?;
    // Allocators keep what was freed. What they cannot use again shows when it is needed again.
    release(create(worker, count).await?).await?;
    let again = resident().await?;

    let each = |from: u64, to: u64| (to as f64 - from as f64) / count as f64;
    let value = size_of::<u64>() as f64;
    let figure = |what: &str, value, unit| rows::figure(BENCH, options, what, value, unit);
    figure(&format!("{count} live references: creating"), created.as_secs_f64(), "s");
    figure("  dropping, until the owner has freed them", dropped.as_secs_f64(), "s");
    figure(
        "  resident on the owner, each, beyond the value (under 200)",
        each(before.0, held.0) - value,
        "B",
    );
    figure("  resident on the user, each, with the reference", each(before.1, held.1), "B");
    figure("  kept by the owner's allocator after the drop, each", each(before.0, after.0), "B");
    figure("  kept by the user's allocator after the drop, each", each(before.1, after.1), "B");
    figure("  added to that on the owner by doing it all again, each", each(after.0, again.0), "B");
    figure("  added to that on the user by doing it all again, each", each(after.1, again.1), "B");
    Ok(())
}
