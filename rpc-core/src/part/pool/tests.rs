//! The invariants of the pool.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::part::Part;

const MIB: usize = 1 << 20;

fn filled(pool: &PartPool, len: usize, with: u8) -> Part {
    let mut buf = pool.take(len).unwrap();
    buf.extend_from_slice(&vec![with; len]);
    buf.freeze()
}

proptest! {
    // Each case moves some MiB.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// BP-1 and BP-2 under any order of taking, sharing, dropping and trimming.
    #[test]
    fn bp1_what_is_held_stays_as_it_was_written(
        steps in prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), 1..9_usize), 0..40),
    ) {
        let pool = PartPool::new(3 * MIB);
        let mut held: Vec<(u8, Part)> = Vec::new();
        for (number, (step, which, quarters)) in steps.into_iter().enumerate() {
            match step {
                0 | 1 => {
                    let with = number as u8;
                    held.push((with, filled(&pool, quarters * MIB / 4, with)));
                }
                2 if !held.is_empty() => drop(held.swap_remove(which.index(held.len()))),
                3 if !held.is_empty() => {
                    let (with, part) = &held[which.index(held.len())];
                    let slice = part.slice(part.len() / 2..part.len());
                    held.push((*with, slice));
                }
                _ => drop(pool.trim()),
            }
            prop_assert!(pool.idle_bytes() <= 3 * MIB, "BP-2");
            for (with, part) in &held {
                // Whoever takes memory writes all of it.
                let some = [part.first(), part.get(part.len() / 2), part.last()];
                prop_assert!(some.iter().flatten().all(|byte| *byte == with), "BP-1");
            }
        }
    }
}

/// BP-1: a part that is shared comes back when its last holder is gone, and only then; and also when it was never finished.
#[test]
fn bp1_memory_comes_back_with_its_last_holder() {
    let pool = PartPool::new(8 * MIB);
    let whole = filled(&pool, MIB, 1);
    let slice = whole.slice(5..6);
    drop(whole);
    assert_eq!(pool.idle_bytes(), 0, "the slice still holds it");
    drop(slice);
    assert_eq!(pool.idle_bytes(), MIB);
    let unfinished = pool.take(MIB).unwrap();
    assert_eq!((pool.idle_bytes(), unfinished.len()), (0, 0), "what it held before is not to be seen");
    drop(unfinished);
    assert_eq!(pool.idle_bytes(), MIB);
}

/// BP-2: in bytes and in pieces.
#[test]
fn bp2_what_comes_beyond_the_bound_goes_back_to_the_system() {
    let pool = PartPool::new(3 * MIB);
    let many: Vec<_> = (0..5).map(|_| pool.take(MIB).unwrap()).collect();
    drop(many);
    assert_eq!(pool.idle_bytes(), 3 * MIB);
    drop(pool.take(4 * MIB).unwrap());
    assert_eq!(pool.idle_bytes(), 3 * MIB, "larger than the whole pool may be");

    let pool = PartPool::new(1 << 30);
    let many: Vec<_> = (0..IDLE_MAX + 1).map(|_| pool.take(KEPT_MIN).unwrap()).collect();
    drop(many);
    assert_eq!(pool.idle_bytes(), IDLE_MAX * KEPT_MIN);
    drop(PartPool::new(0).take(MIB).unwrap());
}

/// BP-3: by trims.
#[test]
fn bp3_what_is_not_taken_between_two_trims_goes_back() {
    let pool = PartPool::new(8 * MIB);
    let (used, unused) = (pool.take(MIB).unwrap(), pool.take(2 * MIB).unwrap());
    drop((used, unused));
    assert!(pool.trim(), "both have come since the trim before");
    drop(pool.take(MIB).unwrap());
    assert!(pool.trim());
    assert_eq!(pool.idle_bytes(), MIB, "only what was taken meanwhile is left");
    assert!(!pool.trim());
    assert_eq!(pool.idle_bytes(), 0);
}

/// BP-3: with the pool.
#[test]
fn bp3_a_buffer_outlives_its_pool_and_does_not_keep_it() {
    let pool = PartPool::new(8 * MIB);
    let orphan = filled(&pool, MIB, 3);
    let weak = Arc::downgrade(&pool.0);
    drop(pool);
    assert!(weak.upgrade().is_none());
    assert!(orphan.iter().all(|byte| *byte == 3));
}

/// BP-3: by itself.
#[tokio::test(start_paused = true)]
async fn bp3_the_task_gives_idle_memory_back_in_time_and_ends_with_the_pool() {
    const EVERY: Duration = Duration::from_secs(5);
    let pool = PartPool::new(8 * MIB);
    let task = tokio::spawn(pool.tend(EVERY));
    for _ in 0..2 {
        drop(pool.take(MIB).unwrap());
        tokio::time::sleep(EVERY - Duration::from_millis(1)).await;
        assert_eq!(pool.idle_bytes(), MIB);
        tokio::time::sleep(2 * EVERY).await;
        assert_eq!(pool.idle_bytes(), 0);
    }
    drop(pool.take(MIB).unwrap());
    drop(pool);
    let began = tokio::time::Instant::now();
    task.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "it has not waited for the next trim");
}

/// BP-4: a large buffer is not taken for something small.
#[test]
fn bp4_memory_that_is_much_larger_or_smaller_is_left_alone() {
    for (len, taken) in
        [(10 * MIB, false), (9 * MIB + 1, false), (9 * MIB, true), (8 * MIB, true), (7 * MIB, false)]
    {
        let pool = PartPool::new(64 * MIB);
        drop(pool.take(9 * MIB).unwrap());
        let buf = pool.take(len).unwrap();
        assert_eq!(pool.idle_bytes() == 0, taken, "{len}");
        assert_eq!(buf.capacity(), len, "what is beyond is not filled");
    }
    let pool = PartPool::new(64 * MIB);
    let both = (pool.take(8 * MIB).unwrap(), pool.take(9 * MIB).unwrap());
    let smaller = both.0.as_ptr();
    drop(both);
    assert_eq!(pool.take(8 * MIB).unwrap().as_ptr(), smaller, "the smallest that fits");
}

/// BP-5: also where the size is none that is kept.
#[test]
fn bp5_with_nothing_that_fits_memory_is_the_systems() {
    let pool = PartPool::new(8 * MIB);
    let bufs: Vec<_> =
        [0, 1, KEPT_MIN - 1, KEPT_MIN, 8 * MIB, 9 * MIB].map(|len| pool.take(len).unwrap()).into();
    assert!(bufs.iter().all(|buf| (buf.as_ptr() as usize).is_multiple_of(crate::PART_ALIGN)));
    assert!(pool.take(usize::MAX).is_err());
    drop(bufs);
    assert_eq!(pool.idle_bytes(), KEPT_MIN, "the others are too small, too large, or too many");
}
