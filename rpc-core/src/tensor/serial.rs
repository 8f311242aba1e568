//! Serde for tensors: a reference to an out-of-band part inside a call, in-line bytes elsewhere.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Dtype, Tensor};
use crate::part::PartBuf;
use crate::scope;

/// What the codec sees of a tensor.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Tensor")]
struct Repr<'a> {
    dtype: u8,
    shape: Vec<u64>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Serialize, Deserialize)]
enum Data<'a> {
    /// Index into the parts of the body.
    Part(u32),
    #[serde(borrow)]
    Inline(#[serde(with = "inline_bytes")] Cow<'a, [u8]>),
}

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = match scope::add_part(&self.data) {
            Some(index) => Data::Part(index),
            None => Data::Inline(Cow::Borrowed(&self.data)),
        };
        let shape = self.shape.iter().map(|extent| *extent as u64).collect();
        Repr { dtype: self.dtype as u8, shape, data }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let repr = Repr::deserialize(deserializer)?;
        let dtype = Dtype::from_wire(repr.dtype)
            .ok_or_else(|| D::Error::custom(format!("no dtype has number {}", repr.dtype)))?;
        let shape: Vec<usize> = repr
            .shape
            .iter()
            .map(|extent| usize::try_from(*extent))
            .collect::<Result<_, _>>()
            .map_err(D::Error::custom)?;
        let data = match repr.data {
            Data::Part(index) => scope::part_at(index)
                .ok_or_else(|| D::Error::custom(format!("the message has no part {index}")))?,
            Data::Inline(bytes) => PartBuf::copy_of(&bytes).map_err(D::Error::custom)?.freeze(),
        };
        Tensor::from_part(dtype, &shape, data).map_err(D::Error::custom)
    }
}

/// Bytes as serde bytes, whichever way a format gives them back.
mod inline_bytes {
    use std::borrow::Cow;
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ptr_arg, reason = "serde's `with` passes the field's type")]
    pub(super) fn serialize<S: Serializer>(bytes: &Cow<'_, [u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, [u8]>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, [u8]>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(bytes))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Cow::Owned(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Cow::Owned(bytes))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{self, Collected};

    fn tensor() -> Tensor {
        Tensor::from_vec(vec![1.5_f32, -2.0, 0.0], [3, 1]).unwrap()
    }

    #[test]
    fn inside_a_call_the_bytes_are_a_part_and_are_not_copied() {
        let original = tensor();
        let (payload, Collected { parts, .. }) =
            scope::collect(false, || postcard::to_stdvec(&vec![Some(original.clone())]).unwrap());
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].as_ptr(), original.part().as_ptr());
        assert!(payload.len() < 12, "only the description: {} B", payload.len());
        let back: Vec<Option<Tensor>> =
            scope::offer(parts, vec![], || postcard::from_bytes(&payload).unwrap());
        assert_eq!(back, [Some(original)]);
    }

    #[test]
    fn elsewhere_the_bytes_are_in_line() {
        let json = serde_json::to_string(&tensor()).unwrap();
        assert_eq!(serde_json::from_str::<Tensor>(&json).unwrap(), tensor());
        let bytes = postcard::to_stdvec(&tensor()).unwrap();
        assert_eq!(postcard::from_bytes::<Tensor>(&bytes).unwrap(), tensor());
    }

    #[test]
    fn a_description_that_does_not_fit_its_part_is_refused() {
        let (payload, _) = scope::collect(false, || postcard::to_stdvec(&tensor()).unwrap());
        let wrong = vec![crate::Part::from_vec(vec![0_u8; 11])];
        assert!(scope::offer(wrong, vec![], || postcard::from_bytes::<Tensor>(&payload)).is_err());
        assert!(scope::offer(vec![], vec![], || postcard::from_bytes::<Tensor>(&payload)).is_err());
    }
}
