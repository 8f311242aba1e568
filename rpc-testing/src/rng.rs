//! A seeded generator, so that a run with chance in it can be repeated.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): tiny, and good enough to decide which frames suffer.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with this probability; 0 is never and 1 is always.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // The upper 53 bits: as many as an `f64` holds exactly.
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// A duration of whole microseconds in `least..=most`.
    pub(crate) fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.next_u64() % span.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_sequence_and_another_seed_gives_another() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chances_and_durations_keep_to_their_bounds() {
        let mut rng = Rng::new(1);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits} of 10000");
        assert!((0..100).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
        let (least, most) = (Duration::from_micros(5), Duration::from_micros(7));
        let drawn: Vec<u128> = (0..100).map(|_| rng.duration(least, most).as_micros()).collect();
        assert!(drawn.iter().all(|us| (5..=7).contains(us)) && drawn.contains(&5) && drawn.contains(&7));
    }
}
