//! References inside of messages: their handles travel beside the message, and here is their index.

use std::sync::Arc;

use rpc_core::handles;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::{DeadHandle, Handle};
use crate::rref::RRef;

impl<T> Serialize for RRef<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let handle: handles::AnyHandle = Arc::clone(self.handle()) as _;
        let index = handles::put(handle).ok_or_else(|| {
            S::Error::custom("an RRef travels only inside of the arguments and results of calls; to store the value, serialize a copy of it (to_here())")
        })?;
        to.serialize_u32(index)
    }
}

impl<'de, T> Deserialize<'de> for RRef<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(from)?;
        let handle = handles::take(index).ok_or_else(|| {
            D::Error::custom("an RRef can be read only out of the arguments and results of calls")
        })?;
        match handle.downcast::<Handle>() {
            Ok(handle) => Ok(Self::new_of(handle)),
            Err(other) => Err(match other.downcast_ref::<DeadHandle>() {
                Some(DeadHandle(rref)) => {
                    D::Error::custom(format_args!("{rref} came in a message that its sender had given up"))
                }
                None => D::Error::custom("a handle of another kind"),
            }),
        }
    }
}
