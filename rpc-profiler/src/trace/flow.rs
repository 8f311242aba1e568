//! [`Stops`], [`Flow`]: the pieces of a call that arrows begin and end in.

use crate::lanes::Interval;
use crate::model::{Call, Tick};

/// What is drawn in the slices of a call. Where times contradict each other, the pieces still lie in their slices, one
/// after the other.
pub(super) struct Stops {
    /// On the caller, until the request is with the system.
    pub(super) send: Option<Interval>,
    /// On the caller, once it has the response.
    pub(super) receive: Option<Interval>,
    /// On the callee, before the function begins.
    wait: Option<Interval>,
    /// On the callee, the function.
    pub(super) run: Option<Interval>,
    handler_ended: Option<Tick>,
}

impl Stops {
    pub(super) fn of(call: &Call) -> Self {
        let times = &call.times;
        let (caller, handler) = (Interval::of_caller(times), Interval::of_handler(times));
        let within = |tick: Tick, around: Interval| tick.clamp(around.began, around.ended);
        let answered = caller.zip(times.answered).map(|(caller, answered)| within(answered, caller));
        let send = caller.map(|caller| {
            let sent = within(times.written.or(times.encoded).unwrap_or(caller.began), caller);
            Interval { began: caller.began, ended: answered.map_or(sent, |answered| sent.min(answered)) }
        });
        let receive = caller.zip(answered).map(|(caller, began)| Interval { began, ended: caller.ended });
        let run = handler.map(|handler| Interval::of_run(handler, call));
        Self {
            send,
            receive,
            wait: handler.zip(run).map(|(handler, run)| Interval { began: handler.began, ended: run.began }),
            run: run.filter(|_| times.ran.is_some() && times.replied.is_some()),
            handler_ended: handler.map(|handler| handler.ended),
        }
    }
}

/// The points of an arrow, ascending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// In what the caller sends.
    pub(super) sent: Tick,
    /// In the handler.
    pub(super) served: Tick,
    /// In what the caller receives.
    pub(super) back: Option<Tick>,
}

impl Flow {
    /// That of a call; `None` if one side is not known, or there is no time for it.
    pub(super) fn of(stops: &Stops) -> Option<Self> {
        let send = stops.send?;
        let served = middle(stops.wait?).max(just_after(send.began));
        if served > stops.handler_ended? {
            return None;
        }
        // A callee may have read a request long before its caller has noted that it is written.
        let sent = middle(send).min(served.shifted(-1));
        let back = stops.receive.and_then(|receive| {
            let back = middle(receive).max(just_after(served));
            (back <= receive.ended).then_some(back)
        });
        Some(Self { sent, served, back })
    }
}

const fn middle(of: Interval) -> Tick {
    Tick::from_unix_ns(of.began.unix_ns() + of.ended.since(of.began) / 2)
}

const fn just_after(tick: Tick) -> Tick {
    tick.shifted(1)
}
