//! What a value costs in the tables, beside itself. Alone in its program, because the allocator counts for
//! all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use rpc_core::WorkerId;
use rpc_rref::proto::{Access, RRefId, Table};

/// Bytes that are allocated now.
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all is done by `System`, with the arguments as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`, and `ptr` comes from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const VALUES: u64 = 1_000_000;
const OWNER: WorkerId = WorkerId(0);
const CREATOR: WorkerId = WorkerId(1);

fn rref(number: u64) -> RRefId {
    RRefId { owner: OWNER, creator: CREATOR, number }
}

/// All values, in an order in which no two neighbours follow each other.
fn scattered() -> impl Iterator<Item = RRefId> {
    (0..VALUES).map(|at| rref(at * 611_953 % VALUES))
}

fn per_value(before: usize) -> usize {
    BYTES.load(Relaxed).saturating_sub(before) / VALUES as usize
}

fn time(what: &str, work: impl FnOnce()) {
    let started = Instant::now();
    work();
    println!("{what}: {} ns each", started.elapsed().as_nanos() / u128::from(VALUES));
}

#[test]
fn a_million_values_take_little_more_than_their_entries_and_leave_nothing_behind() {
    let before = BYTES.load(Relaxed);
    let mut owner = Table::<[u64; 3], u64>::new(OWNER, 2);
    time("handle_create", || {
        for number in 0..VALUES {
            assert_eq!(owner.handle_create(CREATOR, rref(number)), Ok(true));
        }
    });
    while owner.poll_event().is_some() || owner.poll_transmit().is_some() {}
    let owned = per_value(before);
    println!("owned: {owned} bytes each, 24 of them the driver's");
    time("access, scattered", || {
        for rref in scattered() {
            assert_eq!(black_box(owner.access(CREATOR, rref)), Access::Yes);
        }
    });

    let before = BYTES.load(Relaxed);
    let mut creator = Table::<[u64; 3], u64>::new(CREATOR, 2);
    time("create, created", || {
        for number in 0..VALUES {
            let rref = creator.create(OWNER, number).unwrap();
            creator.created(rref);
            while creator.poll_event().is_some() {}
        }
    });
    let used = per_value(before);
    println!("used: {used} bytes each, 8 of them the driver's");

    time("drop_handle, release, free", || {
        for rref in scattered() {
            creator.drop_handle(rref);
            let (_, release) = creator.poll_transmit().unwrap();
            owner.handle(CREATOR, release).unwrap();
            assert!(owner.poll_event().is_some());
        }
    });
    assert!(owner.is_idle() && creator.is_idle());
    assert!(owned <= 80 && used <= 60, "owned: {owned} bytes, used: {used} bytes");
    assert_eq!(per_value(before), 0);
}
