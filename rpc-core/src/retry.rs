//! Calls that are repeated when they fail for a reason that may pass.
//!
//! By default a call is made once, and its error says whether the handler ran. Who asks for more
//! ([`Client::retrying`]) gets repetitions under three conditions:
//!
//! - **It does no harm.** The handler surely did not run ([`HandlerRan::No`]), or the function is marked
//!   [`IDEMPOTENT`](RemoteFunction::IDEMPOTENT).
//! - **It may help.** The worker could not be reached, was overloaded, its link went down, or an attempt's time was over
//!   (which mostly leaves open whether the handler ran, so this is for idempotent functions). A panic, an argument that
//!   does not decode or a worker that has left would be the same again.
//! - **There is time and budget.** All attempts together take no longer than one call may. And [`RetryBudget`] bounds how
//!   many there are for the calls that succeed without: when everything fails, callers that all repeat would keep an
//!   overloaded worker from ever recovering. Where time or budget is used up, the error of the last attempt comes back as
//!   it is; that it was the budget is an event at debug level.
//!
//! The delays are backon's: exponential, with jitter, so that callers which failed together do not come back together. The
//! budget is ours: a counter, because that of tower comes with a service stack around it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::agent::timeout_or_forever;
use crate::call_scope::CallScope;
use crate::client::Client;
use crate::context::CallContext;
use crate::error::{CallError, Failure, HandlerRan, Never};
use crate::function::{BoxFuture, RemoteFunction};
use crate::future::RpcFuture;
use crate::worker::{Target, WorkerId};

/// How often, when and at whose cost calls are repeated.
///
/// Keep one for the program, and clone it: clones share its budget, while each `Retry::default()` has a new one, with which
/// nothing would be bounded.
///
/// ```
/// use std::time::Duration;
/// use rpc_core::{Retry, RetryBudget};
/// let patient = Retry::default()
///     .attempts(6) // five repetitions
///     .delays(Duration::from_millis(20), Duration::from_secs(1))
///     .attempt_timeout(Duration::from_secs(2))
///     .budget(RetryBudget::new(0.1, 50)); // for all calls with this `Retry` and its clones
/// # let _ = patient;
/// ```
#[derive(Clone, Debug)]
pub struct Retry {
    delays: ExponentialBuilder,
    attempt_timeout: Option<Duration>,
    budget: Arc<RetryBudget>,
}

impl Default for Retry {
    /// Four attempts, delays from 50 ms, doubling, up to 2 s, each longer by up to itself at random, and the default
    /// [`RetryBudget`].
    fn default() -> Self {
        let delays = ExponentialBuilder::new()
            .with_jitter()
            .with_factor(2.0)
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(3);
        Self { delays, attempt_timeout: None, budget: Arc::default() }
    }
}

impl Retry {
    /// At most so many attempts, the first one included; 0 counts as 1.
    #[must_use]
    pub fn attempts(self, attempts_max: usize) -> Self {
        Self { delays: self.delays.with_max_times(attempts_max.saturating_sub(1)), ..self }
    }

    /// The first delay, and the longest. Each is up to twice as long at random.
    #[must_use]
    pub fn delays(self, first: Duration, longest: Duration) -> Self {
        Self { delays: self.delays.with_min_delay(first).with_max_delay(longest), ..self }
    }

    /// Draws the random part of the delays from `seed`, for tests; the same for each call.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { delays: self.delays.with_jitter_seed(seed), ..self }
    }

    /// Each attempt waits at most `timeout`. Without it an attempt may use up all of the call's time, and then nothing is
    /// repeated.
    #[must_use]
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        Self { attempt_timeout: timeout_or_forever(timeout), ..self }
    }

    /// What the repetitions are paid from, in place of a budget of its own. Clones share it.
    #[must_use]
    pub fn budget(self, budget: RetryBudget) -> Self {
        Self { budget: Arc::new(budget), ..self }
    }
}

/// How many repetitions there may be beside first attempts: a share of them, beyond a reserve.
///
/// When nothing works, calls so cause `1 + share` times the requests that they would without repetitions, and not a
/// multiple of that. A call for whose repetition nothing is left ends with the error of its last attempt, as it is; the log
/// says so at debug level (`the retry budget is used up`).
#[derive(Debug)]
pub struct RetryBudget {
    /// In thousandths of a repetition.
    saved: AtomicU64,
    earned_by_call: u64,
    saved_max: u64,
}

const THOUSANDTHS: u64 = 1000;

impl Default for RetryBudget {
    /// One repetition for five calls, beyond ten.
    fn default() -> Self {
        Self::new(0.2, 10)
    }
}

impl RetryBudget {
    /// Each first attempt earns `share` of a repetition; `reserve` are there from the beginning, and no more than that, or
    /// ten if it is less, are ever saved up.
    ///
    /// # Panics
    /// If `share` is not within 0 and 1,000.
    pub fn new(share: f64, reserve: u32) -> Self {
        assert!((0.0..=1000.0).contains(&share), "{share} is no share");
        let saved = u64::from(reserve) * THOUSANDTHS;
        Self {
            saved: AtomicU64::new(saved),
            earned_by_call: (share * THOUSANDTHS as f64) as u64,
            saved_max: saved.max(10 * THOUSANDTHS),
        }
    }

