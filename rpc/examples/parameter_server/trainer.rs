//! What a trainer does: pull the parameters, compute its part of a gradient, push it.

use anyhow::Context;
use rpc::{Tensor, Worker};

use crate::data::Split;
use crate::model::{Network, Param, PerParam};
use crate::plan::{BATCH, Plan};
use crate::server::{SERVER_NAME, evaluate, pull, push, report};

/// Trains from the first round of `plan` to the last, as trainer number `trainer` (from 0).
pub(crate) async fn train(worker: &Worker, plan: &Plan, trainer: usize) -> anyhow::Result<()> {
    // First of all, so that the answer is on its way while the data are unpacked.
    let first = start_pull(worker, 0);
    let examples = Split::load(plan.seed)?.train;
    let mut params = finish_pull(first).await?;
    let mut version = 0;
    let rounds = plan.rounds_per_epoch(examples.len());
    for epoch in 0..plan.epochs {
        let order = plan.order(epoch, examples.len());
        let mut loss = 0.0;
        for round in 0..rounds {
            let batch = examples.select(&order[plan.share(round, trainer)]);
            // Some tenths of a millisecond: short enough to be computed between two awaits.
            let gradients = Network::new(&params)?.gradients(&batch, 1.0 / BATCH as f32);
            loss += gradients.loss;
            params = exchange(worker, version, gradients.by_param).await?;
            version += 1;
        }
        worker.rpc_async(SERVER_NAME, report, (epoch, loss / rounds as f64)).await?;
        if trainer == 0 {
            // The others cannot change the parameters meanwhile: the next step needs this trainer too.
            worker.rpc_async(SERVER_NAME, evaluate, (epoch,)).await?;
        }
    }
    Ok(())
}

type Pulls = PerParam<rpc::RpcFuture<Tensor, crate::shard::ServerError>>;

/// Asks for all parameters at `version`. The calls are under way when this returns.
fn start_pull(worker: &Worker, version: u64) -> Pulls {
    Param::ALL.map(|param| worker.rpc_async(SERVER_NAME, pull, (param, version)))
}

async fn finish_pull(pulls: Pulls) -> anyhow::Result<PerParam<Tensor>> {
    let [w1, b1, w2, b2] = pulls;
    Ok([w1.await?, b1.await?, w2.await?, b2.await?])
}

/// Pushes the gradients for `version` and returns the parameters of the next one.
async fn exchange(
    worker: &Worker,
    version: u64,
    gradients: PerParam<Vec<f32>>,
) -> anyhow::Result<PerParam<Tensor>> {
    let mut pushes = Vec::with_capacity(Param::ALL.len());
    for (param, gradient) in Param::ALL.into_iter().zip(gradients) {
        let gradient = Tensor::from_vec(gradient, param.shape()).context("a gradient of its own shape")?;
        pushes.push(worker.rpc_async(SERVER_NAME, push, (param, version, gradient)));
    }
    // Eight calls at once, one wait: a pull is answered when the other trainers have pushed as well.
    let pulls = start_pull(worker, version + 1);
    for pushed in pushes {
        pushed.await?;
    }
    finish_pull(pulls).await
}
