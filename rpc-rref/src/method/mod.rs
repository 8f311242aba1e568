//! Methods of values that other workers call through an `RRef`: the traits that `#[rpc::methods]`
//! implements, and what it submits at link time.
//!
//! The macro writes nothing that cannot be written by hand. For one method of one type:
//!
//! ```
//! use rpc_core::Never;
//! use rpc_rref::method::{MethodBody, MethodEntry, Proxy, RemoteMethod, RemoteMethods, Run};
//!
//! struct Counter {
//!     n: u64,
//! }
//!
//! impl Counter {
//!     fn add(&mut self, by: u64) -> u64 {
//!         self.n += by;
//!         self.n
//!     }
//! }
//!
//! // Stands for the method.
//! #[derive(Clone, Copy)]
//! struct Add;
//!
//! impl RemoteMethod for Add {
//!     type Value = Counter;
//!     type Args = (u64,);
//!     type Output = u64;
//!     type Error = Never;
//!     const NAME: &'static str = "my_app::Counter::add";
//!     const SIGNATURE: &'static str = "fn(&mut self, u64) -> u64";
//!     const BODY: MethodBody<Counter, (u64,), u64, Never> =
//!         MethodBody::Exclusive(Run::Thread, |counter, (by,)| Ok(counter.add(by)));
//! }
//!
//! // What `counter.rpc_async()` gives; it has the methods' names.
//! struct CounterAsync<'a>(Proxy<'a, Counter>);
//!
//! impl<'a> From<Proxy<'a, Counter>> for CounterAsync<'a> {
//!     fn from(proxy: Proxy<'a, Counter>) -> Self {
//!         Self(proxy)
//!     }
//! }
//!
//! impl RemoteMethods for Counter {
//!     type Async<'a> = CounterAsync<'a>;
//!     type Sync<'a> = Proxy<'a, Counter>; // no names, then: `rpc_sync().rpc_sync(Add, (5,))`
//!     type Remote<'a> = Proxy<'a, Counter>;
//! }
//!
//! // The macro submits this with `inventory::submit!`.
//! const ADD: MethodEntry = MethodEntry::of::<Add>();
//! assert_eq!(ADD.name(), "my_app::Counter::add");
//! ```

// Reading order: what a method is, how it is found, how it is called.
mod body;
mod entry;

mod proxy;
pub(crate) mod serve;
mod table;

use rpc_core::CallLimit;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::body::{Access, MethodBody, Run};
pub use self::entry::MethodEntry;
pub use self::proxy::Proxy;
pub(crate) use self::table::MethodTable;

/// A method of a value that other workers may call through an `RRef`.
///
/// Implemented by a unit struct that stands for the method; `#[rpc::methods]` writes one for each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a method that can be called on another worker",
    label = "not a remote method",
    note = "put `#[rpc::methods]` on the `impl` block of the method, and call it as `rref.rpc_async().method(..)`"
)]
pub trait RemoteMethod: Copy + Send + Sync + 'static {
    /// The type whose method it is. Several threads may hold it at once.
    type Value: Send + Sync + 'static;
    /// The arguments without `self`, as a tuple.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What a successful call gives. `Sync`, because `remote` keeps it where several threads may read it.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The method's own error; `Never` for one that returns no `Result`.
    type Error: Serialize + DeserializeOwned + Send + 'static;
    /// `crate::module::Type::method`, unique within a program.
    const NAME: &'static str;
    /// The signature, for telling two builds apart and for people.
    const SIGNATURE: &'static str;
    /// How it takes its value, and how it runs.
    const BODY: MethodBody<Self::Value, Self::Args, Self::Output, Self::Error>;
    /// How many calls of it run at a time on one worker, of whatever values; `None` for any number. Which of them has its
    /// turn is decided before it has its value.
    const LIMIT: Option<CallLimit> = None;
}

/// A type whose methods can be called through an `RRef`: says what carries their names.
///
/// `#[rpc::methods]` implements it; a type has it on one of its `impl` blocks. Each of the three types wraps
/// a [`Proxy`] and has the remote methods' names, with the arguments of the method and the result of the way
/// it is called. A function can take one: `fn bump(counter: <Counter as RemoteMethods>::Async<'_>)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods that can be called on another worker",
    label = "no remote methods",
    note = "put `#[rpc::methods]` on the `impl` block of `{Self}` whose methods are to be called"
)]
pub trait RemoteMethods: Send + Sync + Sized + 'static {
    /// What `rref.rpc_async()` gives: its methods return futures.
    type Async<'a>: From<Proxy<'a, Self>>;
    /// What `rref.rpc_sync()` gives: its methods block.
    type Sync<'a>: From<Proxy<'a, Self>>;
    /// What `rref.remote()` gives: its methods return references to results that stay where they are.
    type Remote<'a>: From<Proxy<'a, Self>>;
}