    /// How many repetitions could be paid now.
    pub fn left(&self) -> u64 {
        self.saved.load(Ordering::Relaxed) / THOUSANDTHS
    }

    fn earn(&self) {
        let more = |saved: u64| Some((saved + self.earned_by_call).min(self.saved_max));
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn pay(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(THOUSANDTHS);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Makes calls that are repeated (see [`Client::retrying`]).
#[derive(Clone, Debug)]
pub struct RetryingClient {
    client: Client,
    retry: Retry,
}

impl Client {
    /// A client whose calls are repeated as `retry` says, where that does no harm and may help.
    ///
    /// All attempts of a call together take no longer than [`rpc_timeout`](Self::rpc_timeout), and within a handler no
    /// longer than that handler's own call. [`Retry::default`] makes up to four attempts, with delays from 50 ms, doubling,
    /// up to 2 s, each longer by up to itself at random. An attempt has all of the call's time; [`Retry::attempt_timeout`]
    /// gives it less. The budget is one repetition for five calls, beyond ten.
    ///
    /// Keep one [`Retry`] for the program and clone it, or keep what this returns: clones share one budget, a new `Retry`
    /// has a new one.
    ///
    /// ```
    /// # use rpc_core::{CallError, Client, Retry};
    /// # use rpc_macros::function;
    /// #[function(idempotent, crate = "rpc_core")] // to look is as good twice
    /// fn balance(account: u32) -> i64 {
    ///     # let _ = account;
    ///     7
    /// }
    ///
    /// async fn look(client: &Client, retry: &Retry) -> Result<i64, CallError> {
    ///     client.retrying(retry.clone()).rpc_async("bank", balance, (1,)).await
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let cluster = rpc_testing::Cluster::builder().workers(["bank"]).build().await.unwrap();
    /// # let client = cluster.client("bank");
    ///
    /// let retry = Retry::default(); // one for the program
    /// assert_eq!(look(client, &retry).await, Ok(7));
    /// # }
    /// ```
    pub fn retrying(&self, retry: Retry) -> RetryingClient {
        RetryingClient { client: self.clone(), retry }
    }
}

impl RetryingClient {
    /// Calls `function` on `to`. The first attempt leaves at once; the future has to be polled for others to be made.
    ///
    /// # Panics
    /// The future, outside of a tokio runtime, when it has to wait before an attempt.
    pub fn rpc_async<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Retried<F::Output, F::Error> {
        let attempts = self.attempts(to);
        let first = attempts.make(&self.client, function, &args);
        let this = self.clone();
        Retried(Box::pin(this.go_on(attempts, first, function, args)))
    }

    async fn go_on<F: RemoteFunction>(
        self,
        mut attempts: Attempts,
        first: RpcFuture<F::Output, F::Error>,
        function: F,
        args: F::Args,
    ) -> Result<F::Output, CallError<F::Error>> {
        let mut result = first.await;
        loop {
            let error = match result {
                Err(error) if repeatable::<F>(&error) => error,
                result => return result,
            };
            let Some(delay) = attempts.next(&self.retry.budget, F::NAME, &error) else { return Err(error) };
            tokio::time::sleep(delay).await;
            let next = attempts.make(&self.client, function, &args);
            result = next.await;
        }
    }

    /// Calls `function` on `to` and blocks this thread until it is done.
    ///
    /// # Errors
    /// Those of the last attempt, and [`Failure::WouldBlock`] (see [`RpcFuture::wait`]).
    pub fn rpc_sync<'t, F: RemoteFunction>(
        &self,
        to: impl Into<Target<'t>>,
        function: F,
        args: F::Args,
    ) -> Result<F::Output, CallError<F::Error>> {
        let mut attempts = self.attempts(to);
        loop {
            let error = match attempts.make(&self.client, function, &args).wait() {
                Err(error) if repeatable::<F>(&error) => error,
                result => return result,
            };
            let Some(delay) = attempts.next(&self.retry.budget, F::NAME, &error) else { return Err(error) };
            // Gives the thread away where there is a runtime that needs it.
            let _: Option<Never> = self.client.block_on(Some(delay), std::future::pending());
        }
    }

    fn attempts<'t>(&self, to: impl Into<Target<'t>>) -> Attempts {
        self.retry.budget.earn();
        let (target, left) = (to.into(), CallContext::current().and_then(|context| context.remaining()));
        let timeout = match (timeout_or_forever(self.client.rpc_timeout()), left) {
            (Some(timeout), Some(left)) => Some(timeout.min(left)),
            (timeout, left) => timeout.or(left),
        };
        Attempts {
            to: match self.client.agent().group().find(&target) {
                Ok(worker) => Ok(worker.id),
                Err(_) => Err(target.to_string()),
            },
            scope: CallScope::current(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            attempt_timeout: self.retry.attempt_timeout,
            delays: self.retry.delays.build(),
            made: 1,
        }
    }
}

/// What is left of one call.
struct Attempts {
    /// The text that names nobody fails with the first attempt.
    to: Result<WorkerId, String>,
    /// In which the call was made, wherever its future is polled.
    scope: CallScope,
    deadline: Option<Instant>,
    attempt_timeout: Option<Duration>,
    delays: ExponentialBackoff,
    made: u32,
}

impl Attempts {
    /// Makes the next attempt, in the time that is left.
    fn make<F: RemoteFunction>(
        &self,
        client: &Client,
        function: F,
        args: &F::Args,
    ) -> RpcFuture<F::Output, F::Error> {
        let client = self.client(client);
        self.scope.run(|| client.call(&self.target(), "rpc_async", function, args))
    }

    fn target(&self) -> Target<'_> {
        match &self.to {
            Ok(id) => Target::Rank(i64::from(id.0)),
            Err(name) => Target::Name(name),
        }
    }

    fn left(&self) -> Option<Duration> {
        Some(self.deadline?.saturating_duration_since(Instant::now()))
    }

    /// A client whose call ends in time.
    fn client(&self, client: &Client) -> Client {
        let least = Duration::from_micros(1); // zero would be for ever
        let timeout = match (self.left(), self.attempt_timeout) {
            (Some(left), Some(attempt)) => Some(left.min(attempt)),
            (left, attempt) => left.or(attempt),
        };
        client.with_timeout(timeout.map_or(Duration::ZERO, |timeout| timeout.max(least)))
    }

    /// How long to wait before the next attempt, if there is to be one after `error`.
    fn next<E>(&mut self, budget: &RetryBudget, function: &str, error: &CallError<E>) -> Option<Duration> {
        let delay = self.delays.next()?;
        if self.left().is_some_and(|left| left <= delay) {
            return None;
        }
        let (to, failure) = (error.to(), error.failure());
        if !budget.pay() {
            let attempts = self.made;
            tracing::debug!(
                function, %to, ?failure, attempts,
                "a call is not repeated: the retry budget is used up (RetryBudget)"
            );
            return None;
        }
        self.made += 1;
        tracing::debug!(function, %to, ?failure, attempt = self.made, ?delay, "a call is repeated");
        Some(delay)
    }
}

/// Whether it does no harm to make the call again, and may help.
fn repeatable<F: RemoteFunction>(error: &CallError<F::Error>) -> bool {
    let harmless = F::IDEMPOTENT || error.handler_ran() == HandlerRan::No;
    harmless && error.failure().is_some_and(may_pass)
}

/// No wildcard arm: a new variant has to choose.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. }
        | Failure::LinkLost { .. }
        | Failure::Overloaded { .. }
        | Failure::TimedOut { .. } => true,
        Failure::UnknownWorker { .. }
        | Failure::UnknownFunction { .. }
        | Failure::SignatureMismatch { .. }
        | Failure::Encode { .. }
        | Failure::BadArguments { .. }
        | Failure::BadResult { .. }
        | Failure::BadReply { .. }
        | Failure::UnknownCodec { .. }
        | Failure::UnknownKind
        | Failure::Panicked { .. }
        | Failure::Cancelled { .. }
        | Failure::Departed
        | Failure::TooLarge { .. }
        | Failure::ShutDown
        | Failure::Reference(_)
        | Failure::Future(_)
        | Failure::WouldBlock
        | Failure::Denied { .. } => false,
    }
}

