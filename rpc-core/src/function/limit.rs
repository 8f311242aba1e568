//! How many calls of one function or method a worker runs at a time.
//!
//! What has a [`CallLimit`] has a *gate* on each worker, which its calls pass one after another: first come, first
//! served, whoever called, and with [`Client::rpc_async`] or `remote` alike. A call that waits holds neither a thread
//! nor memory beyond its arguments; it leaves when it is cancelled or its deadline passes, as any call does that has
//! not begun. How many may wait is bounded too, and the next one is refused at once.
//!
//! A call of a method passes its gate before it borrows its value, so that who waits for a turn keeps nobody from the
//! value. A method that is a function as well has one gate for both.
//!
//! The turn of a call that blocks ends on its thread, which is not idle yet then. So the pool is told first
//! ([`nearly_idle`]), and has a thread for who gets the turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handler::Sink;
use super::{RemoteFunction, Serving};
use crate::agent::Served;
use crate::client::Client;
use crate::engine::nearly_idle;
use crate::message::{Outcome, Response};

/// How many calls of a function or method run at a time on one worker, and how many more wait for their turn.
///
/// ```
/// use rpc_core::CallLimit;
/// // What `#[rpc::function(max_concurrency = 4, max_waiting = 16)]` says.
/// const LIMIT: CallLimit = CallLimit::new(4).waiting(16);
/// assert_eq!((LIMIT.running_max(), LIMIT.waiting_max()), (4, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit {
    running_max: u32,
    waiting_max: u32,
}

impl CallLimit {
    /// How many calls wait at most unless told otherwise.
    pub const WAITING_MAX_DEFAULT: u32 = 1024;

    /// At most `running_max` calls at a time, of which there has to be one; [`WAITING_MAX_DEFAULT`](Self::WAITING_MAX_DEFAULT)
    /// more may wait.
    ///
    /// # Panics
    /// If it is 0: nothing could ever run.
    pub const fn new(running_max: u32) -> Self {
        assert!(running_max > 0, "not even one call could run");
        Self { running_max, waiting_max: Self::WAITING_MAX_DEFAULT }
    }

    /// At most `waiting_max` calls wait; the next one fails as
    /// [`Failure::Overloaded`](crate::Failure::Overloaded).
    #[must_use]
    pub const fn waiting(self, waiting_max: u32) -> Self {
        Self { waiting_max, ..self }
    }

    /// How many run at a time.
    pub const fn running_max(&self) -> u32 {
        self.running_max
    }

    /// How many more wait.
    pub const fn waiting_max(&self) -> u32 {
        self.waiting_max
    }
}

/// The gates of one worker, by name. There are at most as many as functions and methods with a limit.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<&'static str, Arc<Gate>>>);

impl Gates {
    fn of(&self, name: &'static str, limit: CallLimit) -> Arc<Gate> {
        Arc::clone(self.0.lock().entry(name).or_insert_with(|| Arc::new(Gate::new(limit))))
    }
}

/// Lets calls of one function through.
#[derive(Debug)]
struct Gate {
    turns: Arc<Semaphore>,
    waiting: AtomicU32,
    limit: CallLimit,
}

/// What a call meets at a gate.
enum Met {
    /// Its turn, which ends when this is dropped.
    Turn(OwnedSemaphorePermit),
    /// Others before it.
    Queue(Waiting),
    /// As many before it as may wait.
    Full,
}

impl Gate {
    fn new(limit: CallLimit) -> Self {
        let turns = (limit.running_max as usize).min(Semaphore::MAX_PERMITS);
        Self { turns: Arc::new(Semaphore::new(turns)), waiting: AtomicU32::new(0), limit }
    }

    fn meet(self: &Arc<Self>) -> Met {
        // Takes no turn that somebody waits for: a semaphore is fair.
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Met::Turn(turn);
        }
        let one_more = |waiting| (waiting < self.limit.waiting_max).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Met::Queue(Waiting(Arc::clone(self))),
            Err(_) => Met::Full,
        }
    }
}

