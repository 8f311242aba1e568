//! Profiles for tests: small parts to put together by hand, and any at all.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::{Call, CallTimes, ClockOffset, NameId, Profile, Span, SpanId, Tick, Traffic, Worker};

/// Names of every profile here: 0 to 2 operations and functions, 3 to 5 outcomes, 6 and on what has to be escaped.
pub(crate) const NAMES: [&str; 10] = [
    "rpc_async",
    "app::add",
    "load",
    "ok",
    "error",
    "timed_out",
    "quote \" back \\ slash",
    "line\nfeed \u{1} \u{7f}",
    "наука 😀",
    "",
];

/// The moment `ns` after the beginning of every profile here.
pub(crate) fn tick(ns: u64) -> Tick {
    Tick::from_unix_ns(1_000_000 + ns)
}

/// An empty profile with workers of ranks below `workers`, named `worker0` and so on.
pub(crate) fn profile(workers: u32) -> Profile {
    let mut profile = Profile::new(0, tick(0), tick(1_000));
    profile.names = NAMES.map(str::to_owned).to_vec();
    profile.workers =
        (0..workers).map(|rank| Worker::new(rank, format!("worker{rank}"), ClockOffset::EXACT)).collect();
    profile
}

/// A good call of `app::add` of which no time is known.
pub(crate) fn call(id: u64, parent: Option<u64>, from: u32, to: u32) -> Call {
    let mut call = Call::new(SpanId(id), from, to, NameId(0), NameId(1), NameId(3));
    call.parent = parent.map(SpanId);
    call
}

/// A call whose stages take 1, 2, .. 7 ns, from `began`.
pub(crate) fn whole_call(id: u64, parent: Option<u64>, from: u32, to: u32, began: u64) -> Call {
    let at = |ns| Some(tick(began + ns));
    let mut call = call(id, parent, from, to);
    call.times.began = at(0);
    call.times.encoded = at(1);
    call.times.written = at(3);
    call.times.arrived = at(6);
    call.times.ran = at(10);
    call.times.replied = at(15);
    call.times.answered = at(21);
    call.times.decoded = at(28);
    call
}

/// A span named `load` of no length.
pub(crate) fn span(id: u64, parent: Option<u64>, worker: u32) -> Span {
    let mut span = Span::new(SpanId(id), worker, NameId(2), tick(0), tick(0));
    span.parent = parent.map(SpanId);
    span
}

/// Any profile: circles, strangers, times in any order and far apart, names that are none.
pub(crate) fn any_profile() -> impl Strategy<Value = Profile> {
    profile_with(1)
}

/// Any profile with times that are less than an hour apart.
pub(crate) fn near_profile() -> impl Strategy<Value = Profile> {
    profile_with(0)
}

/// One of 20 times and `far` is anything.
fn profile_with(far: u32) -> impl Strategy<Value = Profile> {
    let any_tick = move || any_tick(far);
    let offset = (-50..50_i64, option::of(0..50_u64));
    let clocks = vec(offset.prop_map(|(offset, error)| ClockOffset::new(offset, error)), 0..4);
    let calls = vec(any_call(far), 0..40);
    let spans = vec(any_span(far), 0..40);
    (clocks, calls, spans, any_tick(), any_tick(), any::<u64>()).prop_map(
        |(clocks, calls, spans, began, ended, dropped)| {
            let mut profile = Profile::new(0, began, ended);
            profile.names = NAMES.map(str::to_owned).to_vec();
            let named =
                (0..).zip(clocks).map(|(rank, clock)| Worker::new(rank, NAMES[5 + rank as usize], clock));
            profile.workers = named.collect();
            profile.calls = calls;
            profile.spans = spans;
            profile.dropped = dropped;
            profile
        },
    )
}

fn any_call(far: u32) -> impl Strategy<Value = Call> {
    let who = (0..60_u64, option::of(0..60_u64), 0..5_u32, 0..5_u32);
    let what = (any_name(), any_name(), any_name());
    let traffic = || (any::<u64>(), any::<u16>()).prop_map(|(bytes, parts)| Traffic { bytes, parts });
    (who, what, traffic(), traffic(), any_times(far)).prop_map(|(who, what, request, response, times)| {
        let mut call = Call::new(SpanId(who.0), who.2, who.3, what.0, what.1, what.2);
        call.parent = who.1.map(SpanId);
        (call.request, call.response, call.times) = (request, response, times);
        call
    })
}

fn any_times(far: u32) -> impl Strategy<Value = CallTimes> {
    let any_order = vec(option::weighted(0.8, any_tick(far)), 8);
    (any_order, any::<bool>()).prop_map(|(mut ticks, in_order)| {
        if in_order {
            ticks.sort_by_key(|tick| tick.unwrap_or(Tick::from_unix_ns(u64::MAX)));
        }
        let mut times = CallTimes::default();
        (times.began, times.encoded, times.written, times.arrived) = (ticks[0], ticks[1], ticks[2], ticks[3]);
        (times.ran, times.replied, times.answered, times.decoded) = (ticks[4], ticks[5], ticks[6], ticks[7]);
        times
    })
}

fn any_span(far: u32) -> impl Strategy<Value = Span> {
    let who = (0..60_u64, option::of(0..60_u64), 0..5_u32, any_name());
    (who, any_tick(far), any_tick(far)).prop_map(|((id, parent, worker, name), began, ended)| {
        let mut span = Span::new(SpanId(id), worker, name, began, ended);
        span.parent = parent.map(SpanId);
        span
    })
}

fn any_name() -> impl Strategy<Value = NameId> {
    (0..NAMES.len() as u32 + 1).prop_map(NameId)
}

/// Mostly close together, so that intervals touch, nest and overlap.
fn any_tick(far: u32) -> impl Strategy<Value = Tick> {
    prop_oneof![
        20 => (0..60_u64).prop_map(tick),
        1 => (0..3_600_000_000_000_u64).prop_map(tick),
        far => any::<u64>().prop_map(Tick::from_unix_ns),
    ]
}
