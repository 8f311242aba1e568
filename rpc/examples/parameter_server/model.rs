//! A classifier with one hidden layer, by hand: forward, backward, and the step of the optimiser.
//!
//! ```text
//! x [n, 64] ──W1 [64, 64], b1 [64]──► h [n, 64] ──relu──► ──W2 [64, 10], b2 [10]──► logits [n, 10] ──softmax──► p
//! ```
//!
//! Everything is `f32` and row-major; `n` is the number of images in a batch. The four parameters are the
//! shards that the server holds, each a [`Tensor`].

use anyhow::ensure;
use rpc::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::{CLASSES, Examples, PIXELS};
use crate::rng::Rng;

/// Units of the hidden layer.
const HIDDEN: usize = 64;

/// Names one of the four parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Param {
    /// Weights into the hidden layer, `[PIXELS, HIDDEN]`.
    W1,
    /// Bias of the hidden layer, `[HIDDEN]`.
    B1,
    /// Weights into the output, `[HIDDEN, CLASSES]`.
    W2,
    /// Bias of the output, `[CLASSES]`.
    B2,
}

impl Param {
    /// All four, in the order in which [`PerParam`] holds theirs.
    pub(crate) const ALL: [Self; 4] = [Self::W1, Self::B1, Self::W2, Self::B2];

    /// The shape of this parameter and of its gradient.
    pub(crate) fn shape(self) -> &'static [usize] {
        match self {
            Self::W1 => &[PIXELS, HIDDEN],
            Self::B1 => &[HIDDEN],
            Self::W2 => &[HIDDEN, CLASSES],
            Self::B2 => &[CLASSES],
        }
    }

    /// Values at the start: uniform with the variance that keeps a ReLU's input as wide as its output
    /// (He et al. 2015), and zero for the biases.
    pub(crate) fn initial(self, seed: u64) -> Vec<f32> {
        let len = self.shape().iter().product();
        if matches!(self, Self::B1 | Self::B2) {
            return vec![0.0; len];
        }
        let bound = (6.0 / self.shape()[0] as f32).sqrt();
        let mut rng = Rng::new(seed, 1 + self as u64);
        (0..len).map(|_| bound * rng.signed_unit()).collect()
    }
}

/// One thing for each parameter, in the order of [`Param::ALL`].
pub(crate) type PerParam<T> = [T; 4];

/// What a batch says about the parameters.
#[derive(Debug)]
pub(crate) struct Gradients {
    /// Shapes as [`Param::shape`], summed over the batch.
    pub(crate) by_param: PerParam<Vec<f32>>,
    /// Cross entropy in nats, summed over the batch.
    pub(crate) loss: f64,
}

/// The network with one set of parameters, borrowed from wherever they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    w1: &'a [f32],
    b1: &'a [f32],
    w2: &'a [f32],
    b2: &'a [f32],
}

impl<'a> Network<'a> {
    /// The network with these parameters; nothing is copied.
    ///
    /// # Errors
    /// If one of them does not hold `f32` or does not have the shape of its [`Param`].
    pub(crate) fn new(params: &'a PerParam<Tensor>) -> anyhow::Result<Self> {
        for (param, tensor) in Param::ALL.iter().zip(params) {
            ensure!(tensor.shape() == param.shape(), "{param:?} is {tensor:?}, not {:?}", param.shape());
        }
        let [w1, b1, w2, b2] = params;
        Ok(Self { w1: w1.as_slice()?, b1: b1.as_slice()?, w2: w2.as_slice()?, b2: b2.as_slice()? })
    }

    /// Hidden activations `[n, HIDDEN]` and logits `[n, CLASSES]` for images `[n, PIXELS]`.
    fn forward(&self, images: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut hidden = affine(images, self.w1, self.b1);
        for activation in &mut hidden {
            *activation = activation.max(0.0);
        }
        let logits = affine(&hidden, self.w2, self.b2);
        (hidden, logits)
    }

    /// The share of `examples` whose largest logit is the one of their label, in `0.0..=1.0`.
    pub(crate) fn accuracy(&self, examples: &Examples) -> f64 {
        let (_, logits) = self.forward(&examples.images);
        let right = logits
            .chunks_exact(CLASSES)
            .zip(&examples.labels)
            .filter(|(logits, label)| largest(logits) == usize::from(**label))
            .count();
        right as f64 / examples.len().max(1) as f64
    }

