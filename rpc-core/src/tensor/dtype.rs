//! Element types of tensors.

use std::fmt;

use bytemuck::Pod;
use half::{bf16, f16};

/// The element type of a tensor. The numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Dtype {
    /// `f32`
    F32 = 0,
    /// `f64`
    F64 = 1,
    /// `half::f16`
    F16 = 2,
    /// `half::bf16`
    BF16 = 3,
    /// `i8`
    I8 = 4,
    /// `i16`
    I16 = 5,
    /// `i32`
    I32 = 6,
    /// `i64`
    I64 = 7,
    /// `u8`
    U8 = 8,
    /// `u16`
    U16 = 9,
    /// `u32`
    U32 = 10,
    /// `u64`
    U64 = 11,
}

impl Dtype {
    const ALL: [Self; 12] = [
        Self::F32,
        Self::F64,
        Self::F16,
        Self::BF16,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
    ];

    /// Size of one element in bytes; also its alignment.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The dtype with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
        })
    }
}

/// A Rust type that can be a tensor's element.
///
/// Sealed: the set is what [`Dtype`] names, because the other side must know the type by its number.
pub trait Element: Pod + Send + Sync + sealed::Sealed {
    /// The dtype of this type.
    const DTYPE: Dtype;
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),+ $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )+};
}

elements! {
    f32 => F32, f64 => F64, f16 => F16, bf16 => BF16,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_the_wire_are_positions() {
        for (at, dtype) in Dtype::ALL.into_iter().enumerate() {
            assert_eq!(dtype as usize, at);
            assert_eq!(Dtype::from_wire(at as u8), Some(dtype));
        }
        assert_eq!(Dtype::from_wire(12), None);
    }
}
