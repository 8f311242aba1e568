//! How values become payload bytes: a codec for each worker, or for a [`CallScope`](crate::CallScope) (what torch's
//! `_use_rpc_pickler` was). Replies are written by the codec of their request.

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "messagepack")]
mod messagepack;

mod scratch;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handles::AnyHandle;
use crate::message::Body;
use crate::part::Part;
use crate::scope;

/// Turns values into payload bytes and back.
///
/// Every message says which codec wrote it, and a reply uses the codec of its request, so workers with
/// different defaults understand each other as long as both have both. There are postcard (always),
/// `MessagePack` and `Json` (with the features of these names), and yours.
///
/// The types are erased by `erased_serde` (a public dependency, for the sake of this seam); postcard, the
/// default, does not take this way and pays nothing for it.
///
/// # For implementors
/// Ids below 64 are the framework's; take one of 64 to 79. `decode` must fail if bytes are left over, so
/// that differing types on the two sides are noticed.
///
/// ```
/// use std::sync::Arc;
/// use rpc_core::{Codec, CodecError, Codecs, Read};
///
/// /// Postcard with its bytes turned over, so that nobody reads it by accident.
/// #[derive(Debug)]
/// struct Inverted;
///
/// impl Codec for Inverted {
///     fn id(&self) -> u8 {
///         64
///     }
///     fn name(&self) -> &str {
///         "inverted"
///     }
///     fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         let plain = postcard::to_stdvec(value).map_err(|error| CodecError::new("inverted", error))?;
///         out.extend(plain.iter().map(|byte| !byte));
///         Ok(())
///     }
///     fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
///         let plain: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
///         let mut from = postcard::Deserializer::from_bytes(&plain);
///         read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut from))
///             .map_err(|error| CodecError::new("inverted", error))?;
///         match from.finalize() {
///             Ok([]) => Ok(()),
///             _ => Err(CodecError::new("inverted", "bytes are left over")),
///         }
///     }
/// }
///
/// let codecs = Codecs::default().with_default(Arc::new(Inverted));
/// let body = codecs.encode(64, &1_u8)?;
/// assert_eq!((&body.payload[..], codecs.decode::<u8>(64, body.clone())?), (&[!1][..], 1));
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The number that stands for this codec on the wire: without the bits 0x20 and 0x80, which have meanings of
    /// their own there.
    fn id(&self) -> u8;

    /// Its name, for messages.
    fn name(&self) -> &str;

    /// Appends `value` to `out`.
    ///
    /// # Errors
    /// A value that this codec cannot express.
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Calls `read` once with a deserializer over `bytes`.
    ///
    /// # Errors
    /// Bytes that are no value of the type that `read` reads.
    fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError>;
}

/// What [`Codec::decode`] calls with its deserializer.
pub type Read<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// A value that a codec could not write or read, in the codec's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{codec}: {reason}")]
pub struct CodecError {
    /// The codec's name.
    pub codec: String,
    /// What it had to say.
    pub reason: String,
}

impl CodecError {
    /// An error of `codec`.
    pub fn new(codec: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { codec: codec.into(), reason: reason.to_string() }
    }
}

/// An encoded value on its way into a message.
pub struct Encoded {
    /// What the codec wrote.
    pub payload: Vec<u8>,
    /// Bulk bytes beside it.
    pub parts: Vec<Part>,
    /// Handles beside it, by index.
    pub handles: Vec<AnyHandle>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (payload, parts, handles) = (self.payload.len(), self.parts.len(), self.handles.len());
        write!(f, "{payload} B, {parts} parts and {handles} handles")
    }
}

/// Wire id of postcard, the codec of a worker that says nothing.
pub const POSTCARD: u8 = 1;
/// Wire id of `MessagePack`, which a worker has with the feature `messagepack`.
pub const MESSAGEPACK: u8 = 2;
/// Wire id of `Json`, which a worker has with the feature `json`.
pub const JSON: u8 = 3;
const POSTCARD_NAME: &str = "postcard";

/// The codecs of one worker: postcard, those that are compiled in, and those that were added. One of them writes
/// requests.
///
/// ```
/// use rpc_core::Codecs;
/// let codecs = Codecs::default();
/// let body = codecs.encode(codecs.default_id(), &(1_u32, "two"))?;
/// let back: (u32, String) = codecs.decode(codecs.default_id(), body)?;
/// assert_eq!(back, (1, "two".into()));
/// # Ok::<(), rpc_core::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codecs {
    default_id: u8,
    others: Vec<Arc<dyn Codec>>,
}

