//! Threads for blocking handlers: as many as block at a time.
//!
//! A pool of fixed size deadlocks as soon as all of its threads wait for calls that need one of them; so
//! this one starts a thread whenever none is idle (EN-2). Idle threads go after [`IDLE`].

use std::collections::VecDeque;
use std::sync::Arc;
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
    work: Condvar,
    name: String,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    /// Jobs handed to threads that are idle: never more than `idle`.
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
}

/// No thread could be had; the job did not run.
#[derive(Debug)]
pub(super) struct PoolFull;

impl Pool {
    pub(super) fn new(name: String, threads_max: usize) -> Self {
        Self { inner: Arc::new(Inner { state: Mutex::default(), work: Condvar::new(), name, threads_max }) }
    }

    /// Runs `job` on a thread of its own, at once.
    pub(super) fn run(&self, job: Job) -> Result<(), PoolFull> {
        let mut state = self.inner.state.lock();
        if state.idle > state.queue.len() {
            state.queue.push_back(job);
            drop(state);
            self.inner.work.notify_one();
            return Ok(());
        }
        if state.threads >= self.inner.threads_max || state.closed {
            return Err(PoolFull);
        }
        state.threads += 1;
        drop(state);
        let inner = Arc::clone(&self.inner);
        let spawned =
            std::thread::Builder::new().name(self.inner.name.clone()).spawn(move || inner.work(job));
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
    fn work(&self, first: Job) {
        let mut job = Some(first);
        loop {
            if let Some(job) = job.take() {
                // What a job leaves behind when it panics is its own; the thread goes on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
            let mut state = self.state.lock();
            state.idle += 1;
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