/// The value of a call that may be repeated.
///
/// [`collect_all`](crate::futures::collect_all) and [`wait_all`](crate::futures::wait_all) do not take it, since somebody
/// has to poll it for another attempt: spawn each as a task, or join them (`tokio::join!`, a `JoinSet`).
///
/// # Cancel safety
/// Dropping it detaches from the attempt that is under way, as dropping an [`RpcFuture`] does, and no
/// other is made.
#[must_use = "the first attempt is made without, but no other"]
pub struct Retried<T, E>(BoxFuture<'static, Result<T, CallError<E>>>);

impl<T, E> Future for Retried<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T, E> fmt::Debug for Retried<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retried").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_pays_its_reserve_and_a_share_of_the_calls() {
        let budget = RetryBudget::new(0.5, 2);
        assert!(budget.pay() && budget.pay() && !budget.pay());
        budget.earn();
        assert!(!budget.pay(), "half a repetition is none");
        budget.earn();
        assert!(budget.pay());
        (0..1000).for_each(|_| budget.earn());
        assert_eq!(budget.left(), 10, "savings are bounded");
    }

    #[test]
    fn delays_of_one_seed_are_the_same_and_grow_up_to_a_bound() {
        let retry = Retry::default()
            .attempts(8)
            .delays(Duration::from_millis(10), Duration::from_millis(100))
            .seed(3);
        let delays = || retry.delays.build().collect::<Vec<_>>();
        assert_eq!(delays(), delays());
        assert_eq!(delays().len(), 7);
        assert!(delays()[0] >= Duration::from_millis(10));
        assert!(delays().iter().all(|delay| *delay <= Duration::from_millis(200)), "{:?}", delays());
    }
}
