//! [`Json`]: payloads that people can read.

use super::{Codec, CodecError, JSON, Read};

const NAME: &str = "json";

/// JSON, by `serde_json`: for calls that are to be read in a capture or a log, and for types that need a
/// self-describing format (`#[serde(untagged)]`, `#[serde(flatten)]`, fields that one side lacks). Tensors and
/// references stay beside it, so they cost what they always do.
///
/// What JSON cannot say: a float that is no number or infinite becomes `null`, and is no float at the other end;
/// `Some(None)` becomes `None`; keys of maps have to be text or numbers. Bytes in a payload become a list of numbers.
///
/// ```
/// use rpc_core::{Codecs, JSON};
/// let codecs = Codecs::default(); // has it, since it is compiled in
/// let body = codecs.encode(JSON, &("two", 2))?;
/// assert_eq!(&body.payload[..], br#"["two",2]"#);
/// # Ok::<(), rpc_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    fn id(&self) -> u8 {
        JSON
    }

    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(|error| CodecError::new(NAME, error))
    }

    fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
            .map_err(|error| CodecError::new(NAME, error))?;
        json.end().map_err(|error| CodecError::new(NAME, error))
    }
}
