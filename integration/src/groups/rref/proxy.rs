//! Methods of values on other workers.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;
use rpc::rpc_core::Never;
use rpc::rpc_rref::method::{MethodBody, Proxy, RemoteMethod, RemoteMethods, Run};

use super::common::{LATE, after, new_tally, not_made, on_all, on_first, reference_error, until};

const SHORT: Duration = Duration::from_millis(200);

/// A tensor with methods.
#[derive(Debug, Serialize, Deserialize)]
struct Matrix(Tensor);

#[rpc::function]
fn ones(rows: usize, columns: usize) -> Result<Matrix, String> {
    let tensor = Tensor::from_vec(vec![1.0_f32; rows * columns], [rows, columns]);
    Ok(Matrix(tensor.map_err(|error| error.to_string())?))
}

#[rpc::methods]
impl Matrix {
    fn size(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    fn plus(&self, other: Tensor) -> Result<Tensor, String> {
        let values = |tensor: &Tensor| tensor.as_slice::<f32>().map(<[f32]>::to_vec);
        let (ours, theirs) = values(&self.0)
            .and_then(|ours| Ok((ours, values(&other)?)))
            .map_err(|error| error.to_string())?;
        let sum = ours.iter().zip(theirs).map(|(a, b)| a + b).collect();
        Tensor::from_vec(sum, self.0.shape()).map_err(|error| error.to_string())
    }
}

/// How often [`Account::hang_alone`] has begun in this process.
static HANGING: AtomicUsize = AtomicUsize::new(0);

#[rpc::function(inline)]
fn begun() -> usize {
    HANGING.load(Ordering::SeqCst)
}

/// A value whose methods work with references: to itself, and to others.
#[derive(Serialize, Deserialize)]
struct Account {
    cents: i64,
}

#[rpc::function]
fn account(cents: i64) -> Account {
    Account { cents }
}

#[rpc::methods]
impl Account {
    async fn balance(&self) -> i64 {
        tokio::task::yield_now().await;
        self.cents
    }

    async fn deposit(&mut self, cents: i64) -> i64 {
        tokio::task::yield_now().await;
        self.cents += cents;
        self.cents
    }

    async fn transfer(&mut self, cents: i64, to: RRef<Account>) -> Result<i64, CallError> {
        to.rpc_async().deposit(cents).await?;
        self.cents -= cents;
        Ok(self.cents)
    }

    /// What it reads of itself through a reference.
    async fn balance_through(&self, this: RRef<Account>) -> Result<i64, CallError> {
        this.rpc_async().balance().await
    }

    async fn hang_alone(&mut self) {
        HANGING.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

/// A method that the program of the callee lacks: nobody has listed it there.
#[derive(Clone, Copy)]
struct Unlisted;

impl RemoteMethod for Unlisted {
    type Value = Loose;
    type Args = (i64,);
    type Output = i64;
    type Error = Never;
    const NAME: &'static str = "bank::Account::close";
    const SIGNATURE: &'static str = "fn(&self, i64) -> i64";
    const BODY: MethodBody<Loose, (i64,), i64, Never> = MethodBody::Shared(Run::Inline, |_, (n,)| Ok(n));
}

/// A value whose methods are called without the names that the macro gives them.
#[derive(Debug, Serialize, Deserialize)]
struct Loose;

#[rpc::function]
fn loose() -> Loose {
    Loose
}

impl RemoteMethods for Loose {
    type Async<'a> = Proxy<'a, Self>;
    type Sync<'a> = Proxy<'a, Self>;
    type Remote<'a> = Proxy<'a, Self>;
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        on_first("rref_proxy::rref_proxy_non_exist", 2, non_exist),
        on_first("rref_proxy::rref_proxy_tensor", 2, async |worker| tensor(worker, "worker1").await),
        on_first("rref_proxy::rref_proxy_tensor_self", 1, async |worker| tensor(worker, "worker0").await),
        on_first("rref_proxy::rref_proxy_reuse", 2, reuse),
        on_all("rref_proxy::rref_proxy_class", 3, async |worker| class(worker, 1).await),
        on_all("rref_proxy::rref_proxy_class_self", 2, async |worker| class(worker, 0).await),
        on_first("rref_proxy::async_class_rref_proxy", 3, async_class),
        on_first("rref_proxy::rref_proxy_timeout", 2, timeouts),
        on_all("rref_proxy::shared_ones_run_side_by_side", 3, side_by_side),
        on_all("rref_proxy::exclusive_ones_lose_no_update", 4, no_lost_update),
        on_first("rref_proxy::method_that_waits_for_itself", 2, waits_for_itself),
    ]
}

async fn non_exist(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, loose, ())?;
        let error = rref.rpc_async().rpc_async(Unlisted, (1,)).await.err().context("no such method")?;
        ensure!(matches!(error.failure(), Some(Failure::UnknownFunction { .. })), "{error}");
        ensure!(error.handler_ran() == HandlerRan::No);
        ensure!(error.to_string().contains("bank::Account::close"), "{error}");
        let error = not_made(rref.remote().remote(Unlisted, (1,))?.to_here().await)?;
        ensure!(error.to_string().contains("no such function"), "{error}");
    }
    Ok(())
}

