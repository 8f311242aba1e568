//! One parameter: a value on the server, which trainers reach through references.
//!
//! Training is synchronous. The value has a version, 0 at first. Every trainer pushes one gradient for each
//! version; with the last of them the shard takes a step and has the next version. Gradients are added up
//! in the order of the trainers, not of their arrival, so that the same seed gives the same parameters.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rpc::{RRef, Tensor};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::model::{Param, PerParam, Sgd};

const OPTIMISER: Sgd = Sgd { learning_rate: 0.2, momentum: 0.9 };

/// References to all shards of a network.
pub(crate) type Shards = PerParam<RRef<Shard>>;

/// One parameter.
///
/// Trainers that wait for a version must not keep others from pushing. So all methods share the value, and
/// what changes in it has a lock of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shard {
    state: Mutex<State>,
    /// Tells those who wait for the next version.
    #[serde(skip)]
    stepped: Notify,
}

/// Why a gradient is refused. Travels to the trainer, which sees the same type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum PushError {
    /// There is no such trainer, its gradient for the current version is here, or it is for another version.
    #[error("{param:?} has version {current} and awaits no gradient of trainer {trainer} for version {got}")]
    NotAwaited {
        /// The parameter.
        param: Param,
        /// Its version.
        current: u64,
        /// Who pushed, from 0.
        trainer: usize,
        /// The version of the gradient.
        got: u64,
    },
    /// A gradient that does not fit its parameter.
    #[error("the gradient of {param:?} is {got}, not f32{:?}", param.shape())]
    Misfit {
        /// The parameter.
        param: Param,
        /// Dtype and shape of the gradient.
        got: String,
    },
}

/// The parameter `param` at its start, for as many `trainers`.
#[rpc::function]
pub(crate) fn new_shard(param: Param, seed: u64, trainers: usize) -> Result<Shard, String> {
    Shard::new(param, seed, trainers, OPTIMISER).map_err(|error| error.to_string())
}

#[rpc::methods]
impl Shard {
    /// The value (`f32`, shape as [`Param::shape`]), once it has `version` or a later one. Cancel-safe.
    pub(crate) async fn pull(&self, version: u64) -> Tensor {
        loop {
            // Listens before it looks, so that no step comes between.
            let stepped = self.stepped.notified();
            if let Some(value) = self.state().pull(version) {
                return value;
            }
            stepped.await;
        }
    }

    /// Hands in the part of the gradient that `trainer` (from 0) computed with `version` of the parameters.
    #[rpc(inline)]
    pub(crate) fn push(&self, trainer: usize, version: u64, gradient: Tensor) -> Result<(), PushError> {
        if self.state().push(trainer, version, gradient)? {
            self.stepped.notify_waiters();
        }
        Ok(())
    }
}

impl Shard {
    fn new(
        param: Param,
        seed: u64,
        trainers: usize,
        optimiser: Sgd,
    ) -> Result<Self, rpc::rpc_core::TensorError> {
        let initial = param.initial(seed);
        let state = State {
            param,
            optimiser,
            version: 0,
            velocity: vec![0.0; initial.len()],
            value: Tensor::from_vec(initial, param.shape())?,
            gradients: vec![None; trainers],
            traffic: Traffic::default(),
        };
        Ok(Self { state: Mutex::new(state), stepped: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value as it is now; shares the bytes.
    pub(crate) fn value(&self) -> Tensor {
        self.state().value.clone()
    }

    /// The current version, and the trainers (from 0) whose gradients for it are not here yet.
    pub(crate) fn awaited(&self) -> (u64, Vec<usize>) {
        let state = self.state();
        (state.version, state.awaited().collect())
    }

    /// What was served so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.state().traffic
    }
}

/// What a shard has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    /// Pulls and pushes.
    pub(crate) calls: u64,
    /// Bytes of tensors received and sent.
    pub(crate) tensor_bytes: u64,
}

impl Traffic {
    fn count(&mut self, tensor: &Tensor) {
        self.calls += 1;
        self.tensor_bytes += tensor.part().len() as u64;
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    param: Param,
    optimiser: Sgd,
    /// How many steps it has taken.
    version: u64,
    /// `f32`, shape as [`Param::shape`]. Replies that are still on their way share its bytes.
    value: Tensor,
    velocity: Vec<f32>,
    /// The gradients that are there, by trainer. Bounded by the number of trainers.
    gradients: Vec<Option<Tensor>>,
    traffic: Traffic,
}

impl State {
    fn awaited(&self) -> impl Iterator<Item = usize> {
        let slots = self.gradients.iter().enumerate();
        slots.filter(|(_, gradient)| gradient.is_none()).map(|(trainer, _)| trainer)
    }