    /// Loss and gradients over `batch`, each summed and multiplied by `scale`.
    ///
    /// With `scale` 1/n for a batch of n this is the mean. Trainers that share a batch all use the size of
    /// the whole batch, so that the sum of their gradients is the gradient of the mean.
    pub(crate) fn gradients(&self, batch: &Examples, scale: f32) -> Gradients {
        let (hidden, mut logits) = self.forward(&batch.images);
        let loss = softmax_cross_entropy(&mut logits, &batch.labels, scale);
        let d_logits = logits; // [n, CLASSES]

        let d_w2 = transposed_product(&hidden, &d_logits, HIDDEN, CLASSES);
        let d_b2 = column_sums(&d_logits, CLASSES);

        let mut d_hidden = vec![0.0; hidden.len()]; // [n, HIDDEN]
        for (d_hidden, d_logits) in d_hidden.chunks_exact_mut(HIDDEN).zip(d_logits.chunks_exact(CLASSES)) {
            for (d_unit, row) in d_hidden.iter_mut().zip(self.w2.chunks_exact(CLASSES)) {
                *d_unit = row.iter().zip(d_logits).map(|(weight, d_logit)| weight * d_logit).sum();
            }
        }
        for (d_unit, activation) in d_hidden.iter_mut().zip(&hidden) {
            if *activation == 0.0 {
                *d_unit = 0.0;
            }
        }

        let d_w1 = transposed_product(&batch.images, &d_hidden, PIXELS, HIDDEN);
        let d_b1 = column_sums(&d_hidden, HIDDEN);
        Gradients { by_param: [d_w1, d_b1, d_w2, d_b2], loss }
    }
}

/// `x [n, k]` times `w [k, m]` plus `bias [m]` in every row: `[n, m]`.
fn affine(x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
    let (k, m) = (w.len() / bias.len(), bias.len());
    let mut out = bias.repeat(x.len() / k);
    for (out, x) in out.chunks_exact_mut(m).zip(x.chunks_exact(k)) {
        for (x, row) in x.iter().zip(w.chunks_exact(m)) {
            for (out, weight) in out.iter_mut().zip(row) {
                *out += x * weight;
            }
        }
    }
    out
}

/// `x [n, k]` transposed times `y [n, m]`: `[k, m]`.
fn transposed_product(x: &[f32], y: &[f32], k: usize, m: usize) -> Vec<f32> {
    let mut out = vec![0.0; k * m];
    for (x, y) in x.chunks_exact(k).zip(y.chunks_exact(m)) {
        for (x, out) in x.iter().zip(out.chunks_exact_mut(m)) {
            for (y, out) in y.iter().zip(out) {
                *out += x * y;
            }
        }
    }
    out
}

/// The sum of all rows of `x [n, m]`: `[m]`.
fn column_sums(x: &[f32], m: usize) -> Vec<f32> {
    let mut sums = vec![0.0; m];
    for row in x.chunks_exact(m) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
    sums
}

/// Replaces `logits [n, CLASSES]` by the gradient of the summed cross entropy with respect to them, times
/// `scale`, and returns that sum, times `scale`.
fn softmax_cross_entropy(logits: &mut [f32], labels: &[u8], scale: f32) -> f64 {
    let mut loss = 0.0;
    for (row, &label) in logits.chunks_exact_mut(CLASSES).zip(labels) {
        let label = usize::from(label);
        // The largest exponent becomes 0: no overflow, same quotient.
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|logit| *logit -= max);
        let of_label = f64::from(row[label]);
        row.iter_mut().for_each(|logit| *logit = logit.exp());
        let sum: f32 = row.iter().sum();
        loss += f64::from(sum).ln() - of_label;
        row.iter_mut().for_each(|probability| *probability *= scale / sum);
        row[label] -= scale;
    }
    loss * f64::from(scale)
}

fn largest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

/// Stochastic gradient descent with momentum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sgd {
    /// How far one step goes along the velocity.
    pub(crate) learning_rate: f32,
    /// How much of the velocity the next step keeps, in `0.0..1.0`.
    pub(crate) momentum: f32,
}

