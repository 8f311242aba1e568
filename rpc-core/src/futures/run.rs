//! Where callbacks run: on a thread that may block, in the context of the call in which they were given.

use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use super::FutureError;
use crate::client;
use crate::context::CallContext;
use crate::function::panic;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Runs `job` on a thread of the agent of `client`, or on a new one where there is none.
pub(crate) fn run_job(client: Option<&Arc<client::Shared>>, job: Job) {
    match client {
        Some(client) => client.agent.run(job),
        None => on_new_thread(job),
    }
}

/// Runs `job` on a thread of its own; where the system has none to give, at once and here.
pub(crate) fn on_new_thread(job: Job) {
    // Shared so that it is still here if there is no thread.
    let job = Arc::new(Mutex::new(Some(job)));
    let there = Arc::clone(&job);
    let run = |job: &Mutex<Option<Job>>| {
        let job = job.lock().take();
        if let Some(job) = job {
            job();
        }
    };
    let spawned = std::thread::Builder::new().name("rpc-callback".into()).spawn(move || run(&there));
    if spawned.is_err() {
        run(&job);
    }
}

/// What a user gave to be called back: the function, where it stands, and the call that it belongs to.
pub(crate) struct Callback<F> {
    f: F,
    pub(crate) place: &'static Location<'static>,
    context: Option<CallContext>,
}

impl<F> Callback<F> {
    /// `f`, which was given at the place that called what calls this.
    #[track_caller]
    pub(crate) fn new(f: F) -> Self {
        Self { f, place: Location::caller(), context: CallContext::current() }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`FutureError::Panicked`].
    pub(crate) fn call<A, R>(self, argument: A) -> Result<R, FutureError>
    where
        F: FnOnce(A) -> R,
    {
        let Self { f, place, context } = self;
        let ran = panic::catch(|| match context {
            Some(context) => context.run(|| f(argument)),
            None => f(argument),
        });
        ran.map_err(|panicked| {
            let mut details = panicked.details().into_iter();
            let mut next = || details.next().unwrap_or_default();
            FutureError::Panicked { place: place.to_string(), message: next(), location: next() }
        })
    }

    /// Runs one whose result nobody gets.
    pub(crate) fn call_last<A>(self, argument: A)
    where
        F: FnOnce(A),
    {
        if let Err(panicked) = self.call(argument) {
            tracing::warn!("{panicked}");
        }
    }
}
