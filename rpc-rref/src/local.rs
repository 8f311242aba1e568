//! Borrowing a value on its owner.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rpc_core::{BoxFuture, CallHook, Client, Failure, ReferenceError, Slot, SlotRead, SlotWrite, Stored};

use crate::handle::Handle;
use crate::registry::{Borrow, Borrowed, Registry, Use, Wanted};

/// Borrows a value to read (see [`RRef::local_value`](crate::RRef::local_value)). Cancel-safe.
pub struct LocalRef<T>(Pending<ReadGuard<T>>);

/// Borrows a value to write (see [`RRef::local_value_mut`](crate::RRef::local_value_mut)). Cancel-safe.
pub struct LocalMut<T>(Pending<WriteGuard<T>>);

/// A value borrowed to read. Others can read it meanwhile.
pub struct ReadGuard<T>(Borrowed<SlotRead<T>>);

/// A value borrowed to write.
pub struct WriteGuard<T>(Borrowed<SlotWrite<T>>);

type Outcome<G> = Result<G, ReferenceError>;

struct Pending<G> {
    future: BoxFuture<'static, Outcome<G>>,
    used: Option<Use>,
    /// To block a thread with.
    client: Option<Client>,
}

impl<G: Send + 'static> Pending<G> {
    fn new<F>(
        handle: &Arc<Handle>,
        exclusive: bool,
        enter: impl FnOnce(Arc<Registry>, Arc<dyn Stored>, Wanted) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome<G>> + Send,
    {
        let rref = handle.rref();
        let registry = match handle.registry() {
            Ok(registry) if registry.me() == rref.owner => registry,
            Ok(registry) => {
                let owner = registry.describe(rref.owner);
                return Self::failed(ReferenceError::NotOwner { rref: rref.to_string(), owner });
            }
            Err(error) => return Self::failed(error),
        };
        let used = Use::new(&registry, handle, exclusive);
        let nested = !exclusive && used.is_nested();
        let client = registry.client().clone();
        // Kept, so that the value stays while it is waited for.
        let handle = Arc::clone(handle);
        let future = Box::pin(async move {
            let stored = registry.value(rref.owner, rref).await.map_err(|error| {
                // Whoever has a handle is told what became of the value rather than that it is not there.
                registry.read(|state| registry.reference_error(state, rref)).unwrap_or(error)
            })?;
            let guard = enter(registry, stored, Wanted { rref, exclusive, nested }).await;
            drop(handle);
            guard
        });
        Self { future, used: Some(used), client: Some(client) }
    }

    fn failed(error: ReferenceError) -> Self {
        Self { future: Box::pin(std::future::ready(Err(error))), used: None, client: None }
    }

    fn wait(mut self) -> Outcome<G> {
        if let Poll::Ready(outcome) = self.poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
        let Some((client, used)) = self.client.take().zip(self.used.as_ref()) else {
            return Err(ReferenceError::NoRegistry);
        };
        let would_block = ReferenceError::WouldBlock { rref: used.rref().to_string() };
        let outcome = client.block_on(None, std::future::poll_fn(|cx| self.poll(cx)));
        outcome.unwrap_or(Err(would_block))
    }

    fn wait_timeout(mut self, at_most: Duration) -> Option<Outcome<G>> {
        if let Poll::Ready(outcome) = self.poll(&mut Context::from_waker(Waker::noop())) {
            return Some(outcome);
        }
        self.client.take()?.block_on(Some(at_most), std::future::poll_fn(|cx| self.poll(cx)))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<G>> {
        let polled = self.future.as_mut().poll(cx);
        if polled.is_pending()
            && let Some(Failure::Reference(error)) = self.used.as_ref().and_then(CallHook::would_deadlock)
        {
            return Poll::Ready(Err(*error));
        }
        polled
    }
}

fn wrong_type<T>(stored: &dyn Stored, wanted: Wanted) -> ReferenceError {
    ReferenceError::WrongType {
        rref: wanted.rref.to_string(),
        expected: std::any::type_name::<T>().to_owned(),
        found: stored.type_name().to_owned(),
    }
}

impl<T: Send + Sync + 'static> LocalRef<T> {
    pub(crate) fn new(handle: &Arc<Handle>) -> Self {
        Self(Pending::new(handle, false, |registry, stored, wanted| async move {
            let slot = Slot::<T>::of(&stored).ok_or_else(|| wrong_type::<T>(&*stored, wanted))?;
            Ok(ReadGuard(Borrow::new(registry, wanted, stored, move || slot.try_read()).await))
        }))
    }

    /// Blocks this thread until the value is borrowed: for ever, if the function that makes it never ends.
    ///
    /// # Errors
    /// [`ReferenceError`]: the value is on another worker, was not created, or has another type.
    pub fn wait(self) -> Outcome<ReadGuard<T>> {
        self.0.wait()
    }

    /// As [`wait`](Self::wait), but at most for `at_most`. `None` if the value was not to be had in that time, or
    /// if this thread must not block.
    pub fn wait_timeout(self, at_most: Duration) -> Option<Outcome<ReadGuard<T>>> {
        self.0.wait_timeout(at_most)
    }
}

impl<T: Send + Sync + 'static> LocalMut<T> {
    pub(crate) fn new(handle: &Arc<Handle>) -> Self {
        Self(Pending::new(handle, true, |registry, stored, wanted| async move {
            let slot = Slot::<T>::of(&stored).ok_or_else(|| wrong_type::<T>(&*stored, wanted))?;
            Ok(WriteGuard(Borrow::new(registry, wanted, stored, move || slot.try_write()).await))
        }))
    }

    /// Blocks this thread until the value is borrowed.
    ///
    /// # Errors
    /// As [`LocalRef::wait`].
    pub fn wait(self) -> Outcome<WriteGuard<T>> {
        self.0.wait()
    }

    /// As [`wait`](Self::wait), but at most for `at_most`. `None` if the value was not to be had in that time, or
    /// if this thread must not block.
    pub fn wait_timeout(self, at_most: Duration) -> Option<Outcome<WriteGuard<T>>> {
        self.0.wait_timeout(at_most)
    }
}

impl<T: Send + Sync + 'static> Future for LocalRef<T> {
    type Output = Outcome<ReadGuard<T>>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T: Send + Sync + 'static> Future for LocalMut<T> {
    type Output = Outcome<WriteGuard<T>>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> Deref for ReadGuard<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for WriteGuard<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for WriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> fmt::Debug for LocalRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalRef")
    }
}

impl<T> fmt::Debug for LocalMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalMut")
    }
}
