//! [`TraceParent`]: where a call belongs in a distributed trace, and how that travels.
//!
//! The format is W3C Trace Context (<https://www.w3.org/TR/trace-context/>), of which the `traceparent` travels: 25
//! bytes at the end of a request's payload, behind an [aside](crate::aside) if there is one. A bit of the codec says
//! that they are there, so that a call without them is not a byte longer, and agents and transports need not know.
//!
//! ```text
//! payload: | encoded value | aside, if any | trace id, 16 | parent id, 8 | flags, 1 |        codec: id | FLAG
//! ```
//!
//! No tracing system is named here. One takes part through [`Client::set_trace_source`](crate::Client::set_trace_source),
//! which says what the calls of a worker are children of, and [`SpanHook::serving`](crate::SpanHook::serving),
//! which takes what the span of a handler is a child of; [`CallContext::trace`](crate::CallContext::trace) says it too.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::agent::Incoming;
use crate::call_scope::CallScope;
use crate::codec::CodecError;
use crate::context::CallContext;
use crate::observe::note;

/// Set in the codec of a request whose payload ends with a trace context.
pub(crate) const FLAG: u8 = 0x20;

const BYTES: usize = 25;
/// Length of the text in version 0 of the format.
const TEXT_BYTES: usize = 55;
/// The flags that the standard defines: sampled, and a trace id that is random.
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// A trace and the operation in it that something is a child of: the `traceparent` of W3C Trace Context.
///
/// Parses and shows the text of the standard. What a peer sends is checked in the same way; what is not valid counts
/// as absent, as the standard asks.
///
/// ```
/// use rpc_core::TraceParent;
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent: TraceParent = text.parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
/// assert!("00-00000000000000000000000000000000-00f067aa0ba902b7-01".parse::<TraceParent>().is_err());
/// # Ok::<(), rpc_core::InvalidTraceParent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no valid traceparent; it looks like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The operation `parent_id` of trace `trace_id`. `None` if one of them is all zeros, which stands for none.
    /// Flags that the standard does not define are cleared.
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], flags: u8) -> Option<Self> {
        let is_valid = trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self { trace_id, parent_id, flags: flags & KNOWN_FLAGS })
    }

    /// What a call carries that is made here and now: what the [`CallScope`] says, else what the handler that runs here
    /// was called with. A [trace source](crate::Client::set_trace_source) is not asked.
    pub fn current() -> Option<Self> {
        CallScope::current().trace.or_else(|| CallContext::current()?.trace())
    }

    /// The trace.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The operation.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// The flags; the lowest bit is *sampled*.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..24].copy_from_slice(&self.parent_id);
        bytes[24] = self.flags;
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (parent_id, flags) = rest.split_first_chunk()?;
        Self::new(*trace_id, *parent_id, *flags.first()?)
    }
}

/// Appends `trace` to the payload of a request and returns the codec byte to go with it.
pub(crate) fn append(codec: u8, payload: &mut Vec<u8>, trace: TraceParent) -> u8 {
    payload.extend_from_slice(&trace.to_bytes());
    codec | FLAG
}

impl Incoming {
    /// Takes the trace context off the payload, if there is one, and puts it into the [context](CallContext::trace); and
    /// what the caller's [`Follower`](crate::Follower) has sent with it.
    ///
    /// For handlers that read the payload of a [`Client`](crate::Client)'s request by themselves, before they take
    /// the [aside](crate::aside) off; [`Serving::new`](crate::Serving::new) does it for all others.
    ///
    /// # Errors
    /// The codec announces one, and the payload is shorter than that.
    #[inline]
    pub fn take_trailers(&mut self) -> Result<(), CodecError> {
        if self.request.codec & (FLAG | note::FLAG) == 0 {
            return Ok(());
        }
        if let Some(note) = note::split(&mut self.request.codec, &mut self.request.body.payload)? {
            self.context.set_note(note);
        }
        if self.request.codec & FLAG == 0 {
            return Ok(());
        }
        let trace = split(&mut self.request.codec, &mut self.request.body.payload)?;
        if let Some(trace) = trace {
            self.context.set_trace(trace);
        }
        Ok(())
    }
}

