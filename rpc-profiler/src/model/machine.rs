//! [`MachineId`]: whose clock a worker reads.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// A machine, as long as it is not started anew: its workers all read one clock. A hash, so that two machines have the
/// same one in one of four billion cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(NonZeroU32);

impl MachineId {
    /// The machine that `words` are of no other one.
    pub fn of(words: &[u8]) -> Self {
        // FNV-1a, whose low bits are as good as the high ones once they are folded.
        let hash = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(NonZeroU32::new((hash >> 32) as u32 ^ hash as u32).unwrap_or(NonZeroU32::MAX)) // folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_apart() {
        let ids: std::collections::HashSet<_> =
            (0..10_000_u32).map(|n| MachineId::of(&n.to_le_bytes())).collect();
        assert!(ids.len() >= 9_999, "{} of 10,000", ids.len());
        assert_eq!(MachineId::of(b"this"), MachineId::of(b"this"));
    }
}
