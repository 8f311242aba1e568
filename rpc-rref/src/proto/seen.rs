//! [`Seen`]: which numbers of a sequence have come.

use std::collections::VecDeque;

/// Which numbers of a sequence without gaps have come, in any order.
///
/// One bit for each number between the first that has not come and the last that has; all below are one
/// count. [`insert`](Self::insert) refuses numbers too far ahead, which bounds that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    /// All numbers below this multiple of 64 have come.
    base: u64,
    /// Bit `i` of word `w` stands for `base + 64 * w + i`. The first word is not full, the last is not empty.
    words: VecDeque<u64>,
}

/// A number is further ahead than its sender may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFar;

impl Seen {
    /// Notes `number`. False if it was noted before.
    ///
    /// # Errors
    /// [`TooFar`] if it is `window` or more ahead of the first that has not come.
    pub(super) fn insert(&mut self, number: u64, window: u64) -> Result<bool, TooFar> {
        if self.contains(number) {
            return Ok(false);
        }
        if !self.is_within(number, window) {
            return Err(TooFar);
        }
        let offset = number - self.base;
        let (word, bit) = ((offset / 64) as usize, offset % 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.base += 64;
        }
        Ok(true)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let Some(offset) = number.checked_sub(self.base) else { return true };
        let word = usize::try_from(offset / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word >> (offset % 64) & 1 == 1)
    }

    /// Whether `number` is less than `window` ahead of the first that has not come.
    pub(super) fn is_within(&self, number: u64, window: u64) -> bool {
        number.checked_sub(self.first_missing()).is_none_or(|ahead| ahead < window)
    }

    /// The first number that has not come.
    pub(super) fn first_missing(&self) -> u64 {
        self.base + self.words.front().map_or(0, |word| u64::from(word.trailing_ones()))
    }

    /// How many have come after the first that has not.
    #[cfg(test)]
    pub(super) fn out_of_order(&self) -> u64 {
        let ones: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        u64::from(ones) - (self.first_missing() - self.base)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_that_refuses_what_is_far_ahead(numbers in prop::collection::vec(0..300_u64, 0..400)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                let first_missing = (0..).find(|number| !set.contains(number)).unwrap();
                prop_assert_eq!(seen.first_missing(), first_missing);
                if number >= first_missing + 100 {
                    prop_assert_eq!(seen.insert(number, 100), Err(TooFar));
                } else {
                    prop_assert_eq!(seen.insert(number, 100), Ok(set.insert(number)));
                }
                prop_assert!((0..400).all(|number| seen.contains(number) == set.contains(&number)));
            }
        }
    }

    #[test]
    fn numbers_in_order_take_no_memory() {
        let mut seen = Seen::default();
        for number in 0..1_000 {
            seen.insert(number, 1).unwrap();
            assert!(seen.words.len() <= 1);
        }
        assert_eq!((seen.first_missing(), seen.out_of_order()), (1_000, 0));
    }

    #[test]
    fn the_largest_number_is_refused_and_not_there() {
        let mut seen = Seen::default();
        assert_eq!(seen.insert(u64::MAX, 1 << 24), Err(TooFar));
        assert!(!seen.contains(u64::MAX));
    }
}
