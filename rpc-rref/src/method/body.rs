//! How a method takes its value, and how it runs there.

use std::fmt;

use rpc_core::BoxFuture;

/// How a method takes its value and runs on the value's owner.
///
/// Shared ones of one value run side by side, exclusive ones alone. An async one holds the value, and no
/// thread, while it waits.
#[non_exhaustive]
pub enum MethodBody<V, A, T, E> {
    /// `fn(&self, ..)`.
    Shared(Run, fn(&V, A) -> Result<T, E>),
    /// `fn(&mut self, ..)`.
    Exclusive(Run, fn(&mut V, A) -> Result<T, E>),
    /// `async fn(&self, ..)`.
    SharedAsync(for<'a> fn(&'a V, A) -> BoxFuture<'a, Result<T, E>>),
    /// `async fn(&mut self, ..)`.
    ExclusiveAsync(for<'a> fn(&'a mut V, A) -> BoxFuture<'a, Result<T, E>>),
}

/// Where a method that is not `async` runs once it has its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Run {
    /// On a thread of its own, from a pool that grows on demand; it may block.
    Thread,
    /// In the loop that reads the link: for what is short and never blocks.
    Inline,
}

/// Which lock a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Beside others that read: `&self`.
    Shared,
    /// Alone: `&mut self`.
    Exclusive,
}

impl<V, A, T, E> MethodBody<V, A, T, E> {
    /// Which lock it needs.
    pub const fn access(&self) -> Access {
        match self {
            Self::Shared(..) | Self::SharedAsync(_) => Access::Shared,
            Self::Exclusive(..) | Self::ExclusiveAsync(_) => Access::Exclusive,
        }
    }
}

// By hand, because a derive would ask the same of the types.
impl<V, A, T, E> Clone for MethodBody<V, A, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, A, T, E> Copy for MethodBody<V, A, T, E> {}

impl<V, A, T, E> fmt::Debug for MethodBody<V, A, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(run, _) => write!(f, "Shared({run:?})"),
            Self::Exclusive(run, _) => write!(f, "Exclusive({run:?})"),
            Self::SharedAsync(_) => f.write_str("SharedAsync"),
            Self::ExclusiveAsync(_) => f.write_str("ExclusiveAsync"),
        }
    }
}
