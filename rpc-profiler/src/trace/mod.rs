//! Chrome trace JSON, for [Perfetto](https://ui.perfetto.dev) and `chrome://tracing`.
//!
//! The form is the object form of the trace-event format. It shows:
//! - a process for each worker, with its rank plus one as `pid`, and below it [lanes](crate::lanes) as threads: `calls`,
//!   what it did by itself, and `handlers`, what it did for others
//! - for each call a slice on its caller, named with its key (`rpc_async#my_app::add(worker0 -> worker1)`), in which `send`
//!   is what it spends until the request is with the system, and `receive` what it spends once it has the response; its
//!   arguments have what else is known, times by stage in µs included
//! - a slice on its callee, named after the function, in which `run` is the function
//! - a slice for each span
//! - an arrow from `send` to the handler and on to `receive`
//!
//! What ran in a handler has its whole label (`…#remote_op: …`) among its arguments.
//!
//! Times are in µs, with a fraction down to the nanosecond, from the moment that `otherData.origin_unix_ns` tells: when
//! recording began, or when the first thing in the profile did, if that seems to be earlier by the clocks. There are also
//! how far clocks may be off, and how much was dropped.
//!
//! # Arrows
//! Viewers bind the points of an arrow to what is innermost at their time, and draw it between the slices (Perfetto) or the
//! points (Chrome). So the points are inside of `send`, of what a handler spends before its function begins, and of
//! `receive`, where nothing else is drawn. Their times have to ascend: where the clocks, as well as they are known, say
//! otherwise, points are moved inside of their slices, and if that does not help the arrow ends early or is left out.
//!
//! The tests check traces against the format. Besides, Perfetto 52 and Chrome's viewer were seen to take one of 2,000 calls (with
//! nested ones) without a complaint, with all 10,181 slices, and all 4,000 arrows between the slices that they are meant for.

mod escaped;
mod events;
mod flow;
mod json;

#[cfg(test)]
pub(crate) mod check;

use std::io;

use self::events::Events;
use self::json::Json;
use crate::label::Labels;
use crate::lanes::Lanes;
use crate::model::Profile;
use crate::tree::Tree;

impl Profile {
    /// Writes the profile as Chrome trace JSON, for <https://ui.perfetto.dev> or `chrome://tracing`: about 1 KB a call, in
    /// pieces of some 64 KiB, so `out` needs no buffer of its own. The trace itself is never in memory; lanes and labels
    /// take about 200 bytes a call meanwhile.
    ///
    /// # Errors
    /// Those of `out`. What has been written by then is no whole trace.
    ///
    /// ```
    /// # use rpc_profiler::model::{Call, ClockOffset, NameId, SpanId, Tick, Worker};
    /// # use rpc_profiler::Profile;
    /// # let at = |us: u64| Tick::from_unix_ns(1_000_000_000 + us * 1_000);
    /// # let mut profile = Profile::new(0, at(0), at(500));
    /// # profile.names = ["rpc_async", "my_app::add", "ok"].map(String::from).to_vec();
    /// # profile.workers = (0..2).map(|rank| Worker::new(rank, format!("worker{rank}"), ClockOffset::EXACT)).collect();
    /// # let mut call = Call::new(SpanId(1), 0, 1, NameId(0), NameId(1), NameId(2));
    /// # (call.times.began, call.times.answered) = (Some(at(20)), Some(at(90)));
    /// # profile.calls.push(call);
    /// let mut trace = Vec::new(); // or a file
    /// profile.write_chrome_trace(&mut trace)?;
    ///
    /// let trace: serde_json::Value = serde_json::from_slice(&trace)?;
    /// let events = trace["traceEvents"].as_array().expect("a trace has events");
    /// let call = events.iter().find(|event| event["cat"] == "call").expect("there is a call");
    /// assert_eq!(call["name"], "rpc_async#my_app::add(worker0 -> worker1)");
    /// assert_eq!((call["ts"].as_f64(), call["dur"].as_f64()), (Some(20.0), Some(70.0)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_chrome_trace(&self, out: impl io::Write) -> io::Result<()> {
        let tree = Tree::new(self);
        let (lanes, labels) = (Lanes::of_tree(self, &tree), Labels::of_tree(self, &tree));
        let mut events = Events::new(self, &tree, &lanes, &labels, Json::new(out));
        events.write_all()?;
        events.finish()
    }
}

#[cfg(test)]
mod tests;
