//! What the recorders of two workers tell each other about a call, in postcard.
//!
//! A note begins with its version. What is not understood counts as absent: workers of different versions profile as if
//! the other one did not.

use serde::{Deserialize, Serialize};

use crate::model::{Call, MachineId, Span, SpanId};

const VERSION: u8 = 1;

/// Travels with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestNote {
    pub(super) id: SpanId,
    pub(super) depth: u16,
}

/// Travels with its response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResponseNote {
    /// When the callee had read the request, on its own clock, in nanoseconds since the Unix epoch.
    pub(super) arrived_unix_ns: u64,
    pub(super) wait_ns: u64,
    pub(super) run_ns: u64,
    /// Where the callee is, if it knows: workers of one machine read one clock.
    pub(super) machine: Option<MachineId>,
    /// What the handler did, if anything.
    pub(super) gathered: Option<Box<Nested>>,
}

/// What was done in a handler, and in the handlers of what it called, each on the clock of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nested {
    pub(super) names: Vec<String>,
    pub(super) calls: Vec<Call>,
    pub(super) spans: Vec<Span>,
    /// Where workers are, by rank.
    pub(super) machines: Vec<(u32, MachineId)>,
    pub(super) dropped: u64,
}

/// Appends `note`; nothing if that fails.
pub(super) fn write(note: &impl Serialize, out: &mut Vec<u8>) {
    let before = out.len();
    out.push(VERSION);
    if postcard::to_io(note, &mut *out).is_err() {
        out.truncate(before);
    }
}

/// Reads what [`write`] wrote. `None` for anything else.
pub(super) fn read<'a, N: Deserialize<'a>>(bytes: &'a [u8]) -> Option<N> {
    match bytes.split_first()? {
        (&VERSION, note) => postcard::from_bytes(note).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notes_are_small_and_come_back() {
        let request = RequestNote { id: SpanId(3 << 48 | 5), depth: 2 };
        let machine = Some(MachineId::of(b"a machine"));
        let (arrived_unix_ns, gathered) = (1 << 60, None);
        let response = ResponseNote { arrived_unix_ns, wait_ns: 900, run_ns: 4_000, machine, gathered };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write(&request, &mut first);
        write(&response, &mut second);
        assert_eq!((read(&first), read(&second)), (Some(request), Some(response)));
        assert!(first.len() <= 10 && second.len() <= 21, "{} and {} bytes", first.len(), second.len());
    }

    /// PR-3.
    #[test]
    fn pr3_another_version_counts_as_absent() {
        let mut note = Vec::new();
        write(&RequestNote { id: SpanId(1), depth: 0 }, &mut note);
        note[0] += 1;
        assert_eq!(read::<RequestNote>(&note), None);
    }

    proptest! {
        /// PR-3.
        #[test]
        fn pr3_garbage_never_panics(bytes: Vec<u8>) {
            let with_version = [&[VERSION], &bytes[..]].concat();
            let _ = (read::<RequestNote>(&bytes), read::<ResponseNote>(&with_version));
        }
    }
}
