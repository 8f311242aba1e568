//! How often a call allocates, on both sides together: a count that does not depend on how busy the machine is. Alone
//! in its program, because the allocator counts for all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rpc::MemoryStore;
use rpc::prelude::*;

/// Allocations so far; one that grows counts again.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all is done by `System`, with the arguments as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the contract of `realloc`, and `ptr` comes from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`, and `ptr` comes from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[rpc::function(inline)]
fn double(n: u64) -> u64 {
    2 * n
}

#[rpc::function]
async fn double_async(n: u64) -> u64 {
    2 * n
}

const ROUNDS: usize = 200;
const TOGETHER: usize = 64;

/// Allocations of one call, when `TOGETHER` are made at a time. What the buffers of a link take now and then is in it.
async fn of_each<F>(worker: &Worker, function: F) -> f64
where
    F: rpc::macro_support::RemoteFunction<Args = (u64,), Output = u64> + Copy,
{
    let mut before = 0;
    for round in 0..2 * ROUNDS {
        if round == ROUNDS {
            before = COUNT.load(Relaxed); // warm
        }
        let calls = std::array::from_fn::<_, TOGETHER, _>(|n| worker.rpc_async(1, function, (n as u64,)));
        for (n, call) in calls.into_iter().enumerate() {
            let doubled = call.await;
            assert!(doubled.is_ok_and(|doubled| doubled == 2 * n as u64));
        }
    }
    (COUNT.load(Relaxed) - before) as f64 / (ROUNDS * TOGETHER) as f64
}

/// The caller's: the encoded arguments, the place for the reply, the payload that comes. The callee's: the payload that
/// comes, the call's context, the encoded result; and of an `async fn` its future, and what polls it.
///
/// Whoever has to raise a bound says in the commit what the allocation is good for.
#[tokio::test]
async fn a_small_call_allocates_as_seldom_as_it_did() {
    let store = Arc::new(MemoryStore::default());
    let start = |rank: u32| {
        let builder = Worker::builder_named_by_rank().rank(rank).world_size(2);
        tokio::spawn(builder.store(store.clone()).variables(|_| None).init())
    };
    let (first, second) = (start(0), start(1));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());

    let inline = of_each(&first, double).await;
    assert!(inline < 6.5, "{inline} allocations of a call of an inline function");
    let asynchronous = of_each(&first, double_async).await;
    assert!(asynchronous < 8.5, "{asynchronous} allocations of a call of an async function");

    let (first, second) = tokio::join!(first.shutdown(), second.shutdown());
    first.unwrap();
    second.unwrap();
}
