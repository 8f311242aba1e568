//! [`Fault`]: which messages, and what befalls them.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use rpc_core::{FunctionId, Outcome, RemoteFunction, Response};

use super::message::Message;

/// Picks messages between workers, and says what befalls them.
///
/// Unless it says otherwise, a fault picks every request that programs make ([`Message::Call`],
/// [`Create`](Message::Create), [`Fetch`](Message::Fetch), [`Method`](Message::Method), and requests of your own
/// protocols) between any two workers. It counts what it picks for each ordered pair of workers by itself, so that
/// the third call from `a` to `b` is the third whatever others do meanwhile.
///
/// ```
/// use std::time::Duration;
/// use rpc_testing::{Fault, Faults, Message};
///
/// let faults = Faults::seeded(7);
/// // The second fetch that trainer0 sends to ps is refused.
/// let refused = faults.add(Fault::fail().on(Message::Fetch).from("trainer0").to("ps").nth(2));
/// // One call in ten is slow, chosen by the seed.
/// faults.add(Fault::delay(Duration::from_millis(300)).on(Message::Call).probability(0.1));
/// // The first answer of ps to anybody never comes.
/// faults.add(Fault::drop().replies().from("ps").first(1));
/// assert_eq!(refused.fired(), 0); // nothing was sent yet
/// ```
///
/// # What links promise stays true
/// A fault acts on requests and replies, not on bytes: a link that loses, repeats or exchanges frames is a broken
/// transport, and no program ever meets one. So the frames of one call keep their order, and every request is
/// still answered once or loses its link. What that means for each of them stands at [`fail`](Self::fail),
/// [`drop`](Self::drop()), [`duplicate`](Self::duplicate) and [`reorder`](Self::reorder).
#[derive(Clone)]
pub struct Fault {
    pub(super) action: Action,
    messages: Vec<Message>,
    replies: bool,
    function: Option<(u64, &'static str)>,
    from: Option<String>,
    to: Option<String>,
    pub(super) skip: u64,
    pub(super) times: u64,
    pub(super) every: u64,
    pub(super) probability: f64,
}

/// What befalls a message.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// With the usual failure if there is no other.
    Fail(Option<Response>),
    Delay(RangeInclusive<Duration>),
    Drop,
    Duplicate,
    Reorder,
    Cut,
    Partition,
    Kill(Victim),
    Abort,
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Sender,
    Receiver,
}

/// A message that passes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) message: Message,
    /// What is called: see [`Header::method`](rpc_core::wire::Header::method).
    pub(super) method: u64,
    /// The answer to such a request, rather than the request.
    pub(super) is_reply: bool,
    /// References travel in it.
    pub(super) has_handles: bool,
}

impl Passing<'_> {
    /// What a worker asks of itself, which takes no link.
    fn is_own(&self) -> bool {
        self.from == self.to
    }
}

/// What [`Fault::fail`] gives as the reason.
const REASON: &str = "a fault of the test";

