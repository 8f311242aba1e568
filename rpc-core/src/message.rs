//! What agents exchange: requests and responses, each a payload and out-of-band parts.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::ReferenceError;
use crate::part::Part;

/// What a request is for. The receiver has one [`Handler`](crate::Handler) for each kind that it serves.
///
/// 0x10 to 0x7f are the framework's, from [`CUSTOM_FIRST`](Self::CUSTOM_FIRST) on they are yours. Smaller values
/// belong to links and are no requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind(pub u8);

impl Kind {
    /// A call of a registered function.
    pub const CALL: Self = Self(0x10);
    /// The shutdown protocol (see [`proto::shutdown`](crate::proto::shutdown)).
    pub const SHUTDOWN: Self = Self(0x11);
    /// What those who count references tell each other (see [`handles`](crate::handles)).
    pub const REFERENCES: Self = Self(0x12);
    /// In what the sender's functions differ from the receiver's (see
    /// [`FunctionComparison`](crate::FunctionComparison)).
    pub(crate) const FUNCTIONS: Self = Self(0x19);
    /// First kind that is free for protocols outside of this framework.
    pub const CUSTOM_FIRST: Self = Self(0x80);
    /// Smaller values belong to links (see [`wire`](crate::wire)); no request may carry them.
    pub(crate) const REQUEST_FIRST: u8 = 0x10;

    /// Whether this is one of the *control kinds*, [`SHUTDOWN`](Self::SHUTDOWN) and
    /// [`REFERENCES`](Self::REFERENCES): what keeps a group in order must get through when calls do not. An engine
    /// neither counts them among the calls in flight nor refuses them because of what is queued. In return
    /// each of these protocols has no more than a few of them out to a peer at a time.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::SHUTDOWN | Self::REFERENCES)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CALL => f.write_str("call"),
            Self::SHUTDOWN => f.write_str("shutdown"),
            Self::REFERENCES => f.write_str("references"),
            Self::FUNCTIONS => f.write_str("functions"),
            Self(other) => write!(f, "kind {other:#04x}"),
        }
    }
}

/// Bytes to be carried, as an encoded payload and out-of-band parts.
#[derive(Clone, Default)]
pub struct Body {
    /// What the codec wrote.
    pub payload: Bytes,
    /// Bulk bytes that the payload refers to by index; they are never copied into it.
    pub parts: Vec<Part>,
}

impl Body {
    /// A body without parts.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), parts: Vec::new() }
    }

    /// Payload and parts together, in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.parts.iter().fold(self.payload.len() as u64, |sum, part| sum + part.len() as u64)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B and {} parts", self.payload.len(), self.parts.len())
    }
}

/// A request as the caller hands it to an [`Agent`](crate::Agent).
#[derive(Clone, Debug)]
pub struct Request {
    /// Which handler on the other side takes it.
    pub kind: Kind,
    /// Which of the handler's functions: a [`FunctionId`](crate::FunctionId) for [`Kind::CALL`].
    pub method: u64,
    /// Id of the codec that wrote the payload (see [`Codec::id`](crate::Codec::id)), with
    /// [`aside::FLAG`](crate::aside::FLAG) if the payload ends with an aside, and with bits of their own if a
    /// [trace context](crate::TraceParent) follows, or what a [`Follower`](crate::Follower) sends.
    pub codec: u8,
    /// How long the caller will wait. The wire carries it as remaining time, so the clocks of two
    /// workers are never compared. `None` waits for ever.
    pub timeout: Option<Duration>,
    /// Arguments.
    pub body: Body,
}

