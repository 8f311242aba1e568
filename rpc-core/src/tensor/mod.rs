//! [`Tensor`]: a dense, row-major array whose bytes travel beside the message.

mod dtype;
#[cfg(feature = "ndarray")]
mod ndarray;
mod serial;

use std::fmt;

pub use self::dtype::{Dtype, Element};
use crate::part::{OutOfMemory, Part, PartBuf};

/// A dense, row-major array: dtype, shape, and shared bytes.
///
/// Cloning shares the bytes; [`as_mut_slice`](Self::as_mut_slice) copies them first if they are shared.
/// Anywhere inside the arguments or the result of a call the bytes travel as an out-of-band part: they
/// are never copied into the payload, and arrive aligned to [`PART_ALIGN`](crate::PART_ALIGN). Serialised
/// elsewhere (into a file, say), the bytes are written in line, in native (little-endian) order.
///
/// ```
/// use rpc_core::Tensor;
/// let t = Tensor::from_vec(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3])?; // shape [2, 3], f32
/// assert_eq!(t.shape(), [2, 3]);
/// assert_eq!(t.as_slice::<f32>()?[4], 5.0);
/// assert!(t.as_slice::<f64>().is_err());
/// # Ok::<(), rpc_core::TensorError>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    dtype: Dtype,
    shape: Box<[usize]>,
    /// Exactly `product(shape) * dtype.size()` bytes, aligned for `dtype`.
    data: Part,
}

impl Tensor {
    /// Takes over `values`, copying nothing. A `shape` of `[]` is a scalar.
    ///
    /// # Errors
    /// [`TensorError::Length`] if `shape` does not have as many elements as `values`.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl AsRef<[usize]>) -> Result<Self, TensorError> {
        Self::from_part(T::DTYPE, shape.as_ref(), Part::from_vec(values))
    }

    /// Copies `values` into fresh, aligned memory.
    ///
    /// # Errors
    /// [`TensorError::Length`] if `shape` does not have as many elements as `values`;
    /// [`TensorError::OutOfMemory`].
    pub fn from_slice<T: Element>(values: &[T], shape: impl AsRef<[usize]>) -> Result<Self, TensorError> {
        let data = PartBuf::copy_of(bytemuck::cast_slice(values))?.freeze();
        Self::from_part(T::DTYPE, shape.as_ref(), data)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] or [`TensorError::OutOfMemory`] if it cannot be held.
    pub fn zeros(dtype: Dtype, shape: impl AsRef<[usize]>) -> Result<Self, TensorError> {
        let bytes = len_bytes(dtype, shape.as_ref())?;
        Self::from_part(dtype, shape.as_ref(), PartBuf::zeroed(bytes)?.freeze())
    }

    /// A tensor over bytes that are there already.
    ///
    /// # Errors
    /// [`TensorError::Length`] if `data` has another length than `shape` of `dtype`;
    /// [`TensorError::OutOfMemory`] if `data` was not aligned for `dtype` and could not be copied.
    pub fn from_part(dtype: Dtype, shape: &[usize], data: Part) -> Result<Self, TensorError> {
        let expected = len_bytes(dtype, shape)?;
        if data.len() != expected {
            return Err(TensorError::Length { shape: shape.into(), dtype, expected, got: data.len() });
        }
        let aligned = (data.as_ptr() as usize).is_multiple_of(dtype.size());
        let data = if aligned { data } else { PartBuf::copy_of(&data)?.freeze() };
        Ok(Self { dtype, shape: shape.into(), data })
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The extent of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// Whether some dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes.
    pub fn part(&self) -> &Part {
        &self.data
    }

    /// The same bytes in another shape.
    ///
    /// # Errors
    /// [`TensorError::Length`] if the number of elements differs.
    pub fn reshape(self, shape: impl AsRef<[usize]>) -> Result<Self, TensorError> {
        Self::from_part(self.dtype, shape.as_ref(), self.data)
    }

    /// The elements, row by row.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] if they are not of type `T`.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        self.expect_dtype::<T>()?;
        Ok(bytemuck::cast_slice(&self.data))
    }

    /// The elements, writable. Copies them first if another tensor shares them.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] if they are not of type `T`; [`TensorError::OutOfMemory`].
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        self.expect_dtype::<T>()?;
        Ok(bytemuck::cast_slice_mut(self.data.make_mut()?))
    }

    fn expect_dtype<T: Element>(&self) -> Result<(), TensorError> {
        if self.dtype == T::DTYPE {
            Ok(())
        } else {
            Err(TensorError::Dtype { is: self.dtype, wanted: T::DTYPE })
        }
    }
}

/// Size of a tensor in bytes, for shapes that may come from a peer.
fn len_bytes(dtype: Dtype, shape: &[usize]) -> Result<usize, TensorError> {
    // Without the zeros, as `ndarray` counts: no shape may overflow, not even that of an empty tensor.
    let bytes = shape
        .iter()
        .filter(|extent| **extent > 0)
        .try_fold(dtype.size(), |bytes, extent| bytes.checked_mul(*extent))
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or_else(|| TensorError::TooLarge { dtype, shape: shape.into() })?;
    Ok(if shape.contains(&0) { 0 } else { bytes })
}

impl PartialEq for Tensor {
    /// Same dtype, shape and bytes (so that NaN equals itself and 0.0 differs from -0.0).
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && *self.data == *other.data
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}{:?})", self.dtype, self.shape)
    }
}

/// Why a tensor could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The bytes do not fill the shape.
    #[error("shape {shape:?} of {dtype} has {expected} bytes, the data {got}")]
    Length {
        /// Shape that was asked for.
        shape: Box<[usize]>,
        /// Element type.
        dtype: Dtype,
        /// Bytes that the shape has.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// The elements are of another type.
    #[error("the tensor holds {is}, not {wanted}")]
    Dtype {
        /// What it holds.
        is: Dtype,
        /// What was asked for.
        wanted: Dtype,
    },
    /// No machine can hold this shape.
    #[error("shape {shape:?} of {dtype} is larger than memory can be")]
    TooLarge {
        /// Element type.
        dtype: Dtype,
        /// Shape that was asked for.
        shape: Box<[usize]>,
    },
    /// This machine cannot hold it now.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked_without_overflow() {
        assert!(matches!(Tensor::from_vec(vec![1_u8; 5], [2, 3]), Err(TensorError::Length { .. })));
        assert!(matches!(Tensor::zeros(Dtype::F64, [usize::MAX, 2]), Err(TensorError::TooLarge { .. })));
        assert_eq!(Tensor::from_vec(vec![7_i64], []).unwrap().shape(), [0_usize; 0]);
        assert!(Tensor::zeros(Dtype::F32, [0, 9]).unwrap().as_slice::<f32>().unwrap().is_empty());
    }

    #[test]
    fn a_misaligned_part_is_copied_to_where_its_elements_can_be_read() {
        let bytes = Part::from_vec(vec![0_u8; 12]);
        let odd =
            if (bytes.as_ptr() as usize).is_multiple_of(4) { bytes.slice(1..9) } else { bytes.slice(0..8) };
        let tensor = Tensor::from_part(Dtype::F32, &[2], odd).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn writing_to_a_clone_leaves_the_original() {
        let original = Tensor::from_vec(vec![1.0_f32, 2.0], [2]).unwrap();
        let mut copy = original.clone();
        copy.as_mut_slice::<f32>().unwrap()[0] = 5.0;
        assert_eq!(original.as_slice::<f32>().unwrap(), [1.0, 2.0]);
        assert_ne!(original, copy);
    }
}