impl Sgd {
    /// One step: `velocity = momentum * velocity + gradient`, `values -= learning_rate * velocity`.
    pub(crate) fn step(&self, values: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        for ((value, velocity), gradient) in values.iter_mut().zip(velocity).zip(gradient) {
            *velocity = self.momentum * *velocity + gradient;
            *value -= self.learning_rate * *velocity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    const SGD: Sgd = Sgd { learning_rate: 0.1, momentum: 0.9 };

    fn initial() -> PerParam<Tensor> {
        Param::ALL.map(|param| Tensor::from_vec(param.initial(3), param.shape()).unwrap())
    }

    fn first(count: usize) -> Examples {
        Split::load(3).unwrap().train.select(&(0..count).collect::<Vec<usize>>())
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        const STEP: f32 = 1e-2;
        let batch = first(8);
        let scale = 1.0 / batch.len() as f32;
        let mut params = initial();
        // Half of the units far on, half far off: a difference across the kink of the ReLU means nothing.
        for (unit, bias) in params[1].as_mut_slice::<f32>().unwrap().iter_mut().enumerate() {
            *bias = if unit % 2 == 0 { 2.0 } else { -2.0 };
        }
        let gradients = Network::new(&params).unwrap().gradients(&batch, scale);
        for (at, param) in Param::ALL.into_iter().enumerate() {
            let analytic = &gradients.by_param[at];
            let loss_with = |place: usize, change: f32| {
                let mut params = params.clone();
                params[at].as_mut_slice::<f32>().unwrap()[place] += change;
                Network::new(&params).unwrap().gradients(&batch, scale).loss
            };
            let numeric: Vec<f64> = (0..analytic.len())
                .map(|place| (loss_with(place, STEP) - loss_with(place, -STEP)) / f64::from(2.0 * STEP))
                .collect();
            let off = analytic.iter().zip(&numeric).map(|(a, n)| (f64::from(*a) - n).powi(2)).sum::<f64>();
            let size = numeric.iter().map(|n| n.powi(2)).sum::<f64>();
            assert!(size > 0.0, "{param:?} has no gradient to compare");
            assert!((off / size).sqrt() < 5e-3, "{param:?}: relative error {}", (off / size).sqrt());
        }
    }

    #[test]
    fn gradients_of_two_halves_add_up_to_those_of_the_whole() {
        let whole = first(8);
        let params = initial();
        let network = Network::new(&params).unwrap();
        let halves = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|half| network.gradients(&whole.select(&half), 0.125));
        let expected = network.gradients(&whole, 0.125);
        assert!((halves[0].loss + halves[1].loss - expected.loss).abs() < 1e-9);
        for at in 0..Param::ALL.len() {
            for (place, whole) in expected.by_param[at].iter().enumerate() {
                let sum = halves[0].by_param[at][place] + halves[1].by_param[at][place];
                assert!((sum - whole).abs() < 1e-5, "{:?}[{place}]", Param::ALL[at]);
            }
        }
    }

    #[test]
    fn the_loss_goes_down_and_a_small_set_is_learnt_by_heart() {
        let batch = first(32);
        let mut params = initial();
        let mut velocity = Param::ALL.map(|param| vec![0.0; param.initial(0).len()]);
        let before = Network::new(&params).unwrap().gradients(&batch, 1.0 / 32.0).loss;
        for _ in 0..100 {
            let gradients = Network::new(&params).unwrap().gradients(&batch, 1.0 / 32.0);
            for (at, gradient) in gradients.by_param.iter().enumerate() {
                SGD.step(params[at].as_mut_slice().unwrap(), &mut velocity[at], gradient);
            }
        }
        let network = Network::new(&params).unwrap();
        let after = network.gradients(&batch, 1.0 / 32.0).loss;
        assert!(before > 1.5 && after < 0.05, "from {before} to {after}");
        assert_eq!(network.accuracy(&batch), 1.0);
    }

    #[test]
    fn a_loss_of_even_odds_is_ln_10_and_huge_logits_do_not_overflow() {
        let mut even = [0.0; CLASSES];
        assert!((softmax_cross_entropy(&mut even, &[4], 1.0) - 10.0_f64.ln()).abs() < 1e-6);
        assert!((even[4] + 0.9).abs() < 1e-6 && (even[0] - 0.1).abs() < 1e-6);
        let mut huge = [1e30; CLASSES];
        huge[0] = 3e38;
        assert_eq!(softmax_cross_entropy(&mut huge, &[0], 1.0), 0.0);
    }
}
