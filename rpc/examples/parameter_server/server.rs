//! What the worker `ps` holds, and the functions through which the trainers reach it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use rpc::{CallContext, Tensor};
use tokio::sync::{SetOnce, watch};

use crate::data::Examples;
use crate::model::{Network, Param, PerParam, Sgd};
use crate::plan::Plan;
use crate::shard::{ServerError, Shard};

/// The worker that holds the parameters.
pub(crate) const SERVER_NAME: &str = "ps";

const OPTIMISER: Sgd = Sgd { learning_rate: 0.2, momentum: 0.9 };

/// The state behind the remote functions. It lives in a static because plain functions have no object to
/// live in; unlike most statics it is set once, by the process that is the server, and never replaced.
static SERVER: SetOnce<ParameterServer> = SetOnce::const_new();

/// Makes this process the parameter server. Calls that came earlier have waited for it.
pub(crate) fn install(server: ParameterServer) -> anyhow::Result<&'static ParameterServer> {
    SERVER.set(server)?;
    Ok(installed()?)
}

fn installed() -> Result<&'static ParameterServer, ServerError> {
    SERVER.get().ok_or(ServerError::NotTheServer)
}

/// The value of `param` (`f32`, shape as [`Param::shape`]), once it has `version` or a later one.
#[rpc::function]
pub(crate) async fn pull(param: Param, version: u64) -> Result<Tensor, ServerError> {
    // A trainer may be faster than the server's own start.
    let server = SERVER.wait().await;
    let value = server.reached(param, version).await?;
    server.traffic.count(&value);
    if version == 0 && param == Param::ALL[0] {
        server.first_call();
    }
    Ok(value)
}

/// Hands in the caller's part of the gradient of `param`, computed with `version` of the parameters.
#[rpc::function(inline)]
pub(crate) fn push(param: Param, version: u64, gradient: Tensor) -> Result<(), ServerError> {
    let server = installed()?;
    server.traffic.count(&gradient);
    server.push(server.calling_trainer()?, param, version, gradient)
}

/// Notes the caller's part of the mean loss (nats) of `epoch` (from 0), which it has finished.
#[rpc::function(inline)]
pub(crate) fn report(epoch: u64, loss: f64) -> Result<(), ServerError> {
    let server = installed()?;
    server.traffic.count_call();
    server.calling_trainer()?;
    server.note(epoch, |epoch| {
        epoch.reports += 1;
        epoch.loss += loss;
    })
}

/// The share of the test images, in `0.0..=1.0`, that the network knows at the end of `epoch` (from 0).
#[rpc::function]
pub(crate) fn evaluate(epoch: u64) -> Result<f64, ServerError> {
    let server = installed()?;
    server.traffic.count_call();
    let accuracy = server.accuracy().map_err(|error| ServerError::Server(error.to_string()))?;
    server.note(epoch, |epoch| epoch.accuracy = Some(accuracy))?;
    Ok(accuracy)
}

/// The parameters of one job and what is known about its progress.
#[derive(Debug)]
pub(crate) struct ParameterServer {
    trainers: usize,
    test: Examples,
    /// Each under its own lock, and waking those who wait for its next version.
    shards: PerParam<watch::Sender<Shard>>,
    /// Grows with the plan, not with the calls: one entry for each epoch.
    epochs: watch::Sender<Vec<Epoch>>,
    traffic: Traffic,
    /// Trainers that have made their first call.
    here: AtomicU64,
    complete: OnceLock<Moment>,
}

/// What the trainers said about one epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epoch {
    /// Trainers that have reported.
    reports: usize,
    /// Sum of what they reported: with all of them the mean loss, in nats.
    pub(crate) loss: f64,
    /// Accuracy at its end, once it was asked for.
    pub(crate) accuracy: Option<f64>,
}

/// What the server has served.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    calls: AtomicU64,
    tensor_bytes: AtomicU64,
}

/// A moment, on the clock that never jumps and on the one that processes share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) time: SystemTime,
}

