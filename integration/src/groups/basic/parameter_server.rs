//! The job that the framework is made for, small: one worker holds parameters, the others push and pull.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

const LEN: usize = 1000;
const ROUNDS: usize = 20;
const TRAINERS: u32 = 3;

/// The parameters, on the worker that serves them.
static PARAMETERS: Mutex<Vec<f32>> = Mutex::new(Vec::new());

#[rpc::function]
fn pull() -> Result<Tensor, String> {
    let parameters = PARAMETERS.lock().unwrap_or_else(PoisonError::into_inner);
    Tensor::from_slice(&parameters, [parameters.len()]).map_err(|error| error.to_string())
}

#[rpc::function]
fn push(gradient: Tensor) -> Result<(), String> {
    let gradient = gradient.as_slice::<f32>().map_err(|error| error.to_string())?;
    let mut parameters = PARAMETERS.lock().unwrap_or_else(PoisonError::into_inner);
    parameters.resize(gradient.len(), 0.0);
    parameters.iter_mut().zip(gradient).for_each(|(parameter, step)| *parameter += step);
    Ok(())
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::on_all("basic::my_parameter_server", 1 + TRAINERS, train)]
}

async fn train(worker: &Worker) -> Result<()> {
    if worker.id().0 == 0 {
        return Ok(());
    }
    let step = Tensor::from_vec(vec![worker.id().0 as f32; LEN], [LEN])?;
    let mut last = 0.0;
    for _ in 0..ROUNDS {
        worker.rpc_async("worker0", push, (step.clone(),)).await?;
        let parameters = worker.rpc_async("worker0", pull, ()).await?;
        let values = parameters.as_slice::<f32>()?;
        ensure!(values.len() == LEN && values.iter().all(|value| *value == values[0]), "a torn read");
        ensure!(values[0] >= last + worker.id().0 as f32, "a lost step");
        last = values[0];
    }
    // Steps of all trainers: 1 + 2 + 3 in each round.
    let total = (ROUNDS as u32 * (1 + 2 + 3)) as f32;
    while worker.rpc_async("worker0", pull, ()).await?.as_slice::<f32>()?[0] < total {
        tokio::task::yield_now().await;
    }
    Ok(())
}
