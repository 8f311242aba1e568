//! Handshake frames. Fixed layout, read by hand: before the peer is known nothing general is decoded.
//!
//! ```text
//! HELLO    magic "RRPC" | version u16 | features u16 | incarnation 16 | expected incarnation 16
//!          | rank u32 | expected rank u32 | last link u32 | digest u64 | name length u8, name | job length u8, job
//! WELCOME  version u16 | features u16 | link u32 | digest u64
//! REJECT   reason u8 | text length u16, text
//! ```

use crate::error::Violation;
use crate::worker::{Incarnation, WORKER_NAME_BYTES_MAX, WorkerId};

/// Version of the wire protocol that this build speaks.
pub const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"RRPC";
/// Longest job name in a hello, in bytes; longer ones are cut on both sides alike.
const JOB_BYTES_MAX: usize = 255;
const TEXT_BYTES_MAX: usize = 1024;

/// Who dials, and whom it believes to have reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version of the sender.
    pub version: u16,
    /// Optional abilities of the sender; none is defined yet.
    pub features: u16,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// The incarnation that the sender wants to reach.
    pub expected_incarnation: Incarnation,
    /// The sender's rank.
    pub id: WorkerId,
    /// The rank that the sender wants to reach.
    pub expected_id: WorkerId,
    /// Number of the last link between the two that the sender knows (see ARCHITECTURE.md).
    pub last_link: u32,
    /// Digest of the sender's function table; 0 if it has none.
    pub digest: u64,
    /// The sender's name.
    pub name: String,
    /// The job that both must belong to.
    pub job: String,
}

impl Hello {
    /// The frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.name.len() + self.job.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.features.to_le_bytes());
        out.extend_from_slice(&self.incarnation.0);
        out.extend_from_slice(&self.expected_incarnation.0);
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.expected_id.0.to_le_bytes());
        out.extend_from_slice(&self.last_link.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        for (text, most) in [(&self.name, WORKER_NAME_BYTES_MAX), (&self.job, JOB_BYTES_MAX)] {
            let text = &text.as_bytes()[..text.floor_char_boundary(most)];
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        }
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Violation::MalformedHello`] for anything but a whole hello.
    pub fn decode(payload: &[u8]) -> Result<Self, Violation> {
        let mut reader = Reader(payload);
        let hello = (|| {
            let magic: [u8; 4] = reader.take()?;
            let hello = Self {
                version: u16::from_le_bytes(reader.take()?),
                features: u16::from_le_bytes(reader.take()?),
                incarnation: Incarnation(reader.take()?),
                expected_incarnation: Incarnation(reader.take()?),
                id: WorkerId(u32::from_le_bytes(reader.take()?)),
                expected_id: WorkerId(u32::from_le_bytes(reader.take()?)),
                last_link: u32::from_le_bytes(reader.take()?),
                digest: u64::from_le_bytes(reader.take()?),
                name: reader.short_text()?,
                job: reader.short_text()?,
            };
            (magic == MAGIC && reader.0.is_empty()).then_some(hello)
        })();
        hello.ok_or(Violation::MalformedHello)
    }

    /// `job` as a hello carries it.
    pub fn job_on_the_wire(job: &str) -> &str {
        &job[..job.floor_char_boundary(JOB_BYTES_MAX)]
    }
}

/// The hello was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u16,
    /// The abilities that both have.
    pub features: u16,
    /// Number of this link.
    pub link: u32,
    /// Digest of the accepting side's function table.
    pub digest: u64,
}

impl Welcome {
    /// The frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.features.to_le_bytes());
        out.extend_from_slice(&self.link.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Violation::MalformedHello`] for anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, Violation> {
        let mut reader = Reader(payload);
        let welcome = (|| {
            let welcome = Self {
                version: u16::from_le_bytes(reader.take()?),
                features: u16::from_le_bytes(reader.take()?),
                link: u32::from_le_bytes(reader.take()?),
                digest: u64::from_le_bytes(reader.take()?),
            };
            reader.0.is_empty().then_some(welcome)
        })();
        welcome.ok_or(Violation::MalformedHello)
    }
}

/// The hello was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why, for the program.
    pub reason: RejectReason,
    /// Why, for people.
    pub text: String,
}

/// Why a hello was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum RejectReason {
    /// Both dialled at once; the accepting side's own link will be used.
    Crossed = 1,
    /// Another version of the protocol.
    Version = 2,
    /// Another job.
    Job = 3,
    /// The dialled worker is not who the dialler believes.
    NotMe = 4,
    /// The dialler is not in the group, or another life of a worker that is.
    UnknownPeer = 5,
    /// This worker is shutting down.
    ShuttingDown = 6,
    /// The dialler's certificate is not the one of the worker that it says it is.
    Certificate = 7,
}

impl Reject {
    /// The frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let text = &self.text.as_bytes()[..self.text.floor_char_boundary(TEXT_BYTES_MAX)];
        let mut out = vec![self.reason as u8];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text);
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Violation::MalformedHello`] for anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, Violation> {
        let mut reader = Reader(payload);
        let reject = (|| {
            let [reason] = reader.take::<1>()?;
            let reason = match reason {
                1 => RejectReason::Crossed,
                2 => RejectReason::Version,
                3 => RejectReason::Job,
                4 => RejectReason::NotMe,
                5 => RejectReason::UnknownPeer,
                6 => RejectReason::ShuttingDown,
                7 => RejectReason::Certificate,
                _ => return None,
            };
            let len = u16::from_le_bytes(reader.take()?);
            let text = reader.text(usize::from(len))?;
            reader.0.is_empty().then_some(Self { reason, text })
        })();
        reject.ok_or(Violation::MalformedHello)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn short_text(&mut self) -> Option<String> {
        let [len] = self.take::<1>()?;
        self.text(usize::from(len))
    }

    fn text(&mut self, len: usize) -> Option<String> {
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            features: 0,
            incarnation: Incarnation([0xa1; 16]),
            expected_incarnation: Incarnation([0xb2; 16]),
            id: WorkerId(3),
            expected_id: WorkerId(0),
            last_link: 7,
            digest: 0x0102_0304_0506_0708,
            name: "w3".into(),
            job: "job".into(),
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let mut golden = b"RRPC\x01\x00\x00\x00".to_vec();
        golden.extend([0xa1; 16]);
        golden.extend([0xb2; 16]);
        golden.extend(b"\x03\0\0\0\0\0\0\0\x07\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x02w3\x03job");
        assert_eq!(hello().encode(), golden);
        assert_eq!(Hello::decode(&golden), Ok(hello()));
    }

    #[test]
    fn every_cut_and_every_addition_is_malformed() {
        let whole = hello().encode();
        for len in 0..whole.len() {
            assert_eq!(Hello::decode(&whole[..len]), Err(Violation::MalformedHello), "{len}");
        }
        assert_eq!(Hello::decode(&[&whole[..], b"x"].concat()), Err(Violation::MalformedHello));
        assert_eq!(Hello::decode(&[b"X", &whole[1..]].concat()), Err(Violation::MalformedHello));
    }

    #[test]
    fn answers_survive() {
        let welcome = Welcome { version: 1, features: 2, link: 4, digest: 3 };
        assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
        for reason in [RejectReason::Job, RejectReason::Certificate] {
            let reject = Reject { reason, text: "another jöb".into() };
            assert_eq!(Reject::decode(&reject.encode()), Ok(reject));
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Hello::decode(&bytes), Welcome::decode(&bytes), Reject::decode(&bytes));
        }
    }
}
