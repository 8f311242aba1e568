//! [`Settable`]: the end of a promise that keeps it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::shared::{Core, Origin};
use super::{FutureError, SharedFuture};
use crate::client::{self, Client};

/// The end of a promise that keeps it: sets the result of its [`SharedFuture`], once, since it is used up by that.
/// Dropped without, the future ends as [`FutureError::Dropped`].
///
/// ```compile_fail,E0382
/// # use rpc_core::{CallError, Client};
/// # fn example(client: &Client) {
/// let (promise, future) = client.promise::<u32, CallError>();
/// promise.set(1);
/// promise.set(2); // a result is never replaced
/// # }
/// ```
pub struct Settable<T, E>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    core: Option<Arc<Core<T, E>>>,
    place: &'static Location<'static>,
    dropped: fn(FutureError) -> E,
}

impl Client {
    /// A promise and its future: for results that no call brings, but that are to be waited for, called back with and
    /// collected like those of calls.
    ///
    /// ```
    /// # use rpc_core::CallError;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), CallError> {
    /// # let cluster = rpc_testing::Cluster::new(1).await;
    /// # let client = cluster.client("worker0");
    /// let (promise, future) = client.promise::<&str, CallError>();
    /// let twice = future.map(|word| format!("{word} {word}"));
    /// promise.set("knock");
    /// assert_eq!(twice.await?, "knock knock");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn promise<T, E>(&self) -> (Settable<T, E>, SharedFuture<T, E>)
    where
        T: Send + Sync + 'static,
        E: From<FutureError> + Send + Sync + 'static,
    {
        promise(Some(Arc::clone(self.shared())), Location::caller())
    }
}

pub(crate) fn promise<T, E>(
    client: Option<Arc<client::Shared>>,
    place: &'static Location<'static>,
) -> (Settable<T, E>, SharedFuture<T, E>)
where
    T: Send + Sync + 'static,
    E: From<FutureError> + Send + Sync + 'static,
{
    let core = Arc::new(Core::new(client, Origin::Line(place), None));
    let future = SharedFuture::of(Arc::clone(&core));
    (Settable { core: Some(core), place, dropped: E::from }, future)
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Settable<T, E> {
    /// The future has this value.
    pub fn set(self, value: T) {
        self.complete(Ok(value));
    }

    /// The future has failed.
    pub fn fail(self, error: E) {
        self.complete(Err(error));
    }

    /// The future has this result.
    pub fn complete(mut self, result: Result<T, E>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<T, E>) {
        if let Some(core) = self.core.take() {
            core.complete(result, false);
        }
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Drop for Settable<T, E> {
    fn drop(&mut self) {
        if self.core.is_some() {
            let error = FutureError::Dropped { place: self.place.to_string() };
            self.finish(Err((self.dropped)(error)));
        }
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> fmt::Debug for Settable<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settable(made at {})", self.place)
    }
}
