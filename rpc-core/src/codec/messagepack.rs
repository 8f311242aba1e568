//! [`MessagePack`]: compact payloads that describe themselves.

use serde::Serialize;

use super::{Codec, CodecError, MESSAGEPACK, Read};

const NAME: &str = "messagepack";

/// MessagePack, by `rmp-serde`, with the names of fields: for types that need a self-describing format
/// (`#[serde(untagged)]`, `#[serde(flatten)]`, fields that one side lacks), in fewer bytes than JSON and without its
/// limits. `Some(None)` becomes `None` here too.
///
/// ```
/// use rpc_core::{Codecs, MESSAGEPACK};
/// let codecs = Codecs::default(); // has it, since it is compiled in
/// let body = codecs.encode(MESSAGEPACK, &("two", f64::INFINITY))?;
/// let back: (String, f64) = codecs.decode(MESSAGEPACK, body)?;
/// assert_eq!(back, ("two".into(), f64::INFINITY));
/// # Ok::<(), rpc_core::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl Codec for MessagePack {
    fn id(&self) -> u8 {
        MESSAGEPACK
    }

    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut to = rmp_serde::Serializer::new(out).with_struct_map();
        value.serialize(&mut to).map_err(|error| CodecError::new(NAME, error))
    }

    fn decode(&self, bytes: &[u8], read: &mut Read<'_>) -> Result<(), CodecError> {
        let mut rest = bytes;
        let mut from = rmp_serde::Deserializer::new(&mut rest);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut from))
            .map_err(|error| CodecError::new(NAME, error))?;
        drop(from);
        match rest {
            [] => Ok(()),
            _ => Err(CodecError::new(NAME, format_args!("{} bytes left over", rest.len()))),
        }
    }
}
