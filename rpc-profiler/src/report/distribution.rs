//! [`Distribution`]: how long something took, many times over.

use serde::Serialize;

/// What is known of many durations, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Distribution {
    pub(super) count: usize,
    pub(super) sum: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
    pub(super) buckets: Vec<Bucket>,
}

/// Durations of at least the first and less than the second, and how many of those there are.
pub(super) type Bucket = (u64, u64, u64);

impl Distribution {
    /// That of `durations`, whose order is lost; `None` if there are none.
    pub(super) fn of(mut durations: Vec<u64>) -> Option<Self> {
        let max = *durations.iter().max()?;
        let sum = durations.iter().fold(0, |sum: u64, ns| sum.saturating_add(*ns));
        let buckets = buckets(&durations);
        let (p50, p99) = (percentile(&mut durations, 50), percentile(&mut durations, 99));
        Some(Self { count: durations.len(), sum, p50, p99, max, buckets })
    }
}

/// The smallest duration that `percent` of all do not exceed: one that was measured, nothing in between.
fn percentile(durations: &mut [u64], percent: usize) -> u64 {
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    *durations.select_nth_unstable(rank - 1).1
}

/// Those that are not empty, from the shortest. Four to an octave, so that each is at most a quarter wide of where it begins.
fn buckets(durations: &[u64]) -> Vec<Bucket> {
    let mut counts = [0; BUCKETS];
    for ns in durations {
        counts[index(*ns)] += 1;
    }
    let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    filled.map(|(index, count)| (begin(index), begin(index + 1), *count)).collect()
}

const BUCKETS: usize = 252;

fn index(ns: u64) -> usize {
    if ns < 4 {
        return ns as usize;
    }
    let octave = ns.ilog2();
    let quarter = (ns >> (octave - 2)) & 3;
    (octave as usize - 1) * 4 + quarter as usize
}

fn begin(index: usize) -> u64 {
    match index {
        0..4 => index as u64,
        4..BUCKETS => (4 + index as u64 % 4) << (index / 4 - 1),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let of_ten = Distribution::of((1..=10).map(|ns| ns * 100).collect()).unwrap();
        assert_eq!((of_ten.p50, of_ten.p99, of_ten.max), (500, 1000, 1000));

        let of_two_hundred = Distribution::of((1..=200).rev().collect()).unwrap();
        assert_eq!((of_two_hundred.p50, of_two_hundred.p99, of_two_hundred.max), (100, 198, 200));
        assert_eq!((of_two_hundred.count, of_two_hundred.sum), (200, 20_100));
    }

    #[test]
    fn one_duration_is_its_own_percentiles_and_none_has_none() {
        let one = Distribution { count: 1, sum: 7, p50: 7, p99: 7, max: 7, buckets: vec![(7, 8, 1)] };
        assert_eq!(Distribution::of(vec![7]), Some(one));
        assert_eq!(Distribution::of(Vec::new()), None);
    }

    #[test]
    fn an_octave_has_four_buckets() {
        let distribution =
            Distribution::of(vec![1000, 1023, 1024, 1279, 1280, 1536, 1792, 2047, 2048]).unwrap();
        let expected = [
            (896, 1024, 2),
            (1024, 1280, 2),
            (1280, 1536, 1),
            (1536, 1792, 1),
            (1792, 2048, 2),
            (2048, 2560, 1),
        ];
        assert_eq!(distribution.buckets, expected);
    }

    #[test]
    fn the_longest_possible_duration_has_a_bucket() {
        assert_eq!(Distribution::of(vec![u64::MAX]).unwrap().buckets, [(7 << 61, u64::MAX, 1)]);
    }

    proptest! {
        #[test]
        fn each_duration_is_in_one_bucket(durations in vec(any::<u64>().prop_map(|ns| ns >> (ns % 64)), 1..200)) {
            let distribution = Distribution::of(durations.clone()).unwrap();
            prop_assert_eq!(distribution.buckets.iter().map(|bucket| bucket.2).sum::<u64>(), durations.len() as u64);
            for (begin, end, count) in distribution.buckets {
                let inside = durations.iter().filter(|ns| (begin..end).contains(ns) || **ns == u64::MAX && end == u64::MAX);
                prop_assert_eq!(inside.count() as u64, count);
            }
        }

        #[test]
        fn a_bucket_is_at_most_a_quarter_wide(ns in 4_u64..=u64::MAX >> 1) {
            let (begin, end) = (begin(index(ns)), begin(index(ns) + 1));
            prop_assert!((begin..end).contains(&ns) && end - begin <= begin / 4);
        }
    }
}
