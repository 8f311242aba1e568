//! Threads for blocking handlers: as many as block at a time.
//!
//! A pool of fixed size deadlocks as soon as all of its threads wait for calls that need one of them; so
//! this one starts a thread whenever none is idle (EN-2). Idle threads go after [`IDLE`].
//!
//! Where there are as many threads as there may be, a job goes to one that is *nearly* idle, if there is one: whose
//! handler has ended, and which has only its answer to hand over. Who has that answer, or the turn of the call that has
//! ended, and calls again at once would be refused otherwise.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long a thread waits for the next job before it ends.
const IDLE: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The pool. Dropping it lets the threads finish what they run.
pub(super) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Threads that will be idle at once, without waiting for anybody. Grows without the lock, and shrinks under it as
    /// `idle` grows.
    nearly_idle: AtomicUsize,
    work: Condvar,
    name: String,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    /// Jobs handed to threads that are idle or nearly so: never more than those.
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
}

thread_local! {
    /// The pool whose thread this is.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// A thread's place in its pool.
struct Place {
    inner: Arc<Inner>,
    /// It has said so, since its job began.
    is_nearly_idle: bool,
}

/// The job of this thread has nothing left to do that takes time or waits for anybody. For threads of a pool; others may
/// say so to no effect.
pub(crate) fn nearly_idle() {
    PLACE.with_borrow_mut(|place| {
        if let Some(place) = place
            && !std::mem::replace(&mut place.is_nearly_idle, true)
        {
            place.inner.nearly_idle.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// No thread could be had; the job did not run.
#[derive(Debug)]
pub(super) struct PoolFull;

impl Pool {
    pub(super) fn new(name: String, threads_max: usize) -> Self {
        let (state, nearly_idle, work) = (Mutex::default(), AtomicUsize::new(0), Condvar::new());
        Self { inner: Arc::new(Inner { state, nearly_idle, work, name, threads_max }) }
    }

    /// Runs `job` on a thread of its own, at once, or as soon as one that is nearly idle is.
    pub(super) fn run(&self, job: Job) -> Result<(), PoolFull> {
        let mut state = self.inner.state.lock();
        let is_full = state.threads >= self.inner.threads_max;
        let nearly_idle = if is_full { self.inner.nearly_idle.load(Ordering::Relaxed) } else { 0 };
        if state.idle + nearly_idle > state.queue.len() {
            state.queue.push_back(job);
            drop(state);
            self.inner.work.notify_one();
            return Ok(());
        }
        if is_full || state.closed {
            return Err(PoolFull);
        }
        state.threads += 1;
        drop(state);
        let inner = Arc::clone(&self.inner);
        let spawned =
            std::thread::Builder::new().name(self.inner.name.clone()).spawn(move || inner.enter(job));
        spawned.map(drop).map_err(|_| {
            // The system has no thread to give: the same answer as our own bound.
            self.inner.state.lock().threads -= 1;
            PoolFull
        })
    }

    /// As [`run`](Self::run); a job for which there is no thread is handed back.
    pub(super) fn run_or_return(&self, job: Job) -> Result<(), Job> {
        // Shared so that it is still here if there is no thread.
        let job = Arc::new(Mutex::new(Some(job)));
        let there = Arc::clone(&job);
        let ran = self.run(Box::new(move || {
            let job = there.lock().take();
            if let Some(job) = job {
                job();
            }
        }));
        let Err(PoolFull) = ran else { return Ok(()) };
        let refused = job.lock().take();
        refused.map_or(Ok(()), Err)
    }

    /// Threads that run or wait.
    pub(super) fn threads(&self) -> usize {
        self.inner.state.lock().threads
    }

    /// Threads that wait.
    pub(super) fn idle(&self) -> usize {
        self.inner.state.lock().idle
    }

    /// Lets idle threads end now, and takes no more jobs.
    pub(super) fn close(&self) {
        self.inner.state.lock().closed = true;
        self.inner.work.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    /// All that a thread does.
    fn enter(self: Arc<Self>, first: Job) {
        PLACE.set(Some(Place { inner: Arc::clone(&self), is_nearly_idle: false }));
        self.work(first);
    }

    /// The job has ended. Whether it had said before that it would.
    fn was_nearly_idle() -> bool {
        PLACE.with_borrow_mut(|place| {
            place.as_mut().is_some_and(|place| std::mem::take(&mut place.is_nearly_idle))
        })
    }

    fn work(&self, first: Job) {
        let mut job = Some(first);
        loop {
            if let Some(job) = job.take() {
                // What a job leaves behind when it panics is its own; the thread goes on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
            let mut state = self.state.lock();
            state.idle += 1;
            self.nearly_idle.fetch_sub(usize::from(Self::was_nearly_idle()), Ordering::Relaxed);
            while state.queue.is_empty() && !state.closed {
                if self.work.wait_for(&mut state, IDLE).timed_out() {
                    break;
                }
            }
            state.idle -= 1;
            job = state.queue.pop_front();
            if job.is_none() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// EN-2
    #[test]
    fn as_many_jobs_run_at_once_as_block() {
        let pool = Pool::new("test".into(), 100);
        let all_here = Arc::new(Barrier::new(51));
        for _ in 0..50 {
            let all_here = Arc::clone(&all_here);
            pool.run(Box::new(move || {
                all_here.wait();
            }))
            .unwrap();
        }
        all_here.wait(); // ends only if all 50 run at the same time
        assert!(pool.threads() <= 50);
    }

    /// EN-3
    #[test]
    fn one_more_than_the_bound_is_refused_and_does_not_run() {
        let pool = Pool::new("test".into(), 1);
        let (release, blocked) = sync_channel::<()>(0);
        pool.run(Box::new(move || blocked.recv().unwrap())).unwrap();
        assert!(pool.run(Box::new(|| panic!("must not run"))).is_err());
        release.send(()).unwrap();
    }

    /// EN-3: what it has said is for one job, and once.
    #[test]
    fn where_all_threads_are_taken_one_that_is_nearly_idle_gets_the_next_job() {
        let pool = Pool::new("test".into(), 1);
        let (step, steps) = sync_channel::<()>(0);
        let (told, hears) = sync_channel::<&str>(8);
        let said = told.clone();
        pool.run(Box::new(move || {
            nearly_idle();
            nearly_idle();
            said.send("nearly idle").unwrap();
            steps.recv().unwrap();
        }))
        .unwrap();
        assert_eq!(hears.recv(), Ok("nearly idle"));
        let (go, goes) = sync_channel::<()>(0);
        pool.run(Box::new(move || {
            told.send("second").unwrap();
            goes.recv().unwrap();
        }))
        .unwrap();
        assert!(pool.run(Box::new(|| panic!("must not run"))).is_err(), "there is one thread");
        step.send(()).unwrap();
        assert_eq!(hears.recv(), Ok("second"));
        assert!(pool.run(Box::new(|| panic!("must not run"))).is_err(), "it is not idle any more");
        go.send(()).unwrap();
    }

    #[test]
    fn an_idle_thread_is_used_again_and_ends_with_the_pool() {
        let pool = Pool::new("test".into(), 10);
        let (send, receive) = sync_channel(2);
        for _ in 0..2 {
            let send = send.clone();
            pool.run(Box::new(move || send.send(std::thread::current().id()).unwrap())).unwrap();
            while pool.idle() == 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!(receive.recv().unwrap(), receive.recv().unwrap());
        let inner = Arc::clone(&pool.inner);
        drop(pool);
        while inner.state.lock().threads > 0 {
            std::thread::yield_now();
        }
    }
}
