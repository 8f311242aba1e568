//! Bulk bytes that travel beside a message instead of inside it.

mod memory;
mod pages;
mod pool;

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;

use self::memory::Memory;
use self::pool::Home;
pub use self::pool::PartPool;

/// Alignment of every part that this framework allocates: one cache line, enough for any SIMD load.
pub const PART_ALIGN: usize = 64;

/// The system has no memory for a part of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a part of {bytes} bytes")]
pub struct OutOfMemory {
    /// Size that was asked for, in bytes.
    pub bytes: usize,
}

/// A buffer of fixed capacity, aligned to [`PART_ALIGN`], that is filled once and then [frozen].
///
/// A large buffer is address space until it is written to, so a peer that announces much and sends
/// little costs little.
///
/// [frozen]: Self::freeze
pub struct PartBuf {
    memory: Memory,
    /// How much of the memory there is to fill.
    capacity: usize,
    /// Bytes from the start that are initialised; at most `capacity`.
    filled: usize,
    /// Where the memory goes afterwards, if not back to the system.
    home: Option<Home>,
}

impl PartBuf {
    /// An empty buffer for `capacity` bytes.
    ///
    /// # Errors
    /// [`OutOfMemory`] instead of an abort, because the size often comes from a peer.
    pub fn with_capacity(capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { memory: Memory::new(capacity)?, capacity, filled: 0, home: None })
    }

    /// As [`with_capacity`](Self::with_capacity), in large pages where that pays.
    pub(crate) fn for_bulk(capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { memory: Memory::for_bulk(capacity)?, capacity, filled: 0, home: None })
    }

    /// A full buffer of zeros.
    ///
    /// # Errors
    /// [`OutOfMemory`], as for [`with_capacity`](Self::with_capacity).
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let mut buf = Self::with_capacity(len)?;
        buf.spare_capacity_mut().fill(MaybeUninit::new(0));
        // SAFETY: the line above wrote every byte.
        unsafe { buf.advance(len) };
        Ok(buf)
    }

    /// A full buffer with a copy of `bytes`.
    ///
    /// # Errors
    /// [`OutOfMemory`], as for [`with_capacity`](Self::with_capacity).
    pub fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        let mut buf = Self::with_capacity(bytes.len())?;
        buf.extend_from_slice(bytes);
        Ok(buf)
    }

    /// Capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether every byte of the capacity has been written.
    pub fn is_full(&self) -> bool {
        self.filled == self.capacity
    }

    /// The rest, to be read into.
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.memory.bytes_mut()[self.filled..self.capacity]
    }

    /// Counts `len` more bytes as written.
    ///
    /// # Safety
    /// The first `len` bytes of [`spare_capacity_mut`](Self::spare_capacity_mut) are initialised.
    ///
    /// # Panics
    /// If fewer than `len` bytes are left.
    pub unsafe fn advance(&mut self, len: usize) {
        assert!(len <= self.capacity - self.filled, "advanced past the end of a part");
        self.filled += len;
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let spare = &mut self.spare_capacity_mut()[..bytes.len()];
        spare.write_copy_of_slice(bytes);
        // SAFETY: the line above wrote them.
        unsafe { self.advance(bytes.len()) };
    }

    /// The bytes written so far.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let filled = &mut self.memory.bytes_mut()[..self.filled];
        // SAFETY: the first `filled` bytes are initialised.
        unsafe { filled.assume_init_mut() }
    }

    /// Ends the filling; what was written becomes a shareable part.
    pub fn freeze(self) -> Part {
        Part { len: self.filled, offset: 0, storage: Arc::new(Storage::Aligned(self)) }
    }
}

impl Deref for PartBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes are initialised and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.filled) }
    }
}

impl Drop for PartBuf {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::replace(&mut self.memory, Memory::EMPTY));
        }
    }
}

/// Shared, cheaply cloned bulk bytes.
///
/// What [`PartBuf`] made is aligned to [`PART_ALIGN`]; what came from a `Vec` keeps the `Vec`'s
/// alignment, which is that of its element type at least.
///
/// ```
/// use rpc_core::Part;
/// let part = Part::from_vec(vec![1.0_f32, 2.0]); // takes the vector, copies nothing
/// assert_eq!(part.len(), 8);
/// ```
#[derive(Clone)]
pub struct Part {
    storage: Arc<Storage>,
    offset: usize,
    len: usize,
}

enum Storage {
    Aligned(PartBuf),
    Adopted(Box<dyn Bulk>),
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Aligned(buf) => buf,
            Self::Adopted(bulk) => bulk.bytes(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Aligned(buf) => buf.filled_mut(),
            Self::Adopted(bulk) => bulk.bytes_mut(),
        }
    }
}

/// Memory of somebody else's that a [`Part`] keeps alive.
trait Bulk: Send + Sync {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl<T: Pod + Send + Sync> Bulk for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self)
    }
}

impl Part {
    /// Takes over a vector's memory without copying it.
    pub fn from_vec<T: Pod + Send + Sync>(values: Vec<T>) -> Self {
        let len = size_of_val(values.as_slice());
        Self { storage: Arc::new(Storage::Adopted(Box::new(values))), offset: 0, len }
    }

    /// The bytes, writable: in place if nobody else holds them, else as a fresh copy.
    ///
    /// # Errors
    /// [`OutOfMemory`] if a copy was needed and did not fit.
    pub fn make_mut(&mut self) -> Result<&mut [u8], OutOfMemory> {
        if Arc::get_mut(&mut self.storage).is_none() {
            *self = PartBuf::copy_of(self)?.freeze();
        }
        let storage = Arc::get_mut(&mut self.storage).expect("just seen or made unique");
        Ok(&mut storage.bytes_mut()[self.offset..self.offset + self.len])
    }

    /// A view of `range`, sharing the bytes.
    ///
    /// # Panics
    /// If `range` is out of bounds.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "slice out of bounds");
        Self {
            storage: Arc::clone(&self.storage),
            offset: self.offset + range.start,
            len: range.end - range.start,
        }
    }
}

impl Deref for Part {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.storage.bytes()[self.offset..self.offset + self.len]
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} B)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_frozen_bytes_are_those_written() {
        for len in [0, 1, 63, 64, 65, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let part = PartBuf::copy_of(&bytes).unwrap().freeze();
            assert_eq!(part.as_ptr() as usize % PART_ALIGN, 0);
            assert_eq!(&*part, &bytes[..]);
        }
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        assert!(PartBuf::with_capacity(usize::MAX).is_err());
        assert!(PartBuf::with_capacity(1 << 60).is_err());
    }

    #[test]
    fn writing_to_a_shared_part_leaves_the_other_holder_alone() {
        let mut mine = Part::from_vec(vec![1_u32, 2]);
        let address = mine.as_ptr();
        mine.make_mut().unwrap()[0] = 9;
        assert_eq!(mine.as_ptr(), address, "unshared: in place");
        let theirs = mine.clone();
        mine.make_mut().unwrap()[0] = 7;
        assert_eq!((mine[0], theirs[0]), (7, 9));
    }

    #[test]
    fn a_slice_shares_and_stays_in_bounds() {
        let part = Part::from_vec(vec![0_u8, 1, 2, 3, 4]);
        let middle = part.slice(1..4).slice(1..3);
        assert_eq!(&*middle, [2, 3]);
        assert_eq!(middle.as_ptr(), part[2..].as_ptr());
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn a_slice_past_the_end_panics() {
        Part::from_vec(vec![0_u8; 5]).slice(3..6);
    }
}
