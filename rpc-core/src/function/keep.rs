//! Results that stay where they were made, for a reference to them to be given out.

use std::any::{Any, type_name};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::lock_api::{ArcRwLockReadGuard, ArcRwLockWriteGuard};
use parking_lot::{RawRwLock, RwLock};
use postcard::ser_flavors::Size;
use serde::Serialize;

use crate::codec::{CodecError, Codecs, Encoded};
use crate::error::CreationError;
use crate::handles::AnyHandle;
use crate::message::Response;

/// Takes the end of a call in the caller's place.
///
/// Dropped without having been called, the call was cancelled or its deadline passed.
pub trait Keeper: Send + 'static {
    /// The call has ended. Returns what its caller gets.
    fn keep(self: Box<Self>, kept: Kept) -> Response;
}

/// What a call ended with that had a [`Keeper`].
pub enum Kept {
    /// Its value.
    Value(Arc<dyn Stored>),
    /// Its own error.
    Error {
        /// The type of the error.
        type_name: &'static str,
        /// Its words, where they are known whatever its type: of texts.
        text: Option<String>,
        /// The error; `None` if it could not be encoded.
        error: Option<CreationError>,
    },
    /// It panicked, or did not start.
    Failed(Response),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "Value({})", value.type_name()),
            Self::Error { type_name, .. } => write!(f, "Error({type_name})"),
            Self::Failed(response) => write!(f, "Failed({:?})", response.outcome),
        }
    }
}

/// A [`Slot`] whose type is not known.
pub trait Stored: Any + Send + Sync {
    /// The type of the value.
    fn type_name(&self) -> &'static str;

    /// Borrows the value to read, unless somebody writes.
    fn try_borrow(self: Arc<Self>) -> Option<Box<dyn StoredRead>>;

    /// Whether it is of consequence where the value is dropped: it has a destructor.
    fn needs_drop(&self) -> bool;
}

/// A value of unknown type, borrowed to read.
pub trait StoredRead: Send {
    /// Encodes the value; `None` if its type has no encoding.
    fn encode(&self, codecs: &Codecs, codec: u8) -> Option<Result<Encoded, CodecError>>;

    /// The handles inside of the value; `None` if its type has no encoding, by which they are found.
    fn handles(&self) -> Option<Vec<AnyHandle>>;
}

/// A value that stays, behind a lock without a queue: who finds it taken waits elsewhere.
pub struct Slot<T>(Arc<RwLock<Inner<T>>>);

struct Inner<T> {
    value: T,
    encode: Option<Encode<T>>,
}

type Encode<T> = fn(&T, Purpose<'_>) -> Result<Encoded, CodecError>;

/// What an encoding is for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    Send {
        codecs: &'a Codecs,
        codec: u8,
    },
    /// Only to find the handles inside.
    Survey,
}

fn encode<T: Serialize>(value: &T, purpose: Purpose<'_>) -> Result<Encoded, CodecError> {
    match purpose {
        Purpose::Send { codecs, codec } => codecs.encode_with_handles(codec, value),
        Purpose::Survey => {
            let (counted, collected) =
                crate::scope::collect(true, || postcard::serialize_with_flavor(value, Size::default()));
            counted.map_err(|error| CodecError::new("postcard", error))?;
            Ok(Encoded { payload: Vec::new(), parts: Vec::new(), handles: collected.handles })
        }
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// Keeps a value of which other workers can have copies.
    pub fn new(value: T) -> Self
    where
        T: Serialize,
    {
        Self(Arc::new(RwLock::new(Inner { value, encode: Some(encode::<T>) })))
    }

    /// Keeps a value that never leaves this worker.
    pub fn opaque(value: T) -> Self {
        Self(Arc::new(RwLock::new(Inner { value, encode: None })))
    }

    /// With its type forgotten.
    pub fn into_stored(self) -> Arc<dyn Stored> {
        self.0
    }

    /// The slot behind `stored`, if its value is a `T`.
    pub fn of(stored: &Arc<dyn Stored>) -> Option<Self> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(stored) as _;
        any.downcast().ok().map(Self)
    }

    /// Borrows the value to read, unless somebody writes.
    pub fn try_read(&self) -> Option<SlotRead<T>> {
        self.0.try_read_arc().map(SlotRead)
    }

    /// Borrows the value to write, unless somebody has it borrowed.
    pub fn try_write(&self) -> Option<SlotWrite<T>> {
        self.0.try_write_arc().map(SlotWrite)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot<{}>", type_name::<T>())
    }
}

impl<T: Send + Sync + 'static> Stored for RwLock<Inner<T>> {
    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn try_borrow(self: Arc<Self>) -> Option<Box<dyn StoredRead>> {
        Some(Box::new(SlotRead(self.try_read_arc()?)))
    }

    fn needs_drop(&self) -> bool {
        std::mem::needs_drop::<T>()
    }
}

/// A value borrowed to read.
pub struct SlotRead<T>(ArcRwLockReadGuard<RawRwLock, Inner<T>>);

/// A value borrowed to write.
pub struct SlotWrite<T>(ArcRwLockWriteGuard<RawRwLock, Inner<T>>);

impl<T: Send + Sync + 'static> StoredRead for SlotRead<T> {
    fn encode(&self, codecs: &Codecs, codec: u8) -> Option<Result<Encoded, CodecError>> {
        Some(self.0.encode?(&self.0.value, Purpose::Send { codecs, codec }))
    }

    fn handles(&self) -> Option<Vec<AnyHandle>> {
        self.0.encode?(&self.0.value, Purpose::Survey).ok().map(|encoded| encoded.handles)
    }
}

impl<T> Deref for SlotRead<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Deref for SlotWrite<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for SlotWrite<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for SlotRead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for SlotWrite<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::POSTCARD;

    #[test]
    fn a_slot_is_found_by_its_type_and_borrowed_once_to_write_or_often_to_read() {
        let stored = Slot::new(vec![1_u8]).into_stored();
        assert!(Slot::<u8>::of(&stored).is_none());
        let slot = Slot::<Vec<u8>>::of(&stored).unwrap();
        slot.try_write().unwrap().push(2);
        let (first, second) = (slot.try_read().unwrap(), slot.try_read().unwrap());
        assert!(slot.try_write().is_none());
        assert_eq!(*first, *second);
        drop((first, second));
        let writing = slot.try_write().unwrap();
        assert!(Arc::clone(&stored).try_borrow().is_none());
        drop(writing);
        let encoded = stored.try_borrow().unwrap().encode(&Codecs::default(), POSTCARD).unwrap();
        assert_eq!(encoded.unwrap().payload, [2, 1, 2]);
    }

    #[test]
    fn what_has_no_encoding_says_so() {
        let stored = Slot::opaque(std::sync::Mutex::new(1)).into_stored();
        let borrowed = stored.try_borrow().unwrap();
        assert!(borrowed.encode(&Codecs::default(), POSTCARD).is_none());
        assert!(borrowed.handles().is_none());
    }

    #[test]
    fn the_handles_inside_are_found_without_sending_anything() {
        struct Holder(AnyHandle);
        impl Serialize for Holder {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u32(crate::handles::put(Arc::clone(&self.0)).expect("it is asked for them"))
            }
        }
        let handle: AnyHandle = Arc::new(());
        let stored = Slot::new(vec![Holder(Arc::clone(&handle))]).into_stored();
        let found = stored.try_borrow().unwrap().handles().unwrap();
        assert!(found.len() == 1 && Arc::ptr_eq(&found[0], &handle));
    }
}