async fn tensor(worker: &Worker, to: &str) -> Result<()> {
    let rref = worker.remote(to, ones, (2, 3))?;
    ensure!(rref.rpc_sync().size()? == [2, 3]);
    let twos = rref.rpc_async().plus(Tensor::from_vec(vec![1.0_f32; 6], [2, 3])?).await?;
    ensure!(twos.as_slice::<f32>()?.iter().all(|value| *value == 2.0));
    let threes = rref.remote().plus(twos)?.to_here().await?;
    ensure!(threes.as_slice::<f32>()?.iter().all(|value| *value == 3.0) && threes.shape() == [2, 3]);
    Ok(())
}

/// One proxy makes any number of calls.
async fn reuse(worker: &Worker) -> Result<()> {
    let rref = worker.remote("worker1", new_tally, (0,))?;
    let (waits, calls, makes) = (rref.rpc_sync(), rref.rpc_async(), rref.remote());
    for n in [1, 4, 7] {
        ensure!(waits.add(1)? == n);
        ensure!(calls.add(1).await? == n + 1);
        ensure!(makes.add(1)?.to_here().await? == n + 2);
    }
    let many: Vec<_> = (0..100).map(|_| calls.add(1)).collect();
    for call in many {
        call.await?;
    }
    ensure!(rref.to_here().await?.n == 109);
    Ok(())
}

async fn class(worker: &Worker, steps: u32) -> Result<()> {
    let rref = worker.remote(after(worker, steps), new_tally, (10,))?;
    ensure!(rref.rpc_sync().get()? == 10);
    ensure!(rref.rpc_async().add(1).await? == 11);
    ensure!(rref.rpc_sync().get_later()? == 11);
    let made = rref.remote().get_later()?;
    ensure!(made.owner() == rref.owner() && made.to_here().await? == 11);
    // Its error is its own.
    ensure!(rref.rpc_sync().divided_by(2)? == 5);
    let error = rref.rpc_async().divided_by(0).await.err().context("an error")?;
    ensure!(error.handler_error().map(String::as_str) == Some("11 divided by 0"), "{error}");
    let error = not_made(rref.remote().divided_by(0)?.to_here().await)?;
    ensure!(error.creation_error::<String>().as_deref() == Some("11 divided by 0"), "{error}");
    ensure!(rref.rpc_sync().get()? == 11);
    Ok(())
}

