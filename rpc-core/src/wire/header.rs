//! The fixed header of every frame.

use crate::wire::frame;

/// Size of a header.
pub const HEADER_BYTES: usize = 32;

/// The fixed part of a frame.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | `payload_bytes` |
/// | 4 | 2 | `part_count` |
/// | 6 | 1 | `kind` |
/// | 7 | 1 | `codec` |
/// | 8 | 8 | `call` |
/// | 16 | 8 | `method` |
/// | 24 | 8 | `budget_us` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload.
    pub payload_bytes: u32,
    /// Number of parts.
    pub part_count: u16,
    /// A kind of [`frame`], or that of a request ([`Kind`](crate::Kind)) from 0x10 up.
    pub kind: u8,
    /// Codec of the payload; 0 for none.
    pub codec: u8,
    /// The call that this frame belongs to, chosen by the caller; 0 in handshake frames.
    pub call: u64,
    /// In requests what is called, in replies the [`Outcome`](crate::Outcome), else 0.
    pub method: u64,
    /// In requests and deadline frames the time left in microseconds, 0 for ever; else 0.
    pub budget_us: u64,
}

impl Header {
    /// A header without a body.
    pub const fn control(kind: u8, call: u64) -> Self {
        Self { payload_bytes: 0, part_count: 0, kind, codec: 0, call, method: 0, budget_us: 0 }
    }

    /// Whether this frame may overtake others: replies do, so that they are never stuck behind requests.
    ///
    /// Cancels and deadlines are not urgent, because they must not overtake their own request.
    pub const fn is_urgent(&self) -> bool {
        self.kind == frame::REPLY
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.part_count.to_le_bytes());
        bytes[6] = self.kind;
        bytes[7] = self.codec;
        bytes[8..16].copy_from_slice(&self.call.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.method.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.budget_us.to_le_bytes());
        bytes
    }

    /// The kind of a header that has not been read: enough to tell whose it is.
    #[inline]
    pub const fn kind_in(bytes: &[u8; HEADER_BYTES]) -> u8 {
        bytes[6]
    }

    /// Reads a header; any 32 bytes are one, so the limits and the engine decide what it is worth.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        let u64_at = |at: usize| {
            u64::from_le_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
                bytes[at + 4],
                bytes[at + 5],
                bytes[at + 6],
                bytes[at + 7],
            ])
        };
        Self {
            payload_bytes: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            part_count: u16::from_le_bytes([bytes[4], bytes[5]]),
            kind: bytes[6],
            codec: bytes[7],
            call: u64_at(8),
            method: u64_at(16),
            budget_us: u64_at(24),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let header = Header {
            payload_bytes: 0x0403_0201,
            part_count: 0x0605,
            kind: 0x07,
            codec: 0x08,
            call: 0x100f_0e0d_0c0b_0a09,
            method: 0x1817_1615_1413_1211,
            budget_us: 0x201f_1e1d_1c1b_1a19,
        };
        let counting: [u8; HEADER_BYTES] = std::array::from_fn(|at| at as u8 + 1);
        assert_eq!(header.to_bytes(), counting);
    }

    proptest! {
        #[test]
        fn every_32_bytes_are_a_header_and_survive(bytes in any::<[u8; HEADER_BYTES]>()) {
            prop_assert_eq!(Header::from_bytes(&bytes).to_bytes(), bytes);
        }
    }
}