/// With what a message fails unless it is said.
pub(super) fn usual_failure(is_reply: bool) -> Response {
    match is_reply {
        false => Response::failed(Outcome::Overloaded, &[REASON, "0"]),
        true => Response::failed(Outcome::BadResult, &[REASON]),
    }
}

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            messages: Vec::new(),
            replies: false,
            function: None,
            from: None,
            to: None,
            skip: 0,
            times: u64::MAX,
            every: 1,
            probability: 1.0,
        }
    }

    /// The request is refused: its handler does not run, and the caller gets
    /// [`Failure::Overloaded`](rpc_core::Failure::Overloaded) with the bound `a fault of the test`, the failure of
    /// which a program knows that it may try again.
    ///
    /// Of [`replies`](Self::replies): the handler has run, and the caller gets
    /// [`Failure::BadResult`](rpc_core::Failure::BadResult). References in the reply arrive with the failure, and are let
    /// go.
    pub fn fail() -> Self {
        Self::new(Action::Fail(None))
    }

    /// As [`fail`](Self::fail), with a failure of one's own.
    ///
    /// ```
    /// # use rpc_core::{Outcome, Response};
    /// # use rpc_testing::Fault;
    /// Fault::fail_with(Response::failed(Outcome::Panicked, &["index out of bounds", "src/model.rs:17:5"]));
    /// Fault::fail_with(Response::failed(Outcome::Denied, &["trainer0", "not today"]));
    /// ```
    pub fn fail_with(response: Response) -> Self {
        Self::new(Action::Fail(Some(response)))
    }

    /// The message arrives later by `delay`. Others pass it, except those of its own call.
    pub fn delay(delay: Duration) -> Self {
        Self::delay_between(delay, delay)
    }

    /// As [`delay`](Self::delay), each by a time drawn from `least..=most`.
    pub fn delay_between(least: Duration, most: Duration) -> Self {
        Self::new(Action::Delay(least..=most))
    }

    /// The request does not arrive, and its caller hears nothing until its timeout; the handler does not run. A
    /// caller without a timeout waits until the link ends.
    ///
    /// Of [`replies`](Self::replies): the handler has run, and the caller hears nothing. References in it are
    /// received when the caller has given up, as those in any answer that comes too late. So a reply with references to
    /// the worker itself is left alone: what it asks of itself is over when it gives up.
    pub fn drop() -> Self {
        Self::new(Action::Drop)
    }

    /// The request is served twice, one time after the other, as when a caller repeats what it believes lost. The
    /// caller gets the second answer.
    ///
    /// Of [`replies`](Self::replies): the answer arrives twice, which has to have no effect. Requests with references
    /// in them, and so all of [`Message::Create`] and [`Message::Method`], are left alone, because nothing in this
    /// framework ever sends a reference twice: each is counted on its own, where it leaves and where it arrives, and a
    /// copy of one would be counted once more than it was given. After a first answer with references there is no second.
    pub fn duplicate() -> Self {
        Self::new(Action::Duplicate)
    }

    /// The message is passed by the next one of the same direction that is a request or a reply as it is, of any kind and
    /// of another call; if none comes, it arrives after 100 ms.
    pub fn reorder() -> Self {
        Self::new(Action::Reorder)
    }

    /// The link ends, and the message with it: calls that are in flight on it fail as
    /// [`Failure::LinkLost`](rpc_core::Failure::LinkLost), and the next one dials anew.
    pub fn cut() -> Self {
        Self::new(Action::Cut)
    }

    /// Sender and receiver are kept apart from then on, as by [`Faults::partition`](super::Faults::partition); the
    /// message waits for the end of that.
    pub fn partition() -> Self {
        Self::new(Action::Partition)
    }

    /// The sender dies, as by [`Faults::kill`](super::Faults::kill), and the message is lost.
    pub fn kill_sender() -> Self {
        Self::new(Action::Kill(Victim::Sender))
    }

    /// The receiver dies, as by [`Faults::kill`](super::Faults::kill), and the message is lost.
    pub fn kill_receiver() -> Self {
        Self::new(Action::Kill(Victim::Receiver))
    }

    /// The process of the receiver ends at once ([`std::process::abort`]): for workers in processes of their own.
    pub fn abort() -> Self {
        Self::new(Action::Abort)
    }

    /// Only messages about this; said again, about that as well.
    #[must_use]
    pub fn on(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// The answers, in place of the requests.
    #[must_use]
    pub fn replies(self) -> Self {
        Self { replies: true, ..self }
    }

    /// Only calls of `function`, and creations by it.
    #[must_use]
    pub fn function<F: RemoteFunction>(self, function: F) -> Self {
        let _: F = function;
        let id = FunctionId::new(F::NAME, F::SIGNATURE).to_wire();
        Self { function: Some((id, F::NAME)), ..self }
    }

    /// Only messages that this worker sends: of [`replies`](Self::replies), the one that was called.
    #[must_use]
    pub fn from(self, worker: impl Into<String>) -> Self {
        Self { from: Some(worker.into()), ..self }
    }

    /// Only messages to this worker: of [`replies`](Self::replies), the one that has called.
    #[must_use]
    pub fn to(self, worker: impl Into<String>) -> Self {
        Self { to: Some(worker.into()), ..self }
    }

    /// Lets the first `messages` pass.
    #[must_use]
    pub fn skip(self, messages: u64) -> Self {
        Self { skip: messages, ..self }
    }

    /// Acts on so many messages, then no more, as torch's `num_fail_sends` says.
    #[must_use]
    pub fn first(self, messages: u64) -> Self {
        Self { times: messages, ..self }
    }

    /// Acts on one message alone, the first being 1.
    ///
    /// # Panics
    /// If `message` is 0.
    #[must_use]
    pub fn nth(self, message: u64) -> Self {
        assert!(message > 0, "the first message is 1");
        self.skip(message - 1).first(1)
    }

    /// Acts on one message out of `messages`: the last one of so many, again and again.
    ///
    /// # Panics
    /// If `messages` is 0.
    #[must_use]
    pub fn every(self, messages: u64) -> Self {
        assert!(messages > 0, "there is nothing to choose from");
        Self { every: messages, ..self }
    }

    /// Acts on each message with this probability, out of the seed.
    ///
    /// # Panics
    /// Unless `probability` is within 0 and 1.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability");
        Self { probability, ..self }
    }

    pub(super) fn picks(&self, passing: &Passing<'_>) -> bool {
        let about = match self.messages.as_slice() {
            [] => passing.message.is_of_programs(),
            messages => messages.contains(&passing.message),
        };
        let called =
            |(id, _)| id == passing.method && matches!(passing.message, Message::Call | Message::Create);
        // No link takes those, and what the framework asks of its own worker never fails.
        let is_of_links = matches!(self.action, Action::Cut | Action::Partition);
        let spares_own = is_of_links || !passing.message.is_of_programs();
        about
            && !(spares_own && passing.is_own())
            && self.replies == passing.is_reply
            && self.function.is_none_or(called)
            && self.from.as_deref().is_none_or(|name| name == passing.from)
            && self.to.as_deref().is_none_or(|name| name == passing.to)
    }

    /// Whether it can act on that without losing count of references.
    pub(super) fn may_act_on(&self, passing: &Passing<'_>) -> bool {
        match self.action {
            Action::Drop | Action::Delay(_) | Action::Reorder => {
                !(passing.is_own() && passing.is_reply && passing.has_handles)
            }
            Action::Duplicate => passing.is_reply || !passing.has_handles,
            _ => true,
        }
    }
}

/// What the fault is, in words: `drops replies to call from worker1`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Fail(_) => "fails",
            Action::Delay(_) => "delays",
            Action::Drop => "drops",
            Action::Duplicate => "duplicates",
            Action::Reorder => "reorders",
            Action::Cut => "cuts the link at",
            Action::Partition => "parts workers at",
            Action::Kill(Victim::Sender) => "kills the sender of",
            Action::Kill(Victim::Receiver) => "kills the receiver of",
            Action::Abort => "ends the process that receives",
        };
        write!(f, "{verb} {}", if self.replies { "replies to " } else { "" })?;
        match self.messages.as_slice() {
            [] => f.write_str("requests of programs")?,
            messages => {
                f.write_str(&messages.iter().map(Message::to_string).collect::<Vec<_>>().join(", "))?
            }
        }
        let parts = [
            ("of", self.function.map(|(_, name)| name)),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
        ];
        for (word, value) in parts {
            if let Some(value) = value {
                write!(f, " {word} {value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({self})")
    }
}