/// How a request ended on the side that served it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Outcome {
    /// The handler returned; the payload is its value.
    Ok = 0,
    /// The handler returned its own error; the payload is that error.
    HandlerError = 1,
    /// The handler panicked; the payload has message and location.
    Panicked = 2,
    /// No such function; the payload has similar names.
    UnknownFunction = 3,
    /// The function exists with another signature; the payload has it.
    SignatureMismatch = 4,
    /// The arguments could not be decoded; the payload says why. The handler did not run.
    BadArguments = 5,
    /// A bound was reached; the payload names it. The handler did not run.
    Overloaded = 6,
    /// The deadline passed on the serving side.
    DeadlineExceeded = 7,
    /// The caller cancelled.
    Cancelled = 8,
    /// The worker no longer takes requests. The handler did not run.
    ShuttingDown = 9,
    /// The worker has no such codec; the payload lists those that it has. The handler did not run.
    UnknownCodec = 10,
    /// Nobody serves this kind of request here. The handler did not run.
    UnknownKind = 11,
    /// The handler ran but its result could not be encoded; the payload says why.
    BadResult = 12,
    /// A reference in the request is of no use; the payload is the [`ReferenceError`] in postcard. The
    /// handler did not run.
    Reference = 13,
    /// The worker's [`Gatekeeper`](crate::Gatekeeper) does not let the caller call the function; the payload names the
    /// caller and has the reason. The handler did not run.
    Denied = 14,
}

impl Outcome {
    /// The outcome with this number on the wire.
    pub fn from_wire(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::HandlerError,
            2 => Self::Panicked,
            3 => Self::UnknownFunction,
            4 => Self::SignatureMismatch,
            5 => Self::BadArguments,
            6 => Self::Overloaded,
            7 => Self::DeadlineExceeded,
            8 => Self::Cancelled,
            9 => Self::ShuttingDown,
            10 => Self::UnknownCodec,
            11 => Self::UnknownKind,
            12 => Self::BadResult,
            13 => Self::Reference,
            14 => Self::Denied,
            _ => return None,
        })
    }
}

/// The answer to a [`Request`]. Each request gets exactly one, or its link dies.
#[derive(Clone, Debug)]
pub struct Response {
    /// How it ended.
    pub outcome: Outcome,
    /// Codec of the payload for [`Outcome::Ok`] and [`Outcome::HandlerError`], with
    /// [`aside::FLAG`](crate::aside::FLAG) if the payload ends with an aside; 0 otherwise, where the payload is
    /// the framework's own.
    pub codec: u8,
    /// Value, error or explanation.
    pub body: Body,
}

impl Response {
    /// An outcome other than a value, with texts that explain it (see [`Outcome`] for which).
    pub fn failed(outcome: Outcome, details: &[&str]) -> Self {
        Self { outcome, codec: 0, body: Body::new(encode_details(details)) }
    }

    /// A reference in the request is of no use.
    pub fn reference(error: &ReferenceError) -> Self {
        let payload = postcard::to_stdvec(error).unwrap_or_default();
        Self { outcome: Outcome::Reference, codec: 0, body: Body::new(payload) }
    }

    /// The texts of a response made by [`failed`](Self::failed); empty where the peer sent none.
    pub fn details(&self) -> Vec<String> {
        decode_details(&self.body.payload)
    }
}

/// Longest text in the details of a failure; longer ones are cut.
const DETAIL_BYTES_MAX: usize = 8 << 10;

fn encode_details(details: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in details {
        let cut = text.floor_char_boundary(DETAIL_BYTES_MAX);
        out.extend_from_slice(&(cut as u32).to_le_bytes());
        out.extend_from_slice(&text.as_bytes()[..cut]);
    }
    out
}

fn decode_details(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some((text, rest)) = rest.split_at_checked(len.min(DETAIL_BYTES_MAX)) else { break };
        texts.push(String::from_utf8_lossy(text).into_owned());
        bytes = rest;
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_travel_and_garbage_in_them_is_harmless() {
        let response = Response::failed(Outcome::Panicked, &["a\\b \u{1f980}", "", "src/x.rs:1:2"]);
        assert_eq!(response.details(), ["a\\b \u{1f980}", "", "src/x.rs:1:2"]);
        assert_eq!(decode_details(&[255, 255, 255, 255, 1, 2]), Vec::<String>::new());
        assert_eq!(decode_details(&[1, 0]), Vec::<String>::new());
    }

    #[test]
    fn outcomes_keep_their_numbers() {
        for code in 0..=u8::MAX {
            if let Some(outcome) = Outcome::from_wire(code) {
                assert_eq!(outcome as u8, code);
            }
        }
        assert!(Outcome::from_wire(14).is_some() && Outcome::from_wire(15).is_none());
    }
}
