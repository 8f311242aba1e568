//! Profiles of a worker: where the time of its calls goes.

use std::borrow::Cow;
use std::sync::Arc;

use rpc_profiler::{InSpan, Profile, Profiling, Recorder, SpanGuard};

use crate::worker::Worker;

impl Worker {
    /// Records what this worker does from now on, on any thread: each call that it makes, with where its time went; what
    /// the handlers of these calls do, on whatever workers; and [spans](Self::record_function) of your own.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn add(a: f64, b: f64) -> f64 { a + b }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(rpc::MemoryStore::default());
    /// # let worker = Worker::builder("worker0").rank(0).world_size(1).store(store).init().await?;
    /// # let directory = tempfile::tempdir()?;
    /// let profiling = worker.profile();
    /// {
    ///     let _step = worker.record_function("step");
    ///     worker.rpc_async("worker0", add, (1.0, 2.0)).await?;
    /// }
    /// let profile = profiling.finish();
    /// println!("{}", profile.key_averages().table()); // which calls took how long, and where
    /// profile.save(directory.path())?; // table.txt, trace.json for Perfetto, report.html, profile.json
    /// # let key = profile.key(&profile.calls[0]).to_string();
    /// # assert!(key.starts_with("rpc_async#") && key.ends_with("::add(worker0 -> worker0)"), "{key}");
    /// # worker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Profiles nest: each has what was recorded while it was. A worker keeps the last million calls for those under way
    /// ([`WorkerBuilder::calls_kept`](crate::WorkerBuilder::calls_kept)), and a response brings some 300 calls or 900 spans
    /// of its handler; the others are counted in [`Profile::dropped`](crate::Profile::dropped). Tasks that a handler spawns
    /// are in the profile if [`CallContext::scope`](crate::CallContext::scope) takes them there. While nobody profiles, a
    /// call costs a branch more.
    ///
    /// # Panics
    /// If the worker has a [`Follower`](rpc_core::Follower) that is not the profiler's. Those that this crate starts have
    /// not.
    pub fn profile(&self) -> Profiling {
        self.recorder().profile()
    }

    /// Records what this worker serves from now on, for whomever, and what its handlers do; not what it does by itself.
    ///
    /// # Panics
    /// As [`profile`](Self::profile).
    pub fn server_profile(&self) -> Profiling {
        self.recorder().server_profile()
    }

    /// Runs `body` and returns what this worker has done meanwhile, all of it: not only in `body`.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn add(a: f64, b: f64) -> f64 { a + b }
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let (sum, profile) = worker.profiled(async || worker.rpc_async("worker1", add, (1.0, 2.0)).await).await;
    /// println!("{} of {} calls failed", profile.calls.iter().filter(|call| !call.is_ok(&profile.names)).count(), profile.calls.len());
    /// # sum?; Ok(()) }
    /// ```
    ///
    /// # Panics
    /// As [`profile`](Self::profile).
    ///
    /// # Cancel safety
    /// Dropping the future drops `body` and ends the profile.
    pub async fn profiled<R>(&self, body: impl AsyncFnOnce() -> R) -> (R, Profile) {
        let profiling = self.profile();
        let result = body().await;
        (result, profiling.finish())
    }

    /// As [`profiled`](Self::profiled), for a thread that may block.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn add(a: f64, b: f64) -> f64 { a + b }
    /// # fn example(worker: Worker) -> Result<(), CallError> {
    /// let (sum, profile) = worker.profiled_blocking(|| worker.rpc_sync("worker1", add, (1.0, 2.0)));
    /// # sum?; Ok(()) }
    /// ```
    ///
    /// # Panics
    /// As [`profile`](Self::profile).
    pub fn profiled_blocking<R>(&self, body: impl FnOnce() -> R) -> (R, Profile) {
        let profiling = self.profile();
        let result = body();
        (result, profiling.finish())
    }

    /// A span called `name` in the profiles that are under way, until the guard is dropped: what this thread calls
    /// meanwhile is below it. Not for what awaits in a task that changes threads: [`record_future`](Self::record_future) is.
    ///
    /// In a handler, [`rpc::record_function`](crate::record_function) needs no worker.
    ///
    /// # Panics
    /// As [`profile`](Self::profile).
    pub fn record_function(&self, name: impl Into<Cow<'static, str>>) -> SpanGuard {
        self.recorder().record_function(name)
    }

    /// As [`record_function`](Self::record_function), for `future`: from its first poll until it has ended. What it calls
    /// is below the span, so the call has to be made in there.
    ///
    /// ```
    /// # use rpc::prelude::*;
    /// # #[rpc::function]
    /// # fn add(a: f64, b: f64) -> f64 { a + b }
    /// # async fn example(worker: Worker) -> Result<(), CallError> {
    /// let ask = async { worker.rpc_async("worker1", add, (1.0, 2.0)).await };
    /// let sum = worker.record_future("ask", ask).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// As [`profile`](Self::profile).
    pub fn record_future<F: Future>(&self, name: impl Into<Cow<'static, str>>, future: F) -> InSpan<F> {
        self.recorder().record_future(name, future)
    }

    fn recorder(&self) -> &Arc<Recorder> {
        self.recorder_cell().get_or_init(|| {
            Recorder::start(self.client())
                .expect("this worker has a follower of somebody else's; profile through that")
        })
    }
}
