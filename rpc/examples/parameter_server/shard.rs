//! One parameter on the server: its value, and the gradients of the round that is under way.
//!
//! Training is synchronous. The value has a version, 0 at first. Every trainer pushes one gradient for each
//! version; with the last of them the shard takes a step and has the next version. Gradients are added up
//! in the order of the trainers, not of their arrival, so that the same seed gives the same parameters.

use rpc::Tensor;
use serde::{Deserialize, Serialize};

use crate::model::{Param, Sgd};

/// Why the server refuses a call. Travels to the trainer, which sees the same type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum ServerError {
    /// This worker holds no parameters.
    #[error("this worker holds no parameters; call the worker that is named ps")]
    NotTheServer,
    /// The caller has no place among the trainers.
    #[error("rank {rank} is no trainer; the trainers have the ranks 1 to {trainers}")]
    NotATrainer {
        /// The caller's rank.
        rank: u32,
        /// How many trainers there are.
        trainers: usize,
    },
    /// A gradient for a version that is not the current one, or the second one for it.
    #[error("{param:?} has version {current} and awaits no gradient of this trainer for version {got}")]
    NotAwaited {
        /// The parameter.
        param: Param,
        /// Its version.
        current: u64,
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
    /// A report about an epoch that the plan does not have.
    #[error("the server's plan has no epoch {epoch}; start all workers with the same --epochs")]
    NoSuchEpoch {
        /// The epoch, from 0.
        epoch: u64,
    },
    /// Something failed in the server itself.
    #[error("the server failed: {0}")]
    Server(String),
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Shard {
    param: Param,
    /// `f32`, shape as [`Param::shape`]. Replies that are still on their way share its bytes.
    value: Tensor,
    version: u64,
    velocity: Vec<f32>,
    /// The gradients that are there, by trainer. Bounded by the number of trainers.
    gradients: Vec<Option<Tensor>>,
}

impl Shard {
    /// The parameter at its start.
    pub(crate) fn new(param: Param, seed: u64, trainers: usize) -> anyhow::Result<Self> {
        let initial = param.initial(seed);
        Ok(Self {
            param,
            version: 0,
            velocity: vec![0.0; initial.len()],
            value: Tensor::from_vec(initial, param.shape())?,
            gradients: vec![None; trainers],
        })
    }

    /// The value; cloning it shares the bytes.
    pub(crate) fn value(&self) -> &Tensor {
        &self.value
    }

    /// How many steps it has taken.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The trainers whose gradient for the current version is not here yet.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = usize> {
        let slots = self.gradients.iter().enumerate();
        slots.filter(|(_, gradient)| gradient.is_none()).map(|(trainer, _)| trainer)
    }

    /// Takes the gradient that `trainer` (from 0) computed with `version` of the parameters. Returns whether
    /// it was the last one, so that there is a next version.
    ///
    /// # Panics
    /// If there is no such trainer.
    pub(crate) fn push(
        &mut self,
        trainer: usize,
        version: u64,
        gradient: Tensor,
        optimiser: Sgd,
    ) -> Result<bool, ServerError> {
        let param = self.param;
        if gradient.shape() != param.shape() || gradient.as_slice::<f32>().is_err() {
            return Err(ServerError::Misfit {
                param,
                got: format!("{}{:?}", gradient.dtype(), gradient.shape()),
            });
        }
        if version != self.version || self.gradients[trainer].is_some() {
            return Err(ServerError::NotAwaited { param, current: self.version, got: version });
        }
        self.gradients[trainer] = Some(gradient);
        let complete = self.awaited().next().is_none();
        if complete {
            self.step(optimiser).map_err(|error| ServerError::Server(error.to_string()))?;
        }
        Ok(complete)
    }

    fn step(&mut self, optimiser: Sgd) -> anyhow::Result<()> {
        let mut sum = vec![0.0; self.velocity.len()];
        for gradient in self.gradients.iter_mut().filter_map(Option::take) {
            for (sum, part) in sum.iter_mut().zip(gradient.as_slice::<f32>()?) {
                *sum += part;
            }
        }
        // Copies the bytes first if a reply still carries them.
        optimiser.step(self.value.as_mut_slice()?, &mut self.velocity, &sum);
        self.version += 1;
        Ok(())
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
        Shard::new(Param::B2, 1, 2).unwrap()
    }

    #[test]
    fn the_last_gradient_of_a_round_makes_the_step_with_the_sum() {
        let mut shard = shard();
        let before = shard.value().clone();
        assert_eq!(shard.push(1, 0, gradient(0.5), PLAIN), Ok(false));
        assert_eq!(shard.awaited().collect::<Vec<_>>(), [0]);
        assert_eq!(shard.version(), 0);
        assert_eq!(shard.push(0, 0, gradient(0.25), PLAIN), Ok(true));
        assert_eq!(shard.version(), 1);
        assert_eq!(shard.value().as_slice::<f32>().unwrap(), [-0.75; 10]);
        assert_eq!(before.as_slice::<f32>().unwrap(), [0.0; 10], "a value that was handed out changed");
    }

    #[test]
    fn a_second_or_late_or_early_gradient_is_refused() {
        let mut shard = shard();
        shard.push(0, 0, gradient(1.0), PLAIN).unwrap();
        let refused = |got| Err(ServerError::NotAwaited { param: Param::B2, current: 0, got });
        assert_eq!(shard.push(0, 0, gradient(1.0), PLAIN), refused(0));
        assert_eq!(shard.push(1, 1, gradient(1.0), PLAIN), refused(1));
        shard.push(1, 0, gradient(1.0), PLAIN).unwrap();
        assert!(shard.push(1, 0, gradient(1.0), PLAIN).is_err());
        assert_eq!(shard.version(), 1);
    }

    #[test]
    fn a_gradient_of_another_shape_or_dtype_is_refused_and_named() {
        let misfits = [
            Tensor::from_vec(vec![0.0_f32; 9], [9]).unwrap(),
            Tensor::from_vec(vec![0.0_f64; 10], [10]).unwrap(),
        ];
        for (misfit, words) in misfits.into_iter().zip(["f32[9]", "f64[10]"]) {
            let error = shard().push(0, 0, misfit, PLAIN).unwrap_err().to_string();
            assert_eq!(error, format!("the gradient of B2 is {words}, not f32[10]"));
        }
    }
}
