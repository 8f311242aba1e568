//! [`RRef`] and [`WeakRRef`]: what users hold.

use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Weak};

use rpc_core::{RpcFuture, Slot, WorkerInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Handle;
use crate::local::{LocalMut, LocalRef};
use crate::method::{Proxy, RemoteMethods};
use crate::proto::RRefId;
use crate::registry::{Place, Registry};

/// A counted reference to a value that stays on one worker, its *owner*.
///
/// The value lives as long as somebody, on any worker, has a reference to it, or one is on its way. A clone
/// shares its handle, so it costs no message. A reference travels inside of the arguments and results of
/// calls, however deep; elsewhere (a file, JSON) its serialization is an error. Its owner, when it gets one,
/// finds its own value behind it, not a copy.
///
/// Dropping a reference never blocks. When its worker or the owner is gone, using it is an error
/// ([`ReferenceError`](rpc_core::ReferenceError)), and dropping it does nothing.
///
/// Two references are equal if they refer to the same value.
pub struct RRef<T> {
    handle: Arc<Handle>,
    value: PhantomData<fn() -> T>,
}

impl<T> RRef<T> {
    pub(crate) fn new_of(handle: Arc<Handle>) -> Self {
        Self { handle, value: PhantomData }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// What stands for the value, everywhere.
    pub fn id(&self) -> RRefId {
        self.handle.rref()
    }

    /// The worker that has the value.
    pub fn owner(&self) -> &WorkerInfo {
        self.handle.owner()
    }

    /// The name of the worker that has the value.
    pub fn owner_name(&self) -> &str {
        self.owner().name.as_str()
    }

    /// Whether the value is on this worker.
    pub fn is_owner(&self) -> bool {
        self.handle.registry().is_ok_and(|registry| registry.me() == self.owner().id)
    }

    /// Whether the owner knows of the handles here. False for one whose request to be made failed, or whose owner is
    /// gone; true also if the function that was to make it returned an error, because then the owner has that.
    /// A function that takes a reference starts only when it is true.
    pub fn confirmed_by_owner(&self) -> bool {
        let rref = self.id();
        self.handle.registry().is_ok_and(|registry| {
            registry.read(|state| {
                state.table.is_confirmed(rref) && registry.reference_error(state, rref).is_none()
            })
        })
    }

    /// A reference that does not keep the value alive.
    pub fn downgrade(&self) -> WeakRRef<T> {
        WeakRRef { handle: Arc::downgrade(&self.handle), rref: self.id(), value: PhantomData }
    }
}

impl<T: Send + Sync + 'static> RRef<T> {
    /// Gives out a reference to a value of the worker `at`, of which other workers can have copies.
    #[track_caller]
    pub fn new(at: &impl AsRef<Registry>, value: T) -> Self
    where
        T: Serialize,
    {
        let place = Place::At(Location::caller());
        Self::new_of(at.as_ref().own_value(Slot::new(value).into_stored(), place))
    }

    /// As [`new`](Self::new), for a value that cannot be copied to other workers, such as an open file or a
    /// simulation: they call its methods.
    ///
    /// A function that is to make such a value on another worker returns the reference itself:
    ///
    /// ```
    /// # use rpc_rref::{RRef, Registry};
    /// struct Simulation(std::fs::File);
    ///
    /// # struct Worker(std::sync::Arc<Registry>);
    /// # impl AsRef<Registry> for Worker { fn as_ref(&self) -> &Registry { &self.0 } }
    /// # impl Worker { fn current() -> Self { Self(Registry::current().expect("within a call")) } }
    /// #[rpc_macros::function(crate = "rpc_core")]
    /// fn open_simulation(path: String) -> Result<RRef<Simulation>, String> {
    ///     let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    ///     Ok(RRef::new_opaque(&Worker::current(), Simulation(file)))
    /// }
    /// ```
    #[track_caller]
    pub fn new_opaque(at: &impl AsRef<Registry>, value: T) -> Self {
        let place = Place::At(Location::caller());
        Self::new_of(at.as_ref().own_value(Slot::opaque(value).into_stored(), place))
    }

    /// Borrows the value to read, on its owner. Waits until it has been made, and until nobody writes.
    pub fn local_value(&self) -> LocalRef<T> {
        LocalRef::new(&self.handle)
    }

    /// Borrows the value to write, on its owner. Waits until it has been made, and until nobody has it
    /// borrowed. Its methods wait while the guard lives: drop the guard before you await one.
    pub fn local_value_mut(&self) -> LocalMut<T> {
        LocalMut::new(&self.handle)
    }
}

impl<T> RRef<T> {
    /// A copy of the value, made now. Waits until it has been made, and until nobody writes.
    ///
    /// The future can be awaited, or waited for on a thread ([`RpcFuture::wait`]), and has the timeout of a
    /// call ([`RpcFuture::timeout`]).
    pub fn to_here(&self) -> RpcFuture<T>
    where
        T: DeserializeOwned,
    {
        match self.handle.registry() {
            Ok(registry) => registry.fetch(&self.handle),
            Err(error) => RpcFuture::lost(self.owner(), "to_here", error),
        }
    }

    /// Resolves when the value has been made.
    ///
    /// ```
    /// # use rpc_core::CallError;
    /// # use rpc_rref::RRef;
    /// # async fn example(model: RRef<Vec<f32>>) {
    /// if let Err(error) = model.created().await {
    ///     match error.creation_error::<String>() {
    ///         Some(own) => println!("its function returned {own}"),
    ///         None => println!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the function that makes it ([`ReferenceError::CreationFailed`](rpc_core::ReferenceError::CreationFailed)), of the request to make it
    /// ([`ReferenceError::NotCreated`](rpc_core::ReferenceError::NotCreated)), and those of a call.
    pub fn created(&self) -> RpcFuture<()> {
        match self.handle.registry() {
            Ok(registry) => registry.ask_created(&self.handle),
            Err(error) => RpcFuture::lost(self.owner(), "created", error),
        }
    }
}

/// A second parameter for what is returned, rather than `T::Async<'_>`, because rustc then explains what is
/// missing of a type without remote methods.
impl<T> RRef<T> {
    /// Calls a method of the value where it is: `counter.rpc_async().add(5).await?`.
    pub fn rpc_async<'a, P: From<Proxy<'a, T>>>(&'a self) -> P
    where
        T: RemoteMethods<Async<'a> = P>,
    {
        Proxy::new(self).into()
    }

    /// As [`rpc_async`](Self::rpc_async), blocking this thread: `counter.rpc_sync().add(5)?`.
    pub fn rpc_sync<'a, P: From<Proxy<'a, T>>>(&'a self) -> P
    where
        T: RemoteMethods<Sync<'a> = P>,
    {
        Proxy::new(self).into()
    }

    /// Has a method run whose result stays with the owner: `let sum: RRef<u64> = counter.remote().add(5)?`.
    pub fn remote<'a, P: From<Proxy<'a, T>>>(&'a self) -> P
    where
        T: RemoteMethods<Remote<'a> = P>,
    {
        Proxy::new(self).into()
    }
}

impl<T> Clone for RRef<T> {
    fn clone(&self) -> Self {
        Self::new_of(Arc::clone(&self.handle))
    }
}

impl<T> PartialEq for RRef<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<T> Eq for RRef<T> {}

impl<T> Hash for RRef<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<T> fmt::Debug for RRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RRef<{}>({})", type_name::<T>(), self.id())
    }
}

impl<T> fmt::Display for RRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A reference that does not keep its value alive, nor its handle.
pub struct WeakRRef<T> {
    handle: Weak<Handle>,
    rref: RRefId,
    value: PhantomData<fn() -> T>,
}

impl<T> WeakRRef<T> {
    /// The reference, if one that it was made of, or a clone of that, still lives on this worker.
    pub fn upgrade(&self) -> Option<RRef<T>> {
        self.handle.upgrade().map(RRef::new_of)
    }

    /// What stands for the value, everywhere.
    pub fn id(&self) -> RRefId {
        self.rref
    }
}

impl<T> Clone for WeakRRef<T> {
    fn clone(&self) -> Self {
        Self { handle: Weak::clone(&self.handle), rref: self.rref, value: PhantomData }
    }
}

impl<T> fmt::Debug for WeakRRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakRRef<{}>({})", type_name::<T>(), self.rref)
    }
}