/// A place in the queue, until it is dropped.
struct Waiting(Arc<Gate>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one call of `F`, which has a limit, by `serve`.
pub(super) fn serve_limited<F: RemoteFunction>(
    limit: CallLimit,
    serving: Serving,
    sink: Sink,
    serve: impl FnOnce(Serving, Sink) -> Served + Send + 'static,
) -> Served {
    let Some(client) = serving.context().client() else {
        // Nobody to count them: one too many may be what the limit is there to prevent.
        return Served::Now(sink.failed(refusal(
            F::NAME,
            "max_concurrency (which needs a host with a client)",
            0,
        )));
    };
    limit.in_turn(
        &client,
        F::NAME,
        (serving, sink),
        move |(serving, sink)| serve(serving, sink),
        |(_, sink), refused| sink.failed(refused),
    )
}

impl CallLimit {
    /// Serves `call`, one of what is called `name`, when it is its turn: at once, or as a future. For handlers of one's
    /// own; functions and methods are served so.
    ///
    /// All calls under one name of one worker, the one of `client`, take turns, by the limit of the first. A turn lasts
    /// until what `serve` returns has ended. If too many wait, `refuse` gets the response for the caller.
    pub fn in_turn<C: Send + 'static>(
        self,
        client: &Client,
        name: &'static str,
        call: C,
        serve: impl FnOnce(C) -> Served + Send + 'static,
        refuse: impl FnOnce(C, Response) -> Response + Send + 'static,
    ) -> Served {
        match client.gates().of(name, self).meet() {
            Met::Turn(turn) => held(serve(call), turn),
            Met::Full => {
                let refused = refusal(name, "max_waiting", self.waiting_max);
                Served::Now(refuse(call, refused))
            }
            Met::Queue(waiting) => {
                Served::After(Box::pin(async move {
                    let turn = Arc::clone(&waiting.0.turns).acquire_owned().await;
                    drop(waiting);
                    match turn {
                        Ok(turn) => held(serve(call), turn),
                        // Nobody closes the semaphore.
                        Err(closed) => {
                            let why = [&closed.to_string(), "unknown location"];
                            Served::Now(refuse(call, Response::failed(Outcome::Panicked, &why)))
                        }
                    }
                }))
            }
        }
    }
}

fn refusal(name: &str, bound: &str, limit: u32) -> Response {
    Response::failed(Outcome::Overloaded, &[&format!("{bound} of {name}"), &limit.to_string()])
}

/// What is left to do of a call, whose turn lasts as long as that takes.
fn held(served: Served, turn: OwnedSemaphorePermit) -> Served {
    match served {
        Served::Now(response) => Served::Now(response),
        Served::Later(future) => Served::Later(Box::pin(async move {
            let response = future.await;
            drop(turn);
            response
        })),
        Served::Blocking(job) => Served::Blocking(Box::new(move || {
            let response = job();
            nearly_idle();
            drop(turn);
            response
        })),
        Served::After(next) => Served::After(Box::pin(async move { held(next.await, turn) })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(running: u32, waiting: u32) -> Arc<Gate> {
        Arc::new(Gate::new(CallLimit::new(running).waiting(waiting)))
    }

    #[test]
    fn beyond_the_running_ones_calls_wait_and_beyond_those_they_are_refused() {
        let gate = gate(2, 1);
        let (first, second) = (gate.meet(), gate.meet());
        assert!(matches!((&first, &second), (Met::Turn(_), Met::Turn(_))));
        let third = gate.meet();
        assert!(matches!(&third, Met::Queue(_)));
        assert!(matches!(gate.meet(), Met::Full));
        drop(third);
        assert!(matches!(gate.meet(), Met::Queue(_)), "who has left the queue makes room in it");
        drop(first);
        assert!(matches!(gate.meet(), Met::Turn(_)));
    }

    #[tokio::test]
    async fn a_turn_that_ends_goes_to_who_waits_and_not_to_who_comes() {
        let gate = gate(1, 8);
        let Met::Turn(turn) = gate.meet() else { panic!("nobody else is there") };
        let Met::Queue(waiting) = gate.meet() else { panic!("the only turn is taken") };
        let mut next = Box::pin(Arc::clone(&waiting.0.turns).acquire_owned());
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_pending())).await);
        drop(turn);
        assert!(matches!(gate.meet(), Met::Queue(_)), "the turn is promised");
        assert!(next.await.is_ok());
    }
}
