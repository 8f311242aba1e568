//! [`CallRef`], [`Node`]: keys, and who is below whom.

use std::collections::HashMap;
use std::fmt;

use super::call::Call;
use super::profile::Profile;
use super::span::{Span, SpanId};

/// A call with the profile that it is in, so that it can be named.
#[derive(Clone, Copy, Debug)]
pub struct CallRef<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The call.
    pub call: &'a Call,
}

/// Its key in torch's form: `rpc_async#my_app::add(worker0 -> worker1)`.
impl fmt::Display for CallRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, call } = self;
        let worker = |rank: u32| profile.worker(rank).map_or("?", |worker| worker.name.as_str());
        let (operation, function) = (profile.name(call.operation), profile.name(call.function));
        write!(f, "{operation}#{function}({} -> {})", worker(call.from), worker(call.to))
    }
}

/// A call or a span.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A call.
    Call(&'a Call),
    /// A span.
    Span(&'a Span),
}

impl Node<'_> {
    /// Which one it is.
    pub fn id(&self) -> SpanId {
        match self {
            Self::Call(call) => call.id,
            Self::Span(span) => span.id,
        }
    }

    /// What it is in.
    pub fn parent(&self) -> Option<SpanId> {
        match self {
            Self::Call(call) => call.parent,
            Self::Span(span) => span.parent,
        }
    }
}

impl Profile {
    /// The key of `call`.
    pub fn key<'a>(&'a self, call: &'a Call) -> CallRef<'a> {
        CallRef { profile: self, call }
    }

    /// All calls and spans by their ids. Where caller and callee have recorded the same call, the caller's is taken.
    pub fn nodes(&self) -> HashMap<SpanId, Node<'_>> {
        let spans = self.spans.iter().map(|span| (span.id, Node::Span(span)));
        let mut nodes: HashMap<_, _> = spans.collect();
        for call in &self.calls {
            let known = nodes.entry(call.id).or_insert(Node::Call(call));
            if call.times.began.is_some() {
                *known = Node::Call(call);
            }
        }
        nodes
    }
}
