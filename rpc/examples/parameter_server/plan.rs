//! Who computes what when. The server draws it up and hands it to the trainers.

use std::ops::Range;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Images in one round, over all trainers. Fixed, so that the result hardly depends on how many share it.
pub(crate) const BATCH: usize = 96;

/// One job of training.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Determines the split, the first parameters and all shuffles.
    pub(crate) seed: u64,
    /// How often each training image is seen.
    pub(crate) epochs: u64,
    /// Workers that compute gradients.
    pub(crate) trainers: usize,
}

impl Plan {
    /// A plan for a job of `world_size` workers, one of which is the server.
    pub(crate) fn new(seed: u64, epochs: u64, world_size: usize) -> anyhow::Result<Self> {
        let trainers = world_size.saturating_sub(1);
        ensure!(
            (1..=BATCH).contains(&trainers),
            "a job of {world_size} cannot share the work: beside the server it needs from 1 to {BATCH} trainers, \
             who share a batch; set --nproc (or WORLD_SIZE) between 2 and {}",
            BATCH + 1
        );
        Ok(Self { seed, epochs, trainers })
    }

    /// Rounds in one epoch over `examples` training images. The rest that fills no batch is left out; it is
    /// another one in each epoch.
    pub(crate) fn rounds_per_epoch(&self, examples: usize) -> u64 {
        (examples / BATCH) as u64
    }

    /// The order in which `epoch` takes `examples` training images.
    pub(crate) fn order(&self, epoch: u64, examples: usize) -> Vec<usize> {
        const PURPOSE: u64 = 1 << 32; // below it are those of the data and the parameters
        let mut order: Vec<usize> = (0..examples).collect();
        Rng::new(self.seed, PURPOSE + epoch).shuffle(&mut order);
        order
    }

    /// Which places of the order `trainer` (from 0) computes in `round` of an epoch.
    pub(crate) fn share(&self, round: u64, trainer: usize) -> Range<usize> {
        let begin = round as usize * BATCH;
        let edge = |trainer: usize| begin + trainer * BATCH / self.trainers;
        edge(trainer)..edge(trainer + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_trainers_are_the_batch_and_none_is_empty() {
        for world_size in [2, 3, 4, 8, BATCH + 1] {
            let plan = Plan::new(1, 1, world_size).unwrap();
            let shares: Vec<Range<usize>> =
                (0..plan.trainers).map(|trainer| plan.share(2, trainer)).collect();
            assert!(shares.iter().all(|share| !share.is_empty()));
            let places: Vec<usize> = shares.into_iter().flatten().collect();
            assert_eq!(places, (2 * BATCH..3 * BATCH).collect::<Vec<usize>>());
        }
    }

    #[test]
    fn a_job_without_trainers_or_with_more_than_images_in_a_batch_is_refused() {
        for world_size in [0, 1, BATCH + 2] {
            let error = Plan::new(1, 1, world_size).unwrap_err().to_string();
            assert!(error.contains("between 2 and 97"), "{error}");
        }
    }

    #[test]
    fn every_epoch_has_an_order_of_its_own() {
        let plan = Plan::new(1, 2, 4).unwrap();
        assert_eq!(plan.order(0, 50), plan.order(0, 50));
        assert_ne!(plan.order(0, 50), plan.order(1, 50));
    }
}
