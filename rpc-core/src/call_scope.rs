//! [`CallScope`]: what the calls carry that are made in one piece of code.

use std::cell::Cell;
use std::future::Future;

use crate::trace::TraceParent;

thread_local! {
    static CURRENT: Cell<CallScope> = const { Cell::new(CallScope::new()) };
}

/// Has the calls that are made in it written by another codec than the worker's own, or makes them part of a trace.
///
/// A call belongs to the scope in which it is made; where its future is awaited does not matter. All calls do, those
/// of references and of methods too, by whatever worker of the process. Scopes nest: what the inner one does not
/// say, the outer one does. The handlers of the calls are not in it, wherever they run.
///
/// ```
/// use rpc_core::{CallScope, POSTCARD, TraceParent};
/// # use rpc_macros::function;
/// # #[function(crate = "rpc_core")]
/// # fn add(a: i64, b: i64) -> i64 { a + b }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = rpc_testing::Cluster::new(2).await;
/// # let client = cluster.client("worker0");
/// let by_postcard = CallScope::new().codec(POSTCARD); // or JSON, or MESSAGEPACK, with these features
/// let sum = by_postcard.run(|| client.rpc_async("worker1", add, (1, 2))).await?;
///
/// let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let sum = CallScope::new().trace(parent).scope(async {
///     let sum = client.rpc_async("worker1", add, (sum, 3)).await?;
///     client.rpc_async("worker1", add, (sum, 4)).await // in it as well, after the first await
/// });
/// assert_eq!(sum.await?, 10);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a scope does nothing until something runs in it"]
pub struct CallScope {
    pub(crate) codec: Option<u8>,
    pub(crate) trace: Option<TraceParent>,
}

impl CallScope {
    /// A scope that changes nothing.
    pub const fn new() -> Self {
        Self { codec: None, trace: None }
    }

    /// Has calls written by the codec with this [id](crate::Codec::id), and so their results. A worker that lacks it
    /// makes them fail: this one as [`Failure::Encode`](crate::Failure::Encode), the callee as
    /// [`Failure::UnknownCodec`](crate::Failure::UnknownCodec).
    pub const fn codec(mut self, id: u8) -> Self {
        self.codec = Some(id);
        self
    }

    /// Makes calls children of `parent`.
    pub const fn trace(mut self, parent: TraceParent) -> Self {
        self.trace = Some(parent);
        self
    }

    /// Runs `f` in it, on this thread.
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        f()
    }

    /// Polls `future` in it. Tasks that it spawns are outside.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let mut future = Box::pin(future);
        std::future::poll_fn(move |cx| {
            let _entered = self.enter();
            future.as_mut().poll(cx)
        })
    }

    pub(crate) fn current() -> Self {
        CURRENT.get()
    }

    fn enter(self) -> Entered {
        let outer = CURRENT.get();
        CURRENT.set(Self { codec: self.codec.or(outer.codec), trace: self.trace.or(outer.trace) });
        Entered { outer }
    }
}

/// Puts the outer scope back, also when the inner one unwinds.
struct Entered {
    outer: CallScope,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end_with_a_panic_too() {
        let parent = TraceParent::new([1; 16], [2; 8], 1).unwrap();
        let traced = CallScope::new().trace(parent);
        traced.run(|| {
            let seen = CallScope::new().codec(7).run(CallScope::current);
            assert_eq!(seen, traced.codec(7));
            assert!(std::panic::catch_unwind(|| CallScope::new().codec(8).run(|| panic!("inside"))).is_err());
            assert_eq!(CallScope::current(), traced);
        });
        assert_eq!(CallScope::current(), CallScope::new());
    }

    #[tokio::test]
    async fn a_future_is_in_it_at_each_poll_and_others_are_not() {
        let inside = CallScope::new().codec(9).scope(async {
            tokio::task::yield_now().await;
            CallScope::current().codec
        });
        let outside = async {
            tokio::task::yield_now().await;
            CallScope::current().codec
        };
        assert_eq!(tokio::join!(inside, outside), (Some(9), None));
    }
}
