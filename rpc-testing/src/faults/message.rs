//! [`Message`]: what requests are about, in the words of a program.

use std::fmt;
use std::str::FromStr;

use rpc_core::Kind;

/// What a request is about.
///
/// It can be read from text: its own name, or what PyTorch's `messages_to_fail` and `messages_to_delay` call it.
///
/// ```
/// use rpc_testing::Message;
/// assert_eq!("fetch".parse(), Ok(Message::Fetch));
/// assert_eq!("PYTHON_REMOTE_CALL".parse(), Ok(Message::Create));
/// assert_eq!("RREF_USER_DELETE".parse(), Ok(Message::References)); // all of torch's control messages are these
/// let error = "PIGEON".parse::<Message>().unwrap_err();
/// assert!(error.to_string().starts_with("no message is called PIGEON; there are call, PYTHON_CALL, SCRIPT_CALL,"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Message {
    /// A call of a function.
    Call,
    /// The creation of a value that is referred to, by a function or a method.
    Create,
    /// A copy of a value that is referred to.
    Fetch,
    /// The call of a method of such a value.
    Method,
    /// What workers tell each other about references: who holds them, who has let go. Many in one message, which is
    /// sent again until it is acknowledged.
    References,
    /// What workers tell each other in order to leave together.
    Shutdown,
    /// A request of another protocol.
    Other(Kind),
}

/// The kinds of `rpc-rref`, which is not a dependency: see "Wire" in ARCHITECTURE.md.
const CREATE: Kind = Kind(0x13);
const FETCH: Kind = Kind(0x14);
const METHOD: Kind = Kind(0x15);
const CREATE_BY_METHOD: Kind = Kind(0x16);

/// All that have a name, with the names that torch has for them.
const NAMED: [(Message, &str, &[&str]); 6] = [
    (Message::Call, "call", &["PYTHON_CALL", "SCRIPT_CALL"]),
    (Message::Create, "create", &["PYTHON_REMOTE_CALL", "SCRIPT_REMOTE_CALL"]),
    (Message::Fetch, "fetch", &["PYTHON_RREF_FETCH_CALL", "SCRIPT_RREF_FETCH_CALL"]),
    (Message::Method, "method", &[]),
    (Message::References, "references", &["RREF_FORK_REQUEST", "RREF_CHILD_ACCEPT", "RREF_USER_DELETE"]),
    (Message::Shutdown, "shutdown", &[]),
];

impl Message {
    /// Of requests of this kind.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::CALL => Self::Call,
            CREATE | CREATE_BY_METHOD => Self::Create,
            FETCH => Self::Fetch,
            METHOD => Self::Method,
            Kind::REFERENCES => Self::References,
            Kind::SHUTDOWN => Self::Shutdown,
            other => Self::Other(other),
        }
    }

    /// Whether a program asks for it, rather than the framework on its own account.
    pub(super) fn is_of_programs(self) -> bool {
        match self {
            Self::Call | Self::Create | Self::Fetch | Self::Method => true,
            Self::References | Self::Shutdown => false,
            Self::Other(kind) => kind >= Kind::CUSTOM_FIRST,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(kind) => write!(f, "{kind:?}"),
            named => match NAMED.iter().find(|(message, _, _)| message == named) {
                Some((_, name, _)) => f.write_str(name),
                None => write!(f, "{named:?}"),
            },
        }
    }
}

/// A text that names no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message is called {name}; there are {}", NAMED.map(|(_, name, torch)| [&[name], torch].concat().join(", ")).join(", "))]
pub struct UnknownMessage {
    name: String,
}

impl FromStr for Message {
    type Err = UnknownMessage;

    fn from_str(text: &str) -> Result<Self, UnknownMessage> {
        let found = NAMED.iter().find(|(_, name, torch)| *name == text || torch.contains(&text));
        found.map(|(message, _, _)| *message).ok_or_else(|| UnknownMessage { name: text.to_owned() })
    }
}
