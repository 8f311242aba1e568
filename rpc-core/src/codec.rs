//! How values become payload bytes: a trait chosen per worker (what torch's `_use_rpc_pickler` was).

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
/// different defaults understand each other as long as both have both.
///
/// The types are erased by `erased_serde` (a public dependency, for the sake of this seam); postcard, the
/// default, does not take this way and pays nothing for it.
///
/// # For implementors
/// Ids below 64 are the framework's; take one of 64 to 127. `decode` must fail if bytes are left over, so
/// that differing types on the two sides are noticed.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The number that stands for this codec on the wire.
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

/// Wire id of postcard.
pub const POSTCARD: u8 = 1;
const POSTCARD_NAME: &str = "postcard";

/// The codecs of one worker: postcard, and those that were added. One of them writes requests.
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
        Self { default_id: POSTCARD, others: Vec::new() }
    }
}

impl Codecs {
    /// Adds a codec that this worker understands; one with the same id is replaced.
    ///
    /// # Panics
    /// If its id is above 127: the highest bit has a meaning of its own ([`aside::FLAG`](crate::aside::FLAG)).
    #[must_use]
    pub fn with(mut self, codec: Arc<dyn Codec>) -> Self {
        assert!(codec.id() & crate::aside::FLAG == 0, "the id of codec {} is above 127", codec.name());
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
                format!("unknown here; there are {}", self.names().join(", ")),
            )
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Tensor;

    /// JSON through the erased seam: the second codec that proves it.
    #[derive(Debug)]
    pub(crate) struct Json;

    impl Codec for Json {
        fn id(&self) -> u8 {
            64
        }

        fn name(&self) -> &str {
            "json"
        }

        fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
            serde_json::to_writer(out, value).map_err(|error| CodecError::new("json", error))
        }

        fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
                .map_err(|error| CodecError::new("json", error))?;
            json.end().map_err(|error| CodecError::new("json", error))
        }
    }

    #[test]
    fn a_second_codec_carries_values_and_tensors() {
        let codecs = Codecs::default().with_default(Arc::new(Json));
        let tensor = Tensor::from_vec(vec![1_u8, 2], [2]).unwrap();
        let body = codecs.encode(64, &("x", &tensor)).unwrap();
        assert!(body.payload.starts_with(b"[\"x\""));
        assert_eq!(body.parts.len(), 1);
        assert_eq!(codecs.decode::<(String, Tensor)>(64, body).unwrap(), ("x".into(), tensor));
    }

    #[test]
    fn leftover_bytes_and_unknown_codecs_are_errors() {
        let codecs = Codecs::default();
        let body = codecs.encode(POSTCARD, &(1_u8, 2_u8)).unwrap();
        assert!(codecs.decode::<u8>(POSTCARD, body).unwrap_err().to_string().contains("left over"));
        let error = codecs.decode::<u8>(99, Body::default()).unwrap_err();
        assert!(error.to_string().contains("there are postcard"), "{error}");
        let json = codecs.clone().with(Arc::new(Json));
        assert!(json.decode::<u8>(64, Body::new(&b"1 2"[..])).is_err());
    }
}
