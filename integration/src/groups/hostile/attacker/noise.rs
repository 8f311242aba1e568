//! [`Noise`]: bytes without a meaning, the same ones in every run.

/// A xorshift generator.
pub(in super::super) struct Noise(pub(in super::super) u64);

impl Noise {
    /// The next `length` bytes.
    pub(in super::super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 32) as u8
        })
        .take(length)
        .collect()
    }
}