fn split(codec: &mut u8, payload: &mut Bytes) -> Result<Option<TraceParent>, CodecError> {
    let missing = || CodecError::new("trace", "the payload is shorter than what it announces");
    let at = payload.len().checked_sub(BYTES).ok_or_else(missing)?;
    let trace = payload.split_off(at);
    *codec &= !FLAG;
    Ok(trace.first_chunk().and_then(TraceParent::from_bytes))
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        for byte in self.trace_id {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("-")?;
        for byte in self.parent_id {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes what a later version of the standard appends, as the standard asks.
impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        parse(text.as_bytes()).ok_or(InvalidTraceParent)
    }
}

fn parse(text: &[u8]) -> Option<TraceParent> {
    let (known, more) = text.split_at_checked(TEXT_BYTES)?;
    let [version] = hex(&known[..2])?;
    let fits = match version {
        0xff => false,
        0 => more.is_empty(),
        _ => more.first().is_none_or(|byte| *byte == b'-'),
    };
    let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    if !fits || !dashes {
        return None;
    }
    let [flags] = hex(&known[53..])?;
    TraceParent::new(hex(&known[3..35])?, hex(&known[36..52])?, flags)
}

/// `N` bytes out of `2 * N` digits, which the standard wants in lower case.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Body, Kind, Request, WorkerId};

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_standard_refuses_is_refused() {
        let changed = |at: usize, with: &str| {
            let mut text = TEXT.to_owned();
            text.replace_range(at..at + with.len(), with);
            text
        };
        let refused = [
            String::new(),
            TEXT[..54].to_owned(),
            format!("{TEXT}-00"),
            changed(0, "ff"),
            changed(0, "0g"),
            changed(2, "_"),
            changed(3, "4B"),
            changed(3, &"0".repeat(32)),
            changed(36, &"0".repeat(16)),
            changed(52, "+"),
            format!("{}x", changed(0, "01")),
            "é".repeat(40),
        ];
        for text in refused {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-more", &TEXT[2..]);
        assert_eq!(later.parse::<TraceParent>(), TEXT.parse());
        let flagged = format!("{}ff", &TEXT[..53]);
        assert_eq!(flagged.parse::<TraceParent>().unwrap().flags(), KNOWN_FLAGS);
    }

    fn incoming(codec: u8, payload: &[u8]) -> Incoming {
        let request =
            Request { kind: Kind::CALL, method: 0, codec, timeout: None, body: Body::new(payload.to_vec()) };
        let context = CallContext::of_request(WorkerId(0), &request, 1);
        Incoming { from: WorkerId(0), request, context, link: 1 }
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut payload = b"value".to_vec();
        assert_eq!(append(1, &mut payload, TEXT.parse().unwrap()), 0x21);
        let golden = b"value\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36\x00\xf0\x67\xaa\x0b\xa9\x02\xb7\x01";
        assert_eq!(payload, golden);
        let mut incoming = incoming(0x21, &payload);
        incoming.take_trailers().unwrap();
        assert_eq!((incoming.request.codec, &incoming.request.body.payload[..]), (1, &b"value"[..]));
        assert_eq!(incoming.context.trace().map(|trace| trace.to_string()).as_deref(), Some(TEXT));
    }

    #[test]
    fn a_peers_invalid_one_counts_as_absent_and_a_cut_one_is_an_error() {
        let mut zeros = incoming(0x21, &[0; BYTES + 2]);
        zeros.take_trailers().unwrap();
        assert_eq!((zeros.context.trace(), zeros.request.body.payload.len()), (None, 2));
        assert!(incoming(0x21, &[1; BYTES - 1]).take_trailers().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_parsed(trace: [u8; 16], parent: [u8; 8], flags: u8) {
            if let Some(parent) = TraceParent::new(trace, parent, flags) {
                prop_assert_eq!(parent.to_string().parse(), Ok(parent));
                prop_assert_eq!(TraceParent::from_bytes(&parent.to_bytes()), Some(parent));
            }
        }

        #[test]
        fn garbage_never_panics(text: String, bytes: Vec<u8>, codec: u8) {
            let _ = (text.parse::<TraceParent>(), incoming(codec, &bytes).take_trailers());
        }
    }
}
