//! The two processes of a measurement, and what they say to the driver.
//!
//! ```text
//! server   ready ADDRESS              then for each line that it reads:  {"cpu_seconds": …, "resident_bytes": …}
//! client   begin                      when warm, and waits for a line
//!          {"metrics": …}             what it measured from then on
//! member   called                     when its first call is done, and waits for a line, leaves its group, and ends
//! ```
//! The driver asks the server for its figures between `begin` and its answer, and after the client's result, so
//! that they belong to the same calls. Both end when their input does.

use std::io::{self, BufRead, Write};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;

use crate::case::{self, Case, Work};
use crate::flags::{Call, Member, Place};
use crate::system::{Job, Leave, System};
use crate::systems::{self, Visitor};
use crate::workloads;
use crate::{kept, machine};

/// What the client measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) metrics: Vec<Metric>,
    /// Operations since `begin`.
    pub(crate) operations: u64,
    /// Computing time of the client since `begin`.
    pub(crate) cpu_seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Metric {
    /// Is appended to the id of the case; empty for its main figure.
    pub(crate) suffix: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// What the server has used so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
}

pub(crate) fn serve(place: &Place) -> anyhow::Result<()> {
    struct Serve<'a>(&'a Place, &'static Case);
    impl Visitor for Serve<'_> {
        fn visit<S: System>(self) -> anyhow::Result<()> {
            let job = job(self.0, self.1);
            runtime()?.block_on(S::serve(&job, |address| say(&format!("ready {address}"))))
        }
    }

    let case = case::find(&place.case)?;
    machine::pin(0)?;
    if let Work::Upload { keep: true, .. } = case.work {
        kept::keep_all();
    }
    std::thread::spawn(tell_usage);
    systems::visit(&place.system, Serve(place, case))
}

pub(crate) fn call(call: &Call) -> anyhow::Result<()> {
    struct Caller<'a>(&'a Call, &'static Case);
    impl Visitor for Caller<'_> {
        fn visit<S: System>(self) -> anyhow::Result<()> {
            let Self(call, case) = self;
            let job = job(&call.place, case);
            let work = workloads::run::<S>(case, &job, &call.address, call.seconds);
            let measured = runtime()?.block_on(work)?;
            say(&serde_json::to_string(&measured)?);
            // Nothing is left to be learnt from how the system takes itself apart.
            std::process::exit(0)
        }
    }

    let case = case::find(&call.place.case)?;
    machine::pin(case.pin.client())?;
    systems::visit(&call.place.system, Caller(call, case))
}

pub(crate) fn member(member: &Member) -> anyhow::Result<()> {
    struct Join<'a>(&'a Member, &'static Case);
    impl Visitor for Join<'_> {
        fn visit<S: System>(self) -> anyhow::Result<()> {
            let Self(member, case) = self;
            let job = job(&member.place, case);
            runtime()?.block_on(S::member(&job, member.rank, Leave(called)))
        }
    }

    systems::visit(&member.place.system, Join(member, case::find(&member.place.case)?))
}

/// Tells the driver that a member has called. What comes of it arrives when the members are to leave; meanwhile this
/// process serves.
fn called() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    say("called");
    std::thread::spawn(move || {
        if io::stdin().lock().read_line(&mut String::new()).is_ok_and(|read| read > 0) {
            // Nobody waits any more if the member has failed, which is told otherwise.
            let _ = sender.send(());
        }
    });
    receiver
}

/// Tells the driver that the measurement can begin, and waits until it agrees.
pub(crate) fn begin() -> anyhow::Result<()> {
    say("begin");
    let read = io::stdin().lock().read_line(&mut String::new())?;
    anyhow::ensure!(read > 0, "the driver is gone");
    Ok(())
}

fn job<'a>(place: &'a Place, case: &Case) -> Job<'a> {
    Job { scratch: &place.scratch, clients: case.work.clients() }
}

fn runtime() -> anyhow::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).context("no runtime")
}

fn tell_usage() {
    for line in io::stdin().lock().lines() {
        let usage = machine::cpu_seconds()
            .map(|cpu_seconds| Usage { cpu_seconds, resident_bytes: machine::resident_bytes() });
        match (line, usage.and_then(|usage| Ok(serde_json::to_string(&usage)?))) {
            (Ok(_), Ok(usage)) => say(&usage),
            _ => break,
        }
    }
    std::process::exit(0)
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // If nobody listens any more, the end of the input tells so.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