impl ParameterServer {
    /// A server with the initial parameters of `plan`, which judges them by `test`.
    pub(crate) fn new(plan: &Plan, test: Examples) -> anyhow::Result<Self> {
        let shard = |param| anyhow::Ok(watch::Sender::new(Shard::new(param, plan.seed, plan.trainers)?));
        let [w1, b1, w2, b2] = Param::ALL.map(shard);
        Ok(Self {
            trainers: plan.trainers,
            test,
            shards: [w1?, b1?, w2?, b2?],
            epochs: watch::Sender::new(vec![Epoch::default(); usize::try_from(plan.epochs)?]),
            traffic: Traffic::default(),
            here: AtomicU64::new(0),
            complete: OnceLock::new(),
        })
    }

    fn shard(&self, param: Param) -> &watch::Sender<Shard> {
        &self.shards[param as usize]
    }

    /// Waits until `param` has `version` or a later one. Cancel-safe.
    async fn reached(&self, param: Param, version: u64) -> Result<Tensor, ServerError> {
        let mut shard = self.shard(param).subscribe();
        let reached = shard.wait_for(|shard| shard.version() >= version).await;
        let shard = reached.map_err(|closed| ServerError::Server(closed.to_string()))?;
        Ok(shard.value().clone())
    }

    fn push(&self, trainer: usize, param: Param, version: u64, gradient: Tensor) -> Result<(), ServerError> {
        let mut outcome = Ok(false);
        self.shard(param).send_if_modified(|shard| {
            outcome = shard.push(trainer, version, gradient, OPTIMISER);
            outcome == Ok(true)
        });
        outcome.map(|_| ())
    }

    /// The trainer, from 0, whose call this thread serves.
    fn calling_trainer(&self) -> Result<usize, ServerError> {
        let rank = CallContext::current().map_or(0, |call| call.caller().0);
        let trainer = (rank as usize).checked_sub(1).filter(|trainer| *trainer < self.trainers);
        trainer.ok_or(ServerError::NotATrainer { rank, trainers: self.trainers })
    }

    fn first_call(&self) {
        if self.here.fetch_add(1, Ordering::Relaxed) + 1 == self.trainers as u64 {
            let now = Moment { instant: Instant::now(), time: SystemTime::now() };
            self.complete.get_or_init(|| now);
        }
    }

    /// When every trainer had made its first call.
    pub(crate) fn complete(&self) -> Option<Moment> {
        self.complete.get().copied()
    }

    fn note(&self, epoch: u64, note: impl FnOnce(&mut Epoch)) -> Result<(), ServerError> {
        let mut found = false;
        self.epochs.send_modify(|epochs| {
            let place = usize::try_from(epoch).ok().and_then(|at| epochs.get_mut(at));
            found = place.map(note).is_some();
        });
        if found { Ok(()) } else { Err(ServerError::NoSuchEpoch { epoch }) }
    }

    /// Waits until all trainers have finished `epoch` (from 0) and it was evaluated. Cancel-safe.
    ///
    /// # Panics
    /// If the plan has no such epoch.
    pub(crate) async fn epoch_done(&self, epoch: usize) -> anyhow::Result<Epoch> {
        let done = |epoch: Epoch| epoch.reports == self.trainers && epoch.accuracy.is_some();
        Ok(self.epochs.subscribe().wait_for(|epochs| done(epochs[epoch])).await?[epoch])
    }

    /// The trainers, from 0, whose gradients are awaited.
    pub(crate) fn awaited(&self) -> Vec<usize> {
        let mut awaited: Vec<usize> =
            self.shards.iter().flat_map(|shard| shard.borrow().awaited().collect::<Vec<_>>()).collect();
        awaited.sort_unstable();
        awaited.dedup();
        awaited
    }

    /// As [`evaluate`].
    pub(crate) fn accuracy(&self) -> anyhow::Result<f64> {
        let params = self.shards.each_ref().map(|shard| shard.borrow().value().clone());
        Ok(Network::new(&params)?.accuracy(&self.test))
    }

    /// What was served so far.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

impl Traffic {
    fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call that carries `tensor` one way or the other.
    fn count(&self, tensor: &Tensor) {
        self.count_call();
        self.tensor_bytes.fetch_add(tensor.part().len() as u64, Ordering::Relaxed);
    }

    /// Calls served.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes of tensors received and sent.
    pub(crate) fn tensor_bytes(&self) -> u64 {
        self.tensor_bytes.load(Ordering::Relaxed)
    }
}
