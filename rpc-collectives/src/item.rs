//! [`Item`]: a value on its way, encoded once and decoded by those who get it.
//!
//! The leader passes items on as they are. It reads no value, needs none of the members' types, and not even their
//! codecs; but it has to know how many tensors' bytes and how many handles of references belong to each, since these
//! travel beside messages.

use bytes::Bytes;
use rpc_core::handles::{self, AnyHandle};
use rpc_core::{Body, CodecError, Codecs, Dtype, Encoded, Part, Tensor};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Up to this length what the codec wrote stands in the message itself; a part would cost an allocation of its own.
const INLINE_BYTES_MAX: usize = 256;

/// An encoded value, with what belongs to it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    codec: u8,
    payload: Payload,
    parts: Vec<Beside>,
    handles: Vec<Travelling>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Payload {
    Inline(Vec<u8>),
    Beside(Beside),
}

/// Bytes that travel beside the message, as those of a tensor do.
#[derive(Clone)]
struct Beside(Part);

/// A handle that travels beside the message.
#[derive(Clone)]
struct Travelling(AnyHandle);

impl Item {
    /// `value`, written by `codec`.
    pub(crate) fn encode<T: Serialize>(codecs: &Codecs, codec: u8, value: &T) -> Result<Self, CodecError> {
        let Encoded { payload, parts, handles } = codecs.encode_with_handles(codec, value)?;
        let payload = match payload.len() {
            ..=INLINE_BYTES_MAX => Payload::Inline(payload),
            _ => Payload::Beside(Beside(Part::from_vec(payload))),
        };
        let parts = parts.into_iter().map(Beside).collect();
        Ok(Self { codec, payload, parts, handles: handles.into_iter().map(Travelling).collect() })
    }

    /// How many bytes it has; `None` if there are handles among them, whose values would stay with it.
    pub(crate) fn bytes_alone(&self) -> Option<u64> {
        let payload = match &self.payload {
            Payload::Inline(bytes) => bytes.len(),
            Payload::Beside(Beside(part)) => part.len(),
        };
        let parts: usize = self.parts.iter().map(|Beside(part)| part.len()).sum();
        self.handles.is_empty().then_some((payload + parts) as u64)
    }

    /// The value.
    pub(crate) fn decode<T: DeserializeOwned>(self, codecs: &Codecs) -> Result<T, CodecError> {
        let payload = match self.payload {
            Payload::Inline(bytes) => Bytes::from(bytes),
            Payload::Beside(Beside(part)) => Bytes::from_owner(part),
        };
        let parts = self.parts.into_iter().map(|Beside(part)| part).collect();
        let handles = self.handles.into_iter().map(|Travelling(handle)| handle).collect();
        codecs.decode_with_handles(self.codec, Body { payload, parts }, handles)
    }
}

impl Serialize for Beside {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes = Tensor::from_part(Dtype::U8, &[self.0.len()], self.0.clone());
        bytes.map_err(S::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Beside {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Tensor::deserialize(from)?.part().clone()))
    }
}

impl Serialize for Travelling {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match handles::put(self.0.clone()) {
            Some(index) => to.serialize_u32(index),
            None => Err(S::Error::custom("a handle travels only in a message")),
        }
    }
}

impl<'de> Deserialize<'de> for Travelling {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(from)?;
        let missing = || D::Error::custom(format_args!("the message has no handle {index}"));
        handles::take(index).map(Self).ok_or_else(missing)
    }
}
