//! What a trainer does: pull the parameters, compute its part of a gradient, push it.

use anyhow::Context;
use rpc::{RpcFuture, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::{Examples, Split};
use crate::model::{Gradients, Network, Param, PerParam};
use crate::plan::{BATCH, Plan};
use crate::shard::Shards;

/// A trainer: a value on a worker of its own, which refers to the shards on the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trainer {
    plan: Plan,
    /// Its number, from 0.
    index: usize,
    shards: Shards,
    examples: Examples,
    /// What it has pulled last, and its version.
    params: PerParam<Tensor>,
    version: u64,
}

/// Trainer number `index` (from 0) of `plan`. It has pulled the parameters for the first time.
#[rpc::function]
pub(crate) fn new_trainer(plan: Plan, index: usize, shards: Shards) -> Result<Trainer, String> {
    Trainer::new(plan, index, shards).map_err(text)
}

#[rpc::methods]
impl Trainer {
    /// Trains from the first round of `epoch` (from 0) to the last. Returns its part of the mean loss, in nats.
    pub(crate) async fn train(&mut self, epoch: u64) -> Result<f64, String> {
        self.rounds(epoch).await.map_err(text)
    }
}

impl Trainer {
    fn new(plan: Plan, index: usize, shards: Shards) -> anyhow::Result<Self> {
        // First of all, so that the answers are on their way while the data are unpacked.
        let pulls = start_pull(&shards, 0);
        let examples = Split::load(plan.seed)?.train;
        let [w1, b1, w2, b2] = pulls.map(RpcFuture::wait); // blocks: a plain function has a thread of its own
        let params = [w1?, b1?, w2?, b2?];
        Ok(Self { plan, index, shards, examples, params, version: 0 })
    }

    async fn rounds(&mut self, epoch: u64) -> anyhow::Result<f64> {
        let order = self.plan.order(epoch, self.examples.len());
        let rounds = self.plan.rounds_per_epoch(self.examples.len());
        let mut loss = 0.0;
        for round in 0..rounds {
            let batch = self.examples.select(&order[self.plan.share(round, self.index)]);
            let gradients = self.gradients(&batch)?;
            loss += gradients.loss;
            self.exchange(gradients.by_param).await?;
        }
        Ok(loss / rounds as f64)
    }

    fn gradients(&self, batch: &Examples) -> anyhow::Result<Gradients> {
        let _span = rpc::record_function("gradients");
        // Some tenths of a millisecond: short enough to be computed between two awaits.
        Ok(Network::new(&self.params)?.gradients(batch, 1.0 / BATCH as f32))
    }

    /// Pushes the gradients for the version that it has, and pulls the next one.
    async fn exchange(&mut self, gradients: PerParam<Vec<f32>>) -> anyhow::Result<()> {
        let mut pushes = Vec::with_capacity(Param::ALL.len());
        for ((param, shard), gradient) in Param::ALL.iter().zip(&self.shards).zip(gradients) {
            let gradient =
                Tensor::from_vec(gradient, param.shape()).context("a gradient of its own shape")?;
            pushes.push(shard.rpc_async().push(self.index, self.version, gradient));
        }
        // Eight calls at once, one wait: a pull is answered when the other trainers have pushed as well.
        let [w1, b1, w2, b2] = start_pull(&self.shards, self.version + 1);
        for pushed in pushes {
            pushed.await?;
        }
        self.params = [w1.await?, b1.await?, w2.await?, b2.await?];
        self.version += 1;
        Ok(())
    }
}

/// Asks for all parameters at `version`. The calls are under way when this returns.
fn start_pull(shards: &Shards, version: u64) -> PerParam<RpcFuture<Tensor>> {
    shards.each_ref().map(|shard| shard.rpc_async().pull(version))
}

/// An error as it travels to the server, where people read it.
fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}
