//! What may happen next in a [`World`](super::world::World).

use proptest::prelude::*;
use proptest::sample::Index;

/// Each index picks among what there is at that moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Own(Index),
    Create(Index, Index),
    /// A handle leaves in a request.
    Share(Index, Index),
    /// A handle leaves in an answer; to a request of an earlier link, if so said.
    Answer(Index, Index, bool),
    Clone(Index),
    Drop(Index),
    /// Delivers an application message; again later, if so said.
    Deliver(Index, bool),
    /// Delivers the next message of the protocol between two workers.
    Control(Index),
    /// The sender gives up on a message, which may arrive all the same.
    GiveUp(Index, bool),
    /// A link goes down. Answers that went on it are lost, if so said. Both will hear of it.
    LinkDown(Index, Index, bool),
    /// A worker hears of a link or a death.
    Hear(Index, Index),
    Die(Index, Index, bool),
    /// Two workers take each other for dead.
    TakeForDead(Index, Index),
}

/// Without deaths.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Step::Own),
        2 => (at(), at()).prop_map(|(a, b)| Step::Create(a, b)),
        4 => (at(), at()).prop_map(|(a, b)| Step::Share(a, b)),
        2 => (at(), at(), any::<bool>()).prop_map(|(a, b, c)| Step::Answer(a, b, c)),
        1 => at().prop_map(Step::Clone),
        6 => at().prop_map(Step::Drop),
        6 => (at(), prop::bool::weighted(0.2)).prop_map(|(a, b)| Step::Deliver(a, b)),
        10 => at().prop_map(Step::Control),
        1 => (at(), any::<bool>()).prop_map(|(a, b)| Step::GiveUp(a, b)),
        1 => (at(), at(), any::<bool>()).prop_map(|(a, b, c)| Step::LinkDown(a, b, c)),
        2 => (at(), at()).prop_map(|(a, b)| Step::Hear(a, b)),
    ]
}

/// With deaths, real and alleged.
pub(super) fn step_or_death() -> impl Strategy<Value = Step> {
    let at = any::<Index>;
    prop_oneof![
        60 => step(),
        1 => (at(), at(), any::<bool>()).prop_map(|(a, b, c)| Step::Die(a, b, c)),
        1 => (at(), at()).prop_map(|(a, b)| Step::TakeForDead(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| Step::Hear(a, b)),
    ]
}
