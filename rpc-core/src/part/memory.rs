//! [`Memory`]: an allocation aligned to [`PART_ALIGN`], and nothing more.

use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::{OutOfMemory, PART_ALIGN, pages};

/// Owns so many bytes, written to or not. None at all is an address that is aligned, too, so that an empty tensor has a
/// valid slice of its type.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns its allocation alone, gives references by the rules of borrowing, and bytes may be read and freed from
// any thread.
unsafe impl Send for Memory {}
// SAFETY: `&Memory` gives the address only.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) const EMPTY: Self = Self {
        start: NonNull::without_provenance(
            const { std::num::NonZeroUsize::new(PART_ALIGN).expect("an alignment is not zero") },
        ),
        len: 0,
    };

    pub(super) fn new(len: usize) -> Result<Self, OutOfMemory> {
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let layout = Layout::from_size_align(len, PART_ALIGN).map_err(|_| OutOfMemory { bytes: len })?;
        // SAFETY: `layout` has a size other than zero.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or(OutOfMemory { bytes: len })?;
        Ok(Self { start, len })
    }

    /// For what arrives in pieces: large pages, where it is large and the system has them.
    pub(super) fn for_bulk(len: usize) -> Result<Self, OutOfMemory> {
        let mut memory = Self::new(len)?;
        pages::prefer_large(memory.bytes_mut());
        Ok(memory)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// All of it, whether it was written to or not.
    pub(super) fn bytes_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the range is our allocation, or empty at an aligned address, and `&mut self` makes the borrow
        // exclusive. `MaybeUninit` needs no initialised bytes.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `new` with this very layout, and dropped once.
            unsafe { dealloc(self.start.as_ptr(), Layout::from_size_align_unchecked(self.len, PART_ALIGN)) };
        }
    }
}
