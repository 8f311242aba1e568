//! Workers that call each other's functions, over TCP, with typed errors.

pub use rpc_core::{CallContext, CallError, Client, Failure, HandlerRan, Never, RpcFuture, Tensor};
pub use rpc_macros::function;

/// What the macros of this framework expand to. Not part of the public interface.
#[doc(hidden)]
pub mod macro_support {
    pub use rpc_core::macro_support::inventory;
    pub use rpc_core::{BoxFuture, FunctionBody, FunctionEntry, Never, RemoteFunction, ResultLike};
}
