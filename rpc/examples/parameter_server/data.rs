//! The handwritten digits (`examples/data/README.md` says where they come from), split into two sets.

use std::io::Read;

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Pixels of an image: 8 rows of 8.
pub(crate) const PIXELS: usize = 64;
/// Classes: the digits 0 to 9.
pub(crate) const CLASSES: usize = 10;

/// Compiled in, so that the example runs from any directory and on any machine.
static DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");

/// Darkest value of a pixel in the file.
const PIXEL_MAX: f32 = 16.0;
/// One in so many images is for the test.
const TEST_ONE_IN: usize = 5;

/// Images and what they show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Examples {
    /// Shape `[len, PIXELS]`, row-major, each value in `0.0..=1.0`.
    pub(crate) images: Vec<f32>,
    /// Shape `[len]`, each below [`CLASSES`].
    pub(crate) labels: Vec<u8>,
}

impl Examples {
    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The examples at these places, in this order.
    ///
    /// # Panics
    /// If there is no such place.
    pub(crate) fn select(&self, places: &[usize]) -> Self {
        let mut selected = Self::default();
        for &at in places {
            selected.images.extend_from_slice(&self.images[at * PIXELS..(at + 1) * PIXELS]);
            selected.labels.push(self.labels[at]);
        }
        selected
    }
}

/// The two sets.
#[derive(Debug)]
pub(crate) struct Split {
    /// What the network learns from.
    pub(crate) train: Examples,
    /// What it is judged by and never sees before.
    pub(crate) test: Examples,
}

impl Split {
    /// The digits, shuffled by `seed`: one in five for the test, the others for training.
    pub(crate) fn load(seed: u64) -> anyhow::Result<Self> {
        let mut text = String::new();
        GzDecoder::new(DIGITS).read_to_string(&mut text).context("digits.csv.gz is damaged")?;
        let all = parse(&text)?;
        let mut order: Vec<usize> = (0..all.len()).collect();
        Rng::new(seed, 0).shuffle(&mut order);
        let (test, train) = order.split_at(all.len() / TEST_ONE_IN);
        Ok(Self { train: all.select(train), test: all.select(test) })
    }
}

/// One example a line: 64 pixels, then the label, separated by commas.
fn parse(text: &str) -> anyhow::Result<Examples> {
    let mut all = Examples::default();
    for (at, line) in text.lines().enumerate() {
        let fields = line.split(',').map(|field| field.trim().parse::<u8>());
        let fields = fields.collect::<Result<Vec<u8>, _>>().with_context(|| format!("line {}", at + 1))?;
        let [pixels @ .., label] = &fields[..] else { continue };
        ensure!(pixels.len() == PIXELS, "line {}: {} pixels, not {PIXELS}", at + 1, pixels.len());
        ensure!(usize::from(*label) < CLASSES, "line {}: {label} is no digit", at + 1);
        all.images.extend(pixels.iter().map(|pixel| f32::from(*pixel) / PIXEL_MAX));
        all.labels.push(*label);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_1797_digits_of_which_one_in_five_is_for_the_test() {
        let split = Split::load(1).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (1438, 359));
        for set in [&split.train, &split.test] {
            assert_eq!(set.images.len(), set.len() * PIXELS);
            assert!(set.images.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
            assert!((0..10).all(|digit| set.labels.contains(&digit)));
        }
    }

    #[test]
    fn a_split_depends_on_the_seed_alone() {
        let labels = |seed| Split::load(seed).unwrap().test.labels;
        assert_eq!(labels(1), labels(1));
        assert_ne!(labels(1), labels(2));
    }

    #[test]
    fn a_bad_line_is_named() {
        let zeros = "0,".repeat(PIXELS);
        assert_eq!(parse(&format!("{zeros}3\n")).unwrap().labels, [3]);
        for (bad, complaint) in [("1,2,3", "2 pixels"), ("x", "line 2"), (&format!("{zeros}10"), "no digit")]
        {
            let error = format!("{:#}", parse(&format!("{zeros}3\n{bad}\n")).unwrap_err());
            assert!(error.contains("line 2") && error.contains(complaint), "{error}");
        }
    }
}
