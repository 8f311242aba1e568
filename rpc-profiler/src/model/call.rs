//! [`Call`]: one call, as far as it is known.

use serde::{Deserialize, Serialize};

use super::profile::NameId;
use super::span::SpanId;
use super::tick::Tick;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call {
    /// Which one. The callee has the same.
    pub id: SpanId,
    /// The span in which it was made, or the call in whose handler.
    pub parent: Option<SpanId>,
    /// Rank of the caller.
    pub from: u32,
    /// Rank of the callee.
    pub to: u32,
    /// `rpc_sync`, `rpc_async`, `rpc_remote`, or what was done with a reference.
    pub operation: NameId,
    /// The function or method.
    pub function: NameId,
    /// How it ended: `ok`, `error` for the function's own, or what went wrong in a word or two, such as `timed_out`.
    pub outcome: NameId,
    /// What went wrong, in words, if something did and there was room for it: see [`outcome`](Self::outcome) for what can be
    /// told apart. Of the function's own errors it is the text, if they are texts, or else their type.
    #[serde(default)]
    pub error: Option<NameId>,
    /// How many calls and spans it is in.
    pub depth: u16,
    /// What travelled to the callee.
    pub request: Traffic,
    /// What travelled back.
    pub response: Traffic,
    /// When what was done.
    pub times: CallTimes,
}

impl Call {
    /// A call without a parent of which no more is known.
    pub const fn new(
        id: SpanId,
        from: u32,
        to: u32,
        operation: NameId,
        function: NameId,
        outcome: NameId,
    ) -> Self {
        let (request, response) = (Traffic { bytes: 0, parts: 0 }, Traffic { bytes: 0, parts: 0 });
        let times = CallTimes {
            began: None,
            encoded: None,
            written: None,
            arrived: None,
            ran: None,
            replied: None,
            answered: None,
            decoded: None,
        };
        let (parent, error, depth) = (None, None, 0);
        Self { id, parent, from, to, operation, function, outcome, error, depth, request, response, times }
    }

    /// Whether it ended with a result.
    pub fn is_ok(&self, names: &[String]) -> bool {
        names.get(self.outcome.0 as usize).is_some_and(|outcome| outcome == "ok")
    }
}

/// Bytes of one message of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Payload and parts together.
    pub bytes: u64,
    /// Parts beside the payload, such as tensors.
    pub parts: u16,
}

/// When each stage of a call was over. What is not known is `None`: a call that failed early has no later times, one
/// whose callee records nothing has none of the callee's, and one that only the callee has recorded none of the caller's.
///
/// ```text
/// caller   began ─encode─ encoded ─queue─ written ─┐                      ┌─ answered ─decode─ decoded
///                                              wire out               wire back
/// callee                                           └─ arrived ─wait─ ran ─run─ replied ─┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallTimes {
    /// The caller has begun to encode the arguments.
    pub began: Option<Tick>,
    /// They are encoded, and given to the agent.
    pub encoded: Option<Tick>,
    /// The system has taken the last byte of the request. Not known from every transport; the queue then counts as wire.
    pub written: Option<Tick>,
    /// The callee has read it, and looks for who serves it.
    pub arrived: Option<Tick>,
    /// The function has begun, arguments included.
    pub ran: Option<Tick>,
    /// It has ended, and its result is encoded and given to the agent; or it was given up.
    pub replied: Option<Tick>,
    /// The caller has the response, or what came instead of it.
    pub answered: Option<Tick>,
    /// The caller has the decoded result; `None` if nobody took it.
    pub decoded: Option<Tick>,
}

impl CallTimes {
    /// When what is known of it began.
    pub fn first(&self) -> Option<Tick> {
        self.began.or(self.arrived)
    }

    /// When what is known of it ended.
    pub fn last(&self) -> Option<Tick> {
        self.decoded.or(self.answered).or(self.replied)
    }

    /// How long it took for the caller, or for the callee if only that has recorded it. In nanoseconds.
    pub fn total_ns(&self) -> u64 {
        match (self.first(), self.last()) {
            (Some(first), Some(last)) => last.since(first),
            _ => 0,
        }
    }

    /// How long `stage` took, in nanoseconds; `None` if that is not known. Across clocks, it may be off by their error.
    pub fn stage_ns(&self, stage: Stage) -> Option<u64> {
        let (begun, ended) = match stage {
            Stage::Encode => (self.began, self.encoded),
            Stage::Queue => (self.encoded, self.written),
            Stage::WireOut => (self.written.or(self.encoded), self.arrived),
            Stage::Wait => (self.arrived, self.ran),
            Stage::Run => (self.ran, self.replied),
            Stage::WireBack => (self.replied, self.answered),
            Stage::Decode => (self.answered, self.decoded),
        };
        Some(ended?.since(begun?))
    }
}

/// The parts of a call, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Arguments into bytes.
    Encode,
    /// Until the system has taken the request: for a link, for what was queued before it, for company.
    Queue,
    /// Until the callee has read it, and has handled what it read before.
    WireOut,
    /// Until the function begins: for arguments and values that are references, for a turn or a thread.
    Wait,
    /// The function, with the decoding of its arguments and the encoding of its result.
    Run,
    /// Until the caller has the response, whatever it waits for.
    WireBack,
    /// The result out of bytes, and until whoever awaits it has its turn.
    Decode,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Encode, Self::Queue, Self::WireOut, Self::Wait, Self::Run, Self::WireBack, Self::Decode];

    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Queue => "queue",
            Self::WireOut => "wire out",
            Self::Wait => "wait",
            Self::Run => "run",
            Self::WireBack => "wire back",
            Self::Decode => "decode",
        }
    }
}
