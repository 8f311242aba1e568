//! [`Distribution`]: how long something took, many times over.
//!
//! Durations are seen twice and never kept, but for a few: first they are counted into buckets, which tell in which of these a
//! percentile is; then those of that bucket are put in order.

use serde::Serialize;

/// What is known of many durations, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Distribution {
    pub(super) count: u64,
    pub(super) sum: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
    pub(super) buckets: Vec<Bucket>,
}

/// Durations of at least the first and less than the second, and how many of those there are.
pub(super) type Bucket = (u64, u64, u64);

/// Durations that are seen for the first time.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    buckets: Box<[u64; BUCKETS]>,
    sum: u64,
    max: u64,
}

/// And for the second time.
#[derive(Debug)]
pub(super) struct Percentiles {
    counts: Counts,
    p50: Percentile,
    p99: Percentile,
}

/// The smallest duration that so many percent do not exceed: one that was measured, nothing in between.
#[derive(Debug)]
struct Percentile {
    bucket: usize,
    /// Its place among those of its bucket, in order.
    place: usize,
    of_bucket: Vec<u64>,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), sum: 0, max: 0 }
    }

    pub(super) fn add(&mut self, ns: u64) {
        self.buckets[index(ns)] += 1;
        self.sum = self.sum.saturating_add(ns);
        self.max = self.max.max(ns);
    }

    /// To see the same durations again. `None` if there were none.
    pub(super) fn again(self) -> Option<Percentiles> {
        let [p50, p99] = [50, 99].map(|percent| self.percentile(percent));
        Some(Percentiles { p50: p50?, p99: p99?, counts: self })
    }

    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn percentile(&self, percent: u64) -> Option<Percentile> {
        let mut place = u128::from(self.count()).checked_mul(percent.into())?.div_ceil(100).checked_sub(1)?;
        let bucket = self.buckets.iter().position(|count| match place.checked_sub((*count).into()) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        })?;
        Some(Percentile { bucket, place: usize::try_from(place).ok()?, of_bucket: Vec::new() })
    }

    /// Those that are not empty, from the shortest.
    fn filled(&self) -> Vec<Bucket> {
        let filled = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (begin(index), begin(index + 1), *count)).collect()
    }
}

impl Percentiles {
    pub(super) fn add(&mut self, ns: u64) {
        let bucket = index(ns);
        for percentile in [&mut self.p50, &mut self.p99] {
            if percentile.bucket == bucket {
                percentile.of_bucket.push(ns);
            }
        }
    }

    /// What has come out. `None` if the durations were not the same as the first time.
    pub(super) fn finish(self) -> Option<Distribution> {
        let Self { counts, p50, p99 } = self;
        Some(Distribution {
            count: counts.count(),
            sum: counts.sum,
            p50: p50.finish()?,
            p99: p99.finish()?,
            max: counts.max,
            buckets: counts.filled(),
        })
    }
}

impl Percentile {
    fn finish(mut self) -> Option<u64> {
        (self.place < self.of_bucket.len()).then(|| *self.of_bucket.select_nth_unstable(self.place).1)
    }
}

/// Four buckets to an octave, so that each is at most a quarter wide of where it begins.
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

    fn distribution(durations: impl IntoIterator<Item = u64> + Clone) -> Option<Distribution> {
        let mut counts = Counts::new();
        durations.clone().into_iter().for_each(|ns| counts.add(ns));
        let mut percentiles = counts.again()?;
        durations.into_iter().for_each(|ns| percentiles.add(ns));
        percentiles.finish()
    }

    #[test]
    fn percentiles_are_durations_that_were_measured() {
        let of_ten = distribution((1..=10).map(|ns| ns * 100)).unwrap();
        assert_eq!((of_ten.p50, of_ten.p99, of_ten.max), (500, 1000, 1000));

        let of_two_hundred = distribution((1..=200).rev()).unwrap();
        assert_eq!((of_two_hundred.p50, of_two_hundred.p99, of_two_hundred.max), (100, 198, 200));
        assert_eq!((of_two_hundred.count, of_two_hundred.sum), (200, 20_100));
    }

    #[test]
    fn one_duration_is_its_own_percentiles_and_none_has_none() {
        let one = Distribution { count: 1, sum: 7, p50: 7, p99: 7, max: 7, buckets: vec![(7, 8, 1)] };
        assert_eq!(distribution([7]), Some(one));
        assert_eq!(distribution([]), None);
    }

    #[test]
    fn an_octave_has_four_buckets() {
        let distribution = distribution([1000, 1023, 1024, 1279, 1280, 1536, 1792, 2047, 2048]).unwrap();
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
        assert_eq!(distribution([u64::MAX]).unwrap().buckets, [(7 << 61, u64::MAX, 1)]);
    }

    proptest! {
        #[test]
        fn each_duration_is_in_one_bucket(durations in vec(any::<u64>().prop_map(|ns| ns >> (ns % 64)), 1..200)) {
            let distribution = distribution(durations.clone()).unwrap();
            prop_assert_eq!(distribution.buckets.iter().map(|bucket| bucket.2).sum::<u64>(), durations.len() as u64);
            for (begin, end, count) in distribution.buckets {
                let is_inside = |ns: &&u64| (begin..end).contains(*ns) || **ns == u64::MAX && end == u64::MAX;
                prop_assert_eq!(durations.iter().filter(is_inside).count() as u64, count);
            }
        }

        #[test]
        fn percentiles_are_those_of_a_full_sort(mut durations in vec(0_u64..3_000, 1..300)) {
            let distribution = distribution(durations.clone()).unwrap();
            durations.sort_unstable();
            let percentile = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
            prop_assert_eq!((distribution.p50, distribution.p99), (percentile(50), percentile(99)));
        }

        #[test]
        fn a_bucket_is_at_most_a_quarter_wide(ns in 4_u64..=u64::MAX >> 1) {
            let (begin, end) = (begin(index(ns)), begin(index(ns) + 1));
            prop_assert!((begin..end).contains(&ns) && end - begin <= begin / 4);
        }
    }
}
