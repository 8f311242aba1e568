//! What a program that uses workers needs at hand: `use rpc::prelude::*`.

pub use std::time::Duration;

pub use rpc_core::futures::SharedFuture;
pub use rpc_core::{
    CallContext, CallError, Failure, HandlerRan, ReferenceError, RpcFuture, Tensor, WorkerId, WorkerInfo,
};
pub use serde::{Deserialize, Serialize};

pub use crate::{InitError, RRef, WeakRRef, Worker, WorkerBuilder};
