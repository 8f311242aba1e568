//! A function's name on the wire: 64 bits, hashed at compile time.

use std::fmt;

/// How many low bits are the hash of the signature; the others are the hash of the name.
const SIGNATURE_BITS: u32 = 24;

/// Stands for a function on the wire: 40 bits of its name's hash and 24 of its signature's.
///
/// The two halves let the callee tell "no such function" from "another signature". Two names of one
/// program whose hashes meet are refused when the [`FunctionTable`](crate::FunctionTable) is built: for
/// 1,000 functions the chance is below one in a million.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionId(u64);

impl FunctionId {
    /// The id of the function `name` with `signature`. White space in the signature does not count.
    pub const fn new(name: &str, signature: &str) -> Self {
        let name = fnv1a(name.as_bytes());
        let signature = fnv1a(signature.as_bytes());
        // The high bits of FNV depend on all input bytes; the low ones of short texts do not.
        Self((name >> SIGNATURE_BITS << SIGNATURE_BITS) | (signature >> (64 - SIGNATURE_BITS)))
    }

    /// The id as it stands in a header.
    pub const fn to_wire(self) -> u64 {
        self.0
    }

    /// The id that a header has.
    pub const fn from_wire(raw: u64) -> Self {
        Self(raw)
    }

    /// Whether `other` stands for a function of the same name, if perhaps with another signature.
    pub const fn same_name(self, other: Self) -> bool {
        self.name_bits() == other.name_bits()
    }

    /// What is equal for two functions of one name.
    pub(crate) const fn name_bits(self) -> u64 {
        self.0 >> SIGNATURE_BITS
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// 64-bit FNV-1a over everything but white space (<http://www.isthe.com/chongo/tech/comp/fnv/>), with a
/// final mix (from MurmurHash3) so that every bit depends on every byte.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_whitespace() {
            hash ^= bytes[at] as u64;
            hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        }
        at += 1;
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_signature_have_their_own_bits() {
        let add = FunctionId::new("app::add", "fn(f64, f64) -> f64");
        let spaced = FunctionId::new("app::add", "fn ( f64 , f64 ) -> f64");
        let other_signature = FunctionId::new("app::add", "fn(f32, f32) -> f32");
        let other_name = FunctionId::new("app::sub", "fn(f64, f64) -> f64");
        assert_eq!(add, spaced);
        assert!(add != other_signature && add.name_bits() == other_signature.name_bits());
        assert_ne!(add.name_bits(), other_name.name_bits());
    }

    #[test]
    fn ids_are_pinned_because_two_builds_must_agree() {
        // Computed with an independent implementation of FNV-1a and the mix.
        assert_eq!(fnv1a(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(fnv1a(b"a"), mix(0xaf63_dc4c_8601_ec8c));
        assert_eq!(fnv1a(b"foobar"), mix(0x8594_4171_f739_67e8));
    }

    /// The published FNV-1a test vectors, run through the mix.
    fn mix(fnv: u64) -> u64 {
        let hash = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^ (hash >> 33)
    }
}
