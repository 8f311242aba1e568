//! Which tokio runtime drives a worker's sockets and timers.
//!
//! Callers need none: futures of this framework can be awaited on any executor. What needs one is the I/O,
//! and it gets the caller's if there is one, else a thread of its own that lives as long as the worker.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// Where a worker's I/O runs, and its `async` and `inline` handlers with it.
///
/// Blocking handlers run on threads of their own in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoRuntime {
    /// On the tokio runtime in which `init` is awaited, which must have I/O and time enabled (as
    /// `#[tokio::main]` has). Where there is no tokio runtime, as [`Dedicated`](Self::Dedicated).
    #[default]
    Current,
    /// On a thread of the worker's own. For programs that keep their runtime busy with long computations:
    /// peers get their answers meanwhile. It ends after shutdown, or when the last handle is dropped.
    Dedicated,
}

/// A runtime to run on and, if it is the worker's own, what keeps it alive.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) handle: Handle,
    pub(crate) thread: Option<KeepAlive>,
}

/// The driver thread ends when the last clone is dropped. Dropping never waits for it.
#[derive(Clone, Debug)]
pub(crate) struct KeepAlive {
    _stop: Arc<oneshot::Sender<Infallible>>,
}

impl IoRuntime {
    /// Finds or makes the runtime for worker `name`.
    pub(crate) fn driver(self, name: &str) -> io::Result<Driver> {
        match (self, Handle::try_current()) {
            (Self::Current, Ok(handle)) => Ok(Driver { handle, thread: None }),
            _ => Driver::dedicated(name),
        }
    }
}

impl Driver {
    fn dedicated(name: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        // The runtime is dropped on its own thread, because dropping one inside of another panics.
        std::thread::Builder::new().name(format!("rpc-{name}")).spawn(move || {
            let Err(_) = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, thread: Some(KeepAlive { _stop: Arc::new(stop) }) })
    }
}

/// Blocks this thread until `future`, which something else drives, is done.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        // Another thread takes over this one's tasks meanwhile.
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| park_on(future)),
        _ => park_on(future),
    }
}

fn park_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        std::thread::park();
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_current_runtime_is_used_where_there_is_one() {
        let driver = IoRuntime::Current.driver("a").unwrap();
        assert!(driver.thread.is_none());
        assert_eq!(driver.handle.id(), Handle::current().id());
    }

    #[test]
    fn without_a_runtime_a_thread_is_made_and_ends_with_its_keep_alive() {
        let driver = IoRuntime::Current.driver("a").unwrap();
        let name = driver.handle.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(block_on(name).unwrap().as_deref(), Some("rpc-a"));
        let endless = driver.handle.spawn(std::future::pending::<()>());
        drop(driver.thread);
        assert!(block_on(endless).unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn a_dedicated_runtime_can_be_dropped_inside_of_another() {
        let driver = IoRuntime::Dedicated.driver("a").unwrap();
        let endless = driver.handle.spawn(std::future::pending::<()>());
        drop(driver);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
