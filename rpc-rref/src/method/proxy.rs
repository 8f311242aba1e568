//! [`Proxy`]: what the methods of a reference are called through.

use std::fmt;
use std::panic::Location;

use rpc_core::{Aside, CallError, Failure, FunctionId, ReferenceError, RequestHead, RpcFuture};
use std::sync::Arc;

use super::serve::MethodAside;
use super::{Access, RemoteMethod};
use crate::registry::{CREATE_BY_METHOD, InUse, METHOD, Place, Use, encoded};
use crate::rref::RRef;

/// What a proxy of a type holds: calls methods of the value behind a reference.
///
/// The macro's proxies wrap it and give the methods their names.
pub struct Proxy<'a, T> {
    rref: &'a RRef<T>,
}

impl<'a, T: 'static> Proxy<'a, T> {
    pub(crate) fn new(rref: &'a RRef<T>) -> Self {
        Self { rref }
    }

    /// The reference whose methods are called.
    pub fn rref(&self) -> &'a RRef<T> {
        self.rref
    }

    /// Calls `method` on the value's owner and returns at once. Arguments are encoded before this returns;
    /// deadline and cancellation are those of a call. The value lives until the method has ended.
    pub fn rpc_async<M: RemoteMethod<Value = T>>(
        &self,
        method: M,
        args: M::Args,
    ) -> RpcFuture<M::Output, M::Error> {
        self.call("rref_rpc_async", method, args)
    }

    fn call<M: RemoteMethod<Value = T>>(
        &self,
        operation: &'static str,
        method: M,
        args: M::Args,
    ) -> RpcFuture<M::Output, M::Error> {
        let _: M = method;
        let handle = self.rref.handle();
        let registry = match handle.registry() {
            Ok(registry) => registry,
            Err(error) => return RpcFuture::lost(handle.owner(), M::NAME, error),
        };
        let rref = handle.rref();
        let method = const { FunctionId::new(M::NAME, M::SIGNATURE).to_wire() };
        let head =
            RequestHead { kind: METHOD, method, operation, function: M::NAME, signature: M::SIGNATURE };
        let used = Use::new(&registry, handle, M::BODY.access() == Access::Exclusive);
        let nested = M::BODY.access() == Access::Shared && used.is_nested();
        let to = rref.owner;
        let future = registry.client().request(to, head, &args, |handles| {
            let creating = registry.read(|state| registry.usable(state, rref))?;
            let (handles, shared) = registry.share(to, None, &handles)?;
            let aside = MethodAside { rref, nested, handles };
            let bytes = encoded(&aside);
            Ok(Some(Aside { bytes, sent: Box::new(InUse::new(handle, creating, Some(shared))) }))
        });
        future.hooked(Arc::new(used))
    }

    /// As [`rpc_async`](Self::rpc_async), blocking this thread until the method has ended.
    ///
    /// # Errors
    /// Those of the call, and [`Failure::WouldBlock`](rpc_core::Failure::WouldBlock) (see
    /// [`RpcFuture::wait`]).
    pub fn rpc_sync<M: RemoteMethod<Value = T>>(
        &self,
        method: M,
        args: M::Args,
    ) -> Result<M::Output, CallError<M::Error>> {
        self.call("rref_rpc_sync", method, args).wait()
    }

    /// Has `method` run on the value's owner, where its result stays, and returns a reference to that at
    /// once.
    ///
    /// # Errors
    /// Arguments that cannot be encoded, or a reference that is of no use. What goes wrong later shows when
    /// the reference is used.
    #[track_caller]
    pub fn remote<M: RemoteMethod<Value = T>>(
        &self,
        method: M,
        args: M::Args,
    ) -> Result<RRef<M::Output>, CallError> {
        let _: M = method;
        let place = Place::At(Location::caller());
        let handle = self.rref.handle();
        let lost = |error: ReferenceError| {
            CallError::not_made(handle.owner().name.as_str(), M::NAME, Failure::Reference(Box::new(error)))
        };
        let registry = handle.registry().map_err(lost)?;
        let rref = handle.rref();
        if let Some(error) = registry.read(|state| registry.reference_error(state, rref)) {
            return Err(lost(error));
        }
        // A method that has the value borrowed to read may wait for the result.
        let used = Use::new(&registry, handle, M::BODY.access() == Access::Exclusive);
        let nested = M::BODY.access() == Access::Shared && used.is_nested();
        let method = const { FunctionId::new(M::NAME, M::SIGNATURE).to_wire() };
        let head = RequestHead {
            kind: CREATE_BY_METHOD,
            method,
            operation: "rref_remote",
            function: M::NAME,
            signature: M::SIGNATURE,
        };
        registry
            .create(registry.client(), rref.owner, head, Some((handle, nested)), &args, place)
            .map(RRef::new_of)
    }
}

// By hand, because a derive would ask the same of the value.
impl<T> Clone for Proxy<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Proxy<'_, T> {}

impl<T> fmt::Debug for Proxy<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.rref)
    }
}
