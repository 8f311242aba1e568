//! Workers with registries over a network in memory, and what tests do to them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{
    Client, Failure, FunctionHandler, FunctionTable, Gatekeeper, Host, Kind, ReferenceError, WorkerId,
};
use rpc_rref::{RRef, Registry};
use rpc_testing::{ActiveRule, Cluster, Rule};

use crate::functions::{Tracked, fresh, keep, taken};

/// The requests of the reference protocol, by [`Header::kind`](rpc_core::wire::Header::kind).
pub(crate) const CONTROL: u8 = 0x12;
pub(crate) const CREATE: u8 = 0x13;
pub(crate) const FETCH: u8 = 0x14;
pub(crate) const METHOD: u8 = 0x15;

/// A cluster whose workers count references. A worker is given by its rank.
pub(crate) struct Refs {
    pub(crate) cluster: Cluster,
    registries: Vec<Arc<Registry>>,
    _hosts: Vec<Arc<dyn Host>>,
    killed: Mutex<BTreeSet<usize>>,
}

impl Refs {
    /// `n` workers, `worker0` and so on.
    pub(crate) async fn new(n: usize) -> Self {
        Self::over(Cluster::new(n).await)
    }

    pub(crate) fn over(cluster: Cluster) -> Self {
        Self::over_some(cluster, usize::MAX)
    }

    /// Of which only the first few have registries.
    pub(crate) fn over_some(cluster: Cluster, registries_max: usize) -> Self {
        Self::over_guarded(cluster, registries_max, |_| None)
    }

    /// Of which some have gatekeepers, for calls and for references.
    pub(crate) fn over_guarded(
        cluster: Cluster,
        registries_max: usize,
        gatekeeper: impl Fn(&rpc_core::WorkerInfo) -> Option<Arc<Gatekeeper>>,
    ) -> Self {
        let functions = Arc::new(FunctionTable::linked().unwrap());
        let (mut registries, mut hosts) = (Vec::new(), Vec::new());
        for member in cluster.group().members().iter().take(registries_max) {
            let host: Arc<dyn Host> = Arc::new(cluster.client(member.info.id).clone());
            let client: Client = host.client();
            let (gatekeeper, weak) = (gatekeeper(&member.info), Arc::downgrade(&host));
            if let Some(gatekeeper) = &gatekeeper {
                let codecs = Arc::clone(client.codecs());
                let handler = FunctionHandler::new(Arc::clone(&functions), codecs, weak.clone());
                client.agent().serve(Kind::CALL, Arc::new(handler.guarded(Arc::clone(gatekeeper))));
            }
            let started = Registry::start_guarded(&client, Arc::clone(&functions), weak, gatekeeper);
            registries.push(started.unwrap());
            hosts.push(host);
        }
        Self { cluster, registries, _hosts: hosts, killed: Mutex::default() }
    }

    pub(crate) fn registry(&self, worker: usize) -> &Arc<Registry> {
        &self.registries[worker]
    }

    pub(crate) fn client(&self, worker: usize) -> &Client {
        self.cluster.client(id(worker))
    }

    pub(crate) fn address(&self, worker: usize) -> &str {
        self.cluster.address(id(worker))
    }

    /// A reference to a new value on `worker`, and the value's ticket.
    pub(crate) fn own(&self, worker: usize) -> (RRef<Tracked>, u64) {
        let ticket = fresh();
        (RRef::new(self.registry(worker), Tracked::new(ticket)), ticket)
    }

    /// Sends `rref` from worker `from` to worker `to`; what comes out there.
    pub(crate) async fn pass(&self, from: usize, to: usize, rref: &RRef<Tracked>) -> RRef<Tracked> {
        let ticket = fresh();
        self.client(from).rpc_async(name(to).as_str(), keep, (ticket, rref.clone())).await.unwrap();
        taken(ticket)
    }

    /// Puts a rule for frames from one worker to another into force.
    pub(crate) fn rule(&self, from: usize, to: usize, rule: Rule) -> ActiveRule {
        self.cluster.network().add(rule.from(self.address(from)).to(self.address(to)))
    }

    /// Counts the frames of `kind` from one worker to another, unless a rule before it picks them.
    pub(crate) fn count(&self, from: usize, to: usize, kind: u8) -> ActiveRule {
        self.rule(from, to, Rule::delay(Duration::ZERO).kind(kind))
    }

    /// Counts the frames of `kind` between all workers.
    pub(crate) fn count_all(&self, kind: u8) -> ActiveRule {
        self.cluster.network().add(Rule::delay(Duration::ZERO).kind(kind))
    }

    pub(crate) fn cut(&self, a: usize, b: usize) -> usize {
        self.cluster.cut(id(a), id(b))
    }

    pub(crate) fn kill(&self, worker: usize) {
        self.cluster.kill(id(worker));
        self.killed.lock().insert(worker);
    }

    /// Lets all that can happen without waiting happen: a paused clock advances when nobody has anything
    /// to do.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Lets everything that is on its way arrive, and asserts that no living worker owns or uses anything
    /// any more.
    pub(crate) async fn assert_empty(&self) {
        self.assert_empty_but(usize::MAX).await;
    }

    /// As [`assert_empty`](Self::assert_empty), of all but one.
    pub(crate) async fn assert_empty_but(&self, other: usize) {
        // By the time of the world, because destructors run on threads, of which a paused clock knows nothing.
        let begun = std::time::Instant::now();
        while begun.elapsed() < secs(10) {
            if self.busy(other).next().is_none() {
                return;
            }
            tokio::time::sleep(ms(10)).await;
        }
        let left: Vec<String> =
            self.busy(other).map(|registry| format!("{}: {registry:#?}", registry.worker())).collect();
        panic!("something is left:\n{}", left.join("\n"));
    }

    fn busy(&self, other: usize) -> impl Iterator<Item = &Arc<Registry>> {
        let mut idle = self.killed.lock().clone();
        idle.insert(other);
        let asked = self.registries.iter().enumerate().filter(move |(rank, _)| !idle.contains(rank));
        asked.map(|(_, registry)| registry).filter(|registry| !registry.is_idle())
    }
}

pub(crate) fn id(worker: usize) -> WorkerId {
    WorkerId(worker as u32)
}

pub(crate) fn name(worker: usize) -> String {
    format!("worker{worker}")
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What is wrong with a reference, as a call says.
#[track_caller]
pub(crate) fn reference_error<E: std::fmt::Debug>(error: &rpc_core::CallError<E>) -> &ReferenceError {
    match error.failure() {
        Some(Failure::Reference(error)) => error,
        _ => panic!("not an error of a reference: {error:?}"),
    }
}

/// Asserts that the result of a call is an error of a reference that matches.
macro_rules! assert_reference {
    ($result:expr, $pattern:pat) => {{
        let error = $result.unwrap_err();
        let reference = $crate::common::reference_error(&error);
        assert!(matches!(reference, $pattern), "{reference:?}");
    }};
}
pub(crate) use assert_reference;

/// So long on the paused clock that threads, of which it knows nothing, get their turn meanwhile.
pub(crate) const LONG: Duration = Duration::from_secs(10 * 3_600);

/// Awaits something that is to end within `most` of the clock's time.
pub(crate) async fn within<F: Future>(most: Duration, future: F) -> F::Output {
    let start = tokio::time::Instant::now();
    match tokio::time::timeout(most, future).await {
        Ok(output) => output,
        Err(_) => panic!("it is not there after {:?}", start.elapsed()),
    }
}

/// Waits for what a thread does, which no paused clock knows of.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not so after 10 s: {what}");
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}