    fn pull(&mut self, version: u64) -> Option<Tensor> {
        if self.version < version {
            return None;
        }
        self.traffic.count(&self.value);
        Some(self.value.clone())
    }

    /// Returns whether it was the last gradient, so that there is a next version.
    fn push(&mut self, trainer: usize, version: u64, gradient: Tensor) -> Result<bool, PushError> {
        let param = self.param;
        if gradient.shape() != param.shape() || gradient.as_slice::<f32>().is_err() {
            let got = format!("{}{:?}", gradient.dtype(), gradient.shape());
            return Err(PushError::Misfit { param, got });
        }
        self.traffic.count(&gradient);
        match self.gradients.get_mut(trainer) {
            Some(slot @ None) if version == self.version => *slot = Some(gradient),
            _ => return Err(PushError::NotAwaited { param, current: self.version, trainer, got: version }),
        }
        let complete = self.awaited().next().is_none();
        if complete {
            self.step();
        }
        Ok(complete)
    }

    fn step(&mut self) {
        let mut sum = vec![0.0; self.velocity.len()];
        for gradient in self.gradients.iter_mut().filter_map(Option::take) {
            let parts = gradient.as_slice::<f32>().expect("its dtype was looked at when it came");
            for (sum, part) in sum.iter_mut().zip(parts) {
                *sum += part;
            }
        }
        // Copies the bytes first if a reply still carries them.
        let value = self.value.as_mut_slice().expect("it was made of f32");
        self.optimiser.step(value, &mut self.velocity, &sum);
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Sgd = Sgd { learning_rate: 1.0, momentum: 0.0 };

    fn gradient(value: f32) -> Tensor {
        Tensor::from_vec(vec![value; 10], [10]).unwrap()
    }

    fn shard() -> Shard {
        Shard::new(Param::B2, 1, 2, PLAIN).unwrap()
    }

    #[tokio::test]
    async fn the_last_gradient_of_a_round_makes_the_step_with_the_sum_and_ends_the_waiting() {
        let shard = shard();
        let before = shard.pull(0).await;
        let next = shard.pull(1);
        tokio::pin!(next);
        shard.push(1, 0, gradient(0.5)).unwrap();
        assert_eq!(shard.awaited(), (0, vec![0]));
        tokio::select! {
            biased;
            _ = &mut next => panic!("there is no version 1 yet"),
            () = std::future::ready(()) => shard.push(0, 0, gradient(0.25)).unwrap(),
        }
        assert_eq!(next.await.as_slice::<f32>().unwrap(), [-0.75; 10]);
        assert_eq!(before.as_slice::<f32>().unwrap(), [0.0; 10], "a value that was handed out changed");
        assert_eq!(shard.traffic(), Traffic { calls: 4, tensor_bytes: 4 * 40 });
    }

    #[test]
    fn a_second_or_late_or_early_gradient_or_one_of_nobody_is_refused() {
        let shard = shard();
        shard.push(0, 0, gradient(1.0)).unwrap();
        let refused =
            |trainer, got| Err(PushError::NotAwaited { param: Param::B2, current: 0, trainer, got });
        assert_eq!(shard.push(0, 0, gradient(1.0)), refused(0, 0));
        assert_eq!(shard.push(1, 1, gradient(1.0)), refused(1, 1));
        assert_eq!(shard.push(2, 0, gradient(1.0)), refused(2, 0));
        shard.push(1, 0, gradient(1.0)).unwrap();
        assert!(shard.push(1, 0, gradient(1.0)).is_err());
    }

    #[test]
    fn a_gradient_of_another_shape_or_dtype_is_refused_and_named() {
        let misfits = [
            Tensor::from_vec(vec![0.0_f32; 9], [9]).unwrap(),
            Tensor::from_vec(vec![0.0_f64; 10], [10]).unwrap(),
        ];
        for (misfit, words) in misfits.into_iter().zip(["f32[9]", "f64[10]"]) {
            let error = shard().push(0, 0, misfit).unwrap_err().to_string();
            assert_eq!(error, format!("the gradient of B2 is {words}, not f32[10]"));
        }
    }
}
