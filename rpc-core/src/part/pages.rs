//! Large memory in large pages.

use std::mem::MaybeUninit;

/// Memory from this size on is asked for in large pages.
#[cfg(target_os = "linux")]
const LARGE_MIN: usize = 4 << 20;
/// The advice has to begin at the start of a page. Systems whose smallest page is larger than this one
/// refuse it, and need it less.
#[cfg(target_os = "linux")]
const PAGE_BYTES: usize = 4 << 10;

/// Advises the system to back `memory`, which has not been written to, with large pages.
///
/// Fresh memory is zeroed by the system page by page, at the first write to each. With small pages these
/// interruptions take longer than receiving the bytes does: large messages arrive about three times as fast
/// with large ones. The system may ignore the advice, so its answer is of no interest.
#[cfg(target_os = "linux")]
pub(super) fn prefer_large(memory: &mut [MaybeUninit<u8>]) {
    if memory.len() < LARGE_MIN {
        return;
    }
    let start = memory.as_mut_ptr();
    let skip = start.align_offset(PAGE_BYTES);
    let Some(len) = memory.len().checked_sub(skip) else { return };
    // SAFETY: the range lies within `memory`, and this advice changes no contents: it says only how pages
    // that are not there yet are to be made.
    unsafe { libc::madvise(start.add(skip).cast(), len, libc::MADV_HUGEPAGE) };
}

/// Other systems decide by themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn prefer_large(_: &mut [MaybeUninit<u8>]) {}
