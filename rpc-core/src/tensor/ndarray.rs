//! Tensors from and to `ndarray`, sharing the bytes.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, ArrayViewMutD, Dimension, IxDyn, OwnedRepr};

use super::{Element, Tensor, TensorError};

impl<T: Element, D: Dimension> From<ArrayBase<OwnedRepr<T>, D>> for Tensor {
    /// Takes over the array's memory. Only an array that is not in row-major order, or that is a part of
    /// a larger allocation, is copied.
    fn from(array: ArrayBase<OwnedRepr<T>, D>) -> Self {
        let shape = array.shape().to_vec();
        let whole = array.is_standard_layout();
        let values = if whole {
            let len = array.len();
            let (mut values, offset) = array.into_raw_vec_and_offset();
            let offset = offset.unwrap_or(0);
            if offset > 0 {
                values.drain(..offset);
            }
            values.truncate(len);
            values
        } else {
            array.iter().copied().collect()
        };
        Self::from_vec(values, shape).expect("an array has as many elements as its shape says")
    }
}

impl Tensor {
    /// The tensor as an `ndarray` view of the same bytes.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] if the elements are not of type `T`.
    ///
    /// ```
    /// use rpc_core::Tensor;
    /// let tensor = Tensor::from(ndarray::array![[1.0_f32, 2.0], [3.0, 4.0]]); // shape [2, 2], no copy
    /// assert_eq!(tensor.view::<f32>()?.sum(), 10.0);
    /// # Ok::<(), rpc_core::TensorError>(())
    /// ```
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>, TensorError> {
        let shape = IxDyn(self.shape());
        Ok(ArrayViewD::from_shape(shape, self.as_slice()?).expect("the length was checked when made"))
    }

    /// As [`view`](Self::view), writable. Copies the bytes first if another tensor shares them.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] or [`TensorError::OutOfMemory`].
    pub fn view_mut<T: Element>(&mut self) -> Result<ArrayViewMutD<'_, T>, TensorError> {
        let shape = IxDyn(self.shape());
        let values = self.as_mut_slice()?;
        Ok(ArrayViewMutD::from_shape(shape, values).expect("the length was checked when made"))
    }

    /// A copy as an array of its own.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] if the elements are not of type `T`.
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>, TensorError> {
        Ok(self.view()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    #[test]
    fn an_array_is_taken_over_without_a_copy() {
        let array = Array2::from_shape_fn((2, 3), |(r, c)| (r * 3 + c) as f64);
        let address = array.as_ptr();
        let tensor = Tensor::from(array.clone());
        assert_ne!(tensor.part().as_ptr(), address.cast());
        let tensor = Tensor::from(array);
        assert_eq!(tensor.part().as_ptr(), address.cast());
        assert_eq!(tensor.view::<f64>().unwrap().as_ptr(), address);
    }

    #[test]
    fn transposed_and_sliced_arrays_keep_their_elements() {
        let array = Array2::from_shape_fn((2, 3), |(r, c)| (r * 3 + c) as i32);
        let transposed = Tensor::from(array.clone().reversed_axes());
        assert_eq!(
            (transposed.shape(), transposed.as_slice::<i32>().unwrap()),
            (&[3, 2][..], &[0, 3, 1, 4, 2, 5][..])
        );
        let lower = Tensor::from(array.slice_move(s![1.., ..]));
        assert_eq!(lower.as_slice::<i32>().unwrap(), [3, 4, 5]);
    }
}
