//! Functions that other workers may call: the trait that `#[rpc::function]` implements, and the table in
//! which the callee looks them up.

mod comparison;
mod entry;
mod gatekeeper;
mod handler;
mod id;
mod keep;
mod limit;
pub(crate) mod panic;
mod serving;
mod table;

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::comparison::{FunctionComparison, FunctionDifference, OtherSignature};
pub use self::entry::FunctionEntry;
pub use self::gatekeeper::{Decision, Gatekeeper};
pub use self::handler::{FunctionHandler, in_place, kept};
pub use self::id::FunctionId;
pub use self::keep::{Keeper, Kept, Slot, SlotRead, SlotWrite, Stored, StoredRead};
pub use self::limit::CallLimit;
pub(crate) use self::limit::Gates;
pub use self::serving::Serving;
pub use self::table::{FunctionTable, TableError};

/// A boxed future, as it stands in object-safe traits.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A function that can be called from other workers.
///
/// `#[rpc::function]` turns `fn add` into a unit struct `add` that implements this trait and derefs to
/// the function itself. By hand it looks like this:
///
/// ```
/// use rpc_core::{FunctionBody, Never, RemoteFunction};
/// #[derive(Clone, Copy)]
/// struct Add;
/// impl RemoteFunction for Add {
///     type Args = (f64, f64);
///     type Output = f64;
///     type Error = Never;
///     const NAME: &'static str = "my_app::add";
///     const SIGNATURE: &'static str = "fn(f64, f64) -> f64";
///     const BODY: FunctionBody<Self::Args, f64, Never> = FunctionBody::Inline(|(a, b)| Ok(a + b));
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called from another worker",
    label = "not a remote function",
    note = "put `#[rpc::function]` on the function, and pass its name without parentheses"
)]
pub trait RemoteFunction: Copy + Send + Sync + 'static {
    /// The arguments, as a tuple.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What a successful call gives. `Sync`, because with `remote` it stays where it was made, for several
    /// workers to use.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The function's own error; `Never` for one that returns no `Result`.
    type Error: Serialize + DeserializeOwned + Send + 'static;
    /// `crate::module::name`, unique within a program.
    const NAME: &'static str;
    /// The signature, for telling two builds apart and for people.
    const SIGNATURE: &'static str;
    /// How it runs.
    const BODY: FunctionBody<Self::Args, Self::Output, Self::Error>;
    /// Whether to run it twice is as good as once, so that a call may be [repeated](crate::Retry) of which nobody knows
    /// whether it ran.
    const IDEMPOTENT: bool = false;
    /// How many calls of it a worker runs at a time; `None` for as many as come.
    const LIMIT: Option<CallLimit> = None;
}

/// What a function of `F` ends with.
type ResultOf<F> = Result<<F as RemoteFunction>::Output, <F as RemoteFunction>::Error>;

/// How a function runs on the callee.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FunctionBody<A, T, E> {
    /// May block: runs on a thread of its own, from a pool that grows on demand.
    Blocking(fn(A) -> Result<T, E>),
    /// Short and never blocks: runs in the loop that reads the link.
    Inline(fn(A) -> Result<T, E>),
    /// Polled once in the loop that reads the link, and spawned if it has to wait.
    Async(fn(A) -> BoxFuture<'static, Result<T, E>>),
}

/// What a function's return type means: gives the two sides of a `Result` however it is spelled, so that
/// `io::Result<T>` and `Result<T, E>` are treated alike. The macros project through it.
pub trait ResultLike {
    /// The success type.
    type Output;
    /// The error type.
    type Error;
    /// The plain `Result`.
    fn into_result(self) -> Result<Self::Output, Self::Error>;
}

impl<T, E> ResultLike for Result<T, E> {
    type Output = T;
    type Error = E;
    fn into_result(self) -> Self {
        self
    }
}