impl Default for Codecs {
    fn default() -> Self {
        let codecs = Self::postcard_only();
        #[cfg(feature = "messagepack")]
        let codecs = codecs.with(Arc::new(MessagePack));
        #[cfg(feature = "json")]
        let codecs = codecs.with(Arc::new(Json));
        codecs
    }
}

impl Codecs {
    /// Postcard, and nothing else that is compiled in: for a worker that is to decode nothing else.
    pub fn postcard_only() -> Self {
        Self { default_id: POSTCARD, others: Vec::new() }
    }

    /// Adds a codec that this worker understands; one with the same id is replaced.
    ///
    /// # Panics
    /// If its id has one of the bits that do not belong to an id, is 0, or is postcard's.
    #[must_use]
    pub fn with(mut self, codec: Arc<dyn Codec>) -> Self {
        let (id, name) = (codec.id(), codec.name());
        let flags = crate::aside::FLAG | crate::trace::FLAG | crate::observe::note::FLAG;
        let is_id = id & flags == 0 && id > POSTCARD;
        assert!(is_id, "codec {name} cannot have the id {id}; take one of 64 to 79");
        self.others.retain(|other| other.id() != codec.id());
        self.others.push(codec);
        self
    }

    /// Adds a codec and uses it for this worker's requests.
    #[must_use]
    pub fn with_default(self, codec: Arc<dyn Codec>) -> Self {
        let default_id = codec.id();
        Self { default_id, ..self.with(codec) }
    }

    /// The id of the codec that writes requests.
    pub fn default_id(&self) -> u8 {
        self.default_id
    }

    /// Names of all codecs here.
    pub fn names(&self) -> Vec<String> {
        let others = self.others.iter().map(|codec| codec.name().to_owned());
        std::iter::once(POSTCARD_NAME.to_owned()).chain(others).collect()
    }

    /// Whether codec `id` is one of these.
    pub fn has(&self, id: u8) -> bool {
        id == POSTCARD || self.find(id).is_some()
    }

    /// Encodes `value`, its tensors as out-of-band parts.
    ///
    /// # Errors
    /// What the codec says, or that there is no codec `id`.
    pub fn encode<T: Serialize + ?Sized>(&self, id: u8, value: &T) -> Result<Body, CodecError> {
        let (payload, collected) = scope::collect(false, || self.encode_payload(id, value));
        Ok(Body { payload: payload?.into(), parts: collected.parts })
    }

    /// As [`encode`](Self::encode), for a message that can carry handles: returns the payload as it can still
    /// be appended to, the parts, and the handles that values inside have put.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with_handles<T: Serialize + ?Sized>(
        &self,
        id: u8,
        value: &T,
    ) -> Result<Encoded, CodecError> {
        let (payload, collected) = scope::collect(true, || self.encode_payload(id, value));
        Ok(Encoded { payload: payload?, parts: collected.parts, handles: collected.handles })
    }

    fn encode_payload<T: Serialize + ?Sized>(&self, id: u8, value: &T) -> Result<Vec<u8>, CodecError> {
        if id == POSTCARD {
            return scratch::write(|scratch| {
                postcard::to_extend(value, scratch).map_err(|error| CodecError::new(POSTCARD_NAME, error))
            });
        }
        scratch::write(|mut scratch| {
            self.get(id)?.encode(&value, &mut scratch)?;
            Ok(scratch)
        })
    }

    /// Decodes a whole body.
    ///
    /// # Errors
    /// What the codec says, bytes left over, or that there is no codec `id`.
    pub fn decode<T: DeserializeOwned>(&self, id: u8, body: Body) -> Result<T, CodecError> {
        self.decode_with_handles(id, body, Vec::new())
    }

    /// As [`decode`](Self::decode), with the handles that have come with the message. Those that no value
    /// takes are dropped.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_with_handles<T: DeserializeOwned>(
        &self,
        id: u8,
        body: Body,
        handles: Vec<AnyHandle>,
    ) -> Result<T, CodecError> {
        if body.parts.is_empty() && handles.is_empty() {
            return self.decode_payload(id, &body.payload);
        }
        scope::offer(body.parts, handles, || self.decode_payload(id, &body.payload))
    }

    fn decode_payload<T: DeserializeOwned>(&self, id: u8, payload: &[u8]) -> Result<T, CodecError> {
        if id == POSTCARD {
            return match postcard::take_from_bytes(payload) {
                Ok((value, [])) => Ok(value),
                Ok((_, rest)) => {
                    Err(CodecError::new(POSTCARD_NAME, format!("{} bytes left over", rest.len())))
                }
                Err(error) => Err(CodecError::new(POSTCARD_NAME, error)),
            };
        }
        let codec = self.get(id)?;
        let mut value = None;
        codec.decode(payload, &mut |deserializer| {
            value = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        })?;
        value.ok_or_else(|| CodecError::new(codec.name(), "the codec did not read a value"))
    }

    fn find(&self, id: u8) -> Option<&Arc<dyn Codec>> {
        self.others.iter().find(|codec| codec.id() == id)
    }

    fn get(&self, id: u8) -> Result<&Arc<dyn Codec>, CodecError> {
        self.find(id).ok_or_else(|| {
            CodecError::new(
                format!("codec {id}"),
                format!(
                    "unknown here; there are {}; add it with also_codec, or by the feature of its name",
                    self.names().join(", ")
                ),
            )
        })
    }
}