/// Methods that wait and that take references; whoever has one calls them.
async fn async_class(worker: &Worker) -> Result<()> {
    let (mine, theirs) =
        (worker.remote("worker1", account, (100,))?, worker.remote("worker2", account, (0,))?);
    ensure!(mine.rpc_async().transfer(30, theirs.clone()).await? == 70);
    ensure!(mine.rpc_sync().transfer(30, theirs.clone())? == 40);
    ensure!(mine.remote().transfer(30, theirs.clone())?.to_here().await? == 10);
    ensure!((mine.rpc_async().balance().await?, theirs.rpc_async().balance().await?) == (10, 90));
    let own = RRef::new(worker, Account { cents: 0 });
    ensure!(theirs.rpc_async().transfer(90, own.clone()).await? == 0);
    ensure!(own.local_value().await?.cents == 90);
    Ok(())
}

/// A call that is over gives the value back, and leaves it to others.
async fn timeouts(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, account, (1,))?;
        rref.created().await?;
        let error = rref.rpc_async().hang_alone().timeout(SHORT).await.err().context("the method hangs")?;
        ensure!(error.is_timeout() && error.to_string().contains("hang_alone"), "{error}");
        // Waiting for a turn counts.
        let holds = rref.rpc_async().hang_alone().timeout(LATE);
        until("it has begun", async || Ok(worker.rpc_async(to, begun, ()).await? == 2)).await?;
        let error =
            rref.rpc_async().deposit(5).timeout(SHORT).await.err().context("another method has it")?;
        ensure!(error.is_timeout(), "{error}");
        ensure!(rref.to_here().timeout(SHORT).await.is_err_and(|error| error.is_timeout()));
        holds.cancel();
        ensure!(rref.rpc_async().deposit(1).timeout(LATE).await? == 2);
        ensure!(rref.rpc_async().balance().timeout(Duration::ZERO).await? == 2);
    }
    Ok(())
}

/// All wait in methods of one value, which only the script's end or a cancel would end.
async fn side_by_side(worker: &Worker) -> Result<()> {
    let rref = worker.remote(after(worker, 1), new_tally, (1,))?;
    let hanging: Vec<_> = (0..20).map(|_| rref.rpc_async().hang()).collect();
    ensure!(rref.rpc_async().get().timeout(LATE).await? == 1);
    ensure!(rref.to_here().timeout(LATE).await?.n == 1);
    let alone = rref.rpc_async().add(1);
    hanging.iter().for_each(RpcFuture::cancel);
    ensure!(alone.await? == 2);
    Ok(())
}

#[rpc::function]
async fn deposit_often(rref: RRef<Account>, times: i64) -> Result<(), CallError> {
    let calls: Vec<_> = (0..times).map(|_| rref.rpc_async().deposit(1)).collect();
    for call in calls {
        call.await?;
    }
    Ok(())
}

async fn no_lost_update(worker: &Worker) -> Result<()> {
    const TIMES: i64 = 100;
    let rref = worker.remote(after(worker, 1), account, (0,))?;
    let calls: Vec<_> = (0..4).map(|to| worker.rpc_async(to, deposit_often, (rref.clone(), TIMES))).collect();
    for call in calls {
        call.await?;
    }
    ensure!(rref.rpc_async().balance().await? == 4 * TIMES);
    Ok(())
}

/// A method that would wait for its own value says so; one that only reads beside itself does not wait.
async fn waits_for_itself(worker: &Worker) -> Result<()> {
    for to in ["worker1", "worker0"] {
        let rref = worker.remote(to, account, (5,))?;
        let error = rref.rpc_async().transfer(1, rref.clone()).timeout(LATE).await.err();
        let error = error.context("it cannot have itself twice")?;
        let Some(inner) = error.handler_error() else { bail!("{error}") };
        let inner = reference_error::<(), _>(Err(inner.clone()))?;
        ensure!(matches!(inner, ReferenceError::WouldDeadlock { .. }), "{inner}");
        ensure!(rref.rpc_async().balance_through(rref.clone()).timeout(LATE).await? == 5);
        ensure!(rref.rpc_async().deposit(1).await? == 6, "it is free again");
    }
    Ok(())
}