// The public interface is:
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "messagepack")]
pub use self::messagepack::MessagePack;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Tensor;

    /// Every codec that is compiled in.
    fn ids() -> Vec<u8> {
        let codecs = Codecs::default();
        (0..=u8::MAX).filter(|id| codecs.has(*id)).collect()
    }

    #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Box { width: u64, height: Option<i8> },
    }

    type Everything = (Vec<Shape>, BTreeMap<i64, String>, char, f32, i128, Tensor);

    #[test]
    fn every_codec_carries_values_tensors_and_what_serde_can_say() {
        let tensor = Tensor::from_vec(vec![1_u8, 2], [2]).unwrap();
        let shapes = vec![
            Shape::Point,
            Shape::Circle(0.1 + 0.2),
            Shape::Box { width: u64::MAX, height: None },
            Shape::Box { width: 0, height: Some(-128) },
        ];
        let by_number = BTreeMap::from([(-7_i64, "minus seven \u{1f980}".to_owned())]);
        let value: Everything = (shapes, by_number, 'x', f32::MIN_POSITIVE, i128::MIN, tensor);
        for id in ids() {
            let codecs = Codecs::default();
            let body = codecs.encode(id, &value).unwrap();
            assert_eq!(body.parts.len(), 1, "codec {id}");
            assert_eq!(codecs.decode::<Everything>(id, body).unwrap(), value, "codec {id}");
        }
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error_of_every_codec() {
        let codecs = Codecs::default();
        for id in ids() {
            let mut payload = codecs.encode(id, &7_u8).unwrap().payload.to_vec();
            assert_eq!(codecs.decode::<u8>(id, Body::new(payload.clone())).unwrap(), 7);
            payload.extend(payload.clone());
            if id == JSON {
                payload.insert(1, b' ');
            }
            assert!(codecs.decode::<u8>(id, Body::new(payload)).is_err(), "codec {id}");
            assert!(codecs.decode::<u8>(id, Body::default()).is_err(), "codec {id}");
        }
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_an_error_of_every_codec_and_never_a_panic(bytes: Vec<u8>) {
            for id in ids() {
                let _ = Codecs::default().decode::<(Shape, Vec<String>, Tensor)>(id, Body::new(bytes.clone()));
            }
        }
    }

    #[test]
    fn an_unknown_codec_is_an_error_that_says_what_there_is() {
        let error = Codecs::postcard_only().decode::<u8>(JSON, Body::default()).unwrap_err();
        assert!(error.to_string().contains("there are postcard; add it"), "{error}");
        assert_eq!(Codecs::postcard_only().names(), ["postcard"]);
    }

    /// A codec of an id that it must not have.
    #[derive(Debug)]
    struct Misnumbered(u8);

    impl Codec for Misnumbered {
        fn id(&self) -> u8 {
            self.0
        }

        fn name(&self) -> &str {
            "misnumbered"
        }

        fn encode(&self, _: &dyn erased_serde::Serialize, _: &mut Vec<u8>) -> Result<(), CodecError> {
            Ok(())
        }

        fn decode(&self, _: &[u8], _: &mut Read<'_>) -> Result<(), CodecError> {
            Ok(())
        }
    }

    #[test]
    fn ids_with_bits_that_mean_something_else_are_refused() {
        for id in [0, POSTCARD, 0x10, 0x20, 0x50, 0x60, 0x80, 0xff] {
            let added = std::panic::catch_unwind(|| Codecs::default().with(Arc::new(Misnumbered(id))));
            assert!(added.is_err(), "{id:#x}");
        }
        assert!(Codecs::default().with(Arc::new(Misnumbered(79))).has(79));
    }
}
