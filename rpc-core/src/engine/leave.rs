//! Drives [`proto::shutdown`](crate::proto::shutdown): its requests are ordinary requests of
//! [`Kind::SHUTDOWN`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::shared::Shared;
use crate::agent::{Handler, Incoming, Served};
use crate::error::Failure;
use crate::function::BoxFuture;
use crate::message::{Body, Kind, Outcome, Request, Response};
use crate::proto::shutdown::{Answer, Ask, Machine, NoAnswer, View};
use crate::reply::ReplyResult;
use crate::shutdown::{Shutdown, ShutdownError, ShutdownReport};
use crate::transport::{Close, Flush, Frame, LinkSender};
use crate::wire::{Header, frame};
use crate::worker::{Group, WorkerId, WorkerInfo};

/// How long one request of the protocol may take before it is asked again.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a link to take what is queued when it is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// When to say first, and then again, whom the shutdown waits for.
const REPORT_AFTER: Duration = Duration::from_secs(3);
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The engine's part in the shutdown of its group.
pub(super) struct Leaving {
    base: Instant,
    machine: Mutex<Machine>,
    /// The machine may have something to do.
    changed: Notify,
    /// The outcome, once there is one; the first shutdown decides, later ones see the same.
    outcome: Mutex<Option<watch::Receiver<Option<ShutdownOutcome>>>>,
}

type ShutdownOutcome = Result<ShutdownReport, ShutdownError>;

impl Leaving {
    pub(super) fn new(id: WorkerId, group: &Group) -> Self {
        let mut by_name: Vec<&WorkerInfo> = group.members().iter().map(|member| &member.info).collect();
        by_name.sort_by(|a, b| a.name.cmp(&b.name));
        let by_name = by_name.into_iter().map(|info| info.id).collect();
        Self {
            base: Instant::now(),
            machine: Mutex::new(Machine::new(id, by_name)),
            changed: Notify::new(),
            outcome: Mutex::default(),
        }
    }

    fn now(&self) -> Duration {
        self.base.elapsed()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.outcome.lock().is_some()
    }

    pub(super) fn peer_departed(&self, id: WorkerId) {
        self.machine.lock().handle_departed(self.now(), id);
        self.changed.notify_one();
    }
}

/// Answers the requests of the protocol.
#[derive(Debug)]
pub(super) struct ShutdownHandler {
    shared: Weak<Shared>,
}

impl ShutdownHandler {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Handler for ShutdownHandler {
    fn handle(&self, incoming: Incoming) -> Served {
        let Some(shared) = self.shared.upgrade() else {
            return Served::Now(Response::failed(Outcome::ShuttingDown, &[]));
        };
        let ask = match postcard::from_bytes::<Ask>(&incoming.request.body.payload) {
            Ok(ask) => ask,
            Err(error) => return Served::Now(Response::failed(Outcome::BadArguments, &[&error.to_string()])),
        };
        let counts = shared.counts();
        let leaving = &shared.leaving;
        let answer = leaving.machine.lock().handle_ask(leaving.now(), incoming.from, ask, counts);
        leaving.changed.notify_one();
        Served::Now(match postcard::to_stdvec(&answer) {
            Ok(payload) => Response { outcome: Outcome::Ok, codec: 0, body: Body::new(payload) },
            Err(error) => Response::failed(Outcome::BadResult, &[&error.to_string()]),
        })
    }
}

/// Begins a shutdown, or joins the one that has begun.
pub(super) fn shutdown(shared: &Arc<Shared>, how: Shutdown) -> BoxFuture<'static, ShutdownOutcome> {
    let mut outcome = {
        let mut slot = shared.leaving.outcome.lock();
        let running = slot.clone();
        match (running, how) {
            (Some(outcome), Shutdown::Graceful { .. }) => outcome,
            (None, Shutdown::Graceful { timeout }) => {
                let (sender, outcome) = watch::channel(None);
                *slot = Some(outcome.clone());
                shared.spawn(run_graceful(Arc::clone(shared), timeout, sender));
                outcome
            }
            (_, Shutdown::Immediate) => {
                let (sender, outcome) = watch::channel(None);
                *slot = Some(outcome.clone());
                let shared_too = Arc::clone(shared);
                shared.spawn(async move {
                    finish(&shared_too).await;
                    let _ = sender.send(Some(Ok(ShutdownReport::default())));
                });
                outcome
            }
        }
    };
    Box::pin(async move {
        let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        // Without an outcome the runtime has ended under the task; the worker is gone with it.
        ended.unwrap_or_else(|| Ok(ShutdownReport::default()))
    })
}

async fn run_graceful(
    shared: Arc<Shared>,
    timeout: Option<Duration>,
    outcome: watch::Sender<Option<ShutdownOutcome>>,
) {
    let result = match timeout {
        None => Ok(meet(&shared).await),
        Some(after) => tokio::time::timeout(after, meet(&shared)).await.map_err(|_| {
            let View { missing, busy } = shared.leaving.machine.lock().view();
            let error = ShutdownError::TimedOut {
                after,
                missing: infos(&shared, &missing),
                busy: infos(&shared, &busy),
            };
            tracing::warn!("{error}");
            error
        }),
    };
    finish(&shared).await;
    // Nobody may be waiting any more, which is their choice.
    let _ = outcome.send(Some(result));
}

/// Takes part in the protocol until this worker is let go.
async fn meet(shared: &Arc<Shared>) -> ShutdownReport {
    let leaving = &shared.leaving;
    // Answers in flight: one for each present worker at most.
    let (answers, mut answered) = mpsc::channel(shared.peers.len().max(1));
    leaving.machine.lock().join(leaving.now());
    let mut report_at = Instant::now() + REPORT_AFTER;
    loop {
        let (asks, wake_at) = {
            let mut machine = leaving.machine.lock();
            machine.handle_timeout(leaving.now(), shared.counts());
            if machine.is_done() || shared.is_closed() {
                return ShutdownReport::new(infos(shared, machine.lost()));
            }
            let asks: Vec<_> = std::iter::from_fn(|| machine.poll_transmit()).collect();
            (asks, machine.poll_timeout())
        };
        for (to, ask) in asks {
            send_ask(shared, to, &ask, answers.clone());
        }
        let wake_at = wake_at.map_or(report_at, |at| leaving.base + at).min(report_at);
        tokio::select! {
            Some((to, answer)) = answered.recv() => {
                let answer = read_answer(answer);
                leaving.machine.lock().handle_answer(leaving.now(), to, answer, shared.counts());
            }
            () = leaving.changed.notified() => {}
            () = tokio::time::sleep_until(wake_at) => {}
        }
        if Instant::now() >= report_at {
            report(shared);
            report_at = Instant::now() + REPORT_EVERY;
        }
    }
}

fn report(shared: &Shared) {
    let View { missing, busy } = shared.leaving.machine.lock().view();
    let list =
        |ids: &[WorkerId]| infos(shared, ids).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::info!(missing = list(&missing), busy = list(&busy), "waiting to shut down together");
}

fn send_ask(shared: &Arc<Shared>, to: WorkerId, ask: &Ask, answers: mpsc::Sender<(WorkerId, ReplyResult)>) {
    let Some(peer) = shared.peer(to) else { return };
    let payload = postcard::to_stdvec(ask).unwrap_or_default();
    let reply = peer.send(
        shared,
        Request {
            kind: Kind::SHUTDOWN,
            method: 0,
            codec: 0,
            timeout: Some(ASK_TIMEOUT),
            body: Body::new(payload),
        },
        None,
    );
    shared.spawn(async move {
        // The channel closes when the shutdown has ended without this answer.
        let _ = answers.send((to, reply.await)).await;
    });
}

fn read_answer(result: ReplyResult) -> Result<Answer, NoAnswer> {
    match result {
        Ok(response) if response.outcome == Outcome::Ok => {
            postcard::from_bytes(&response.body.payload).map_err(|_| NoAnswer::NotNow)
        }
        Ok(response) if response.outcome == Outcome::ShuttingDown => Err(NoAnswer::Departed),
        Err(Failure::Unreachable { .. }) => Err(NoAnswer::Lost),
        Err(Failure::Departed) => Err(NoAnswer::Departed),
        Ok(_) | Err(_) => Err(NoAnswer::NotNow),
    }
}

fn infos(shared: &Shared, ids: &[WorkerId]) -> Vec<WorkerInfo> {
    ids.iter().filter_map(|id| shared.group.get(*id)).map(|member| member.info.clone()).collect()
}

/// Closes, and waits for the links to take their last frames.
async fn finish(shared: &Arc<Shared>) {
    let all_closed = async {
        for link in close(shared) {
            link.closed().await;
        }
    };
    if tokio::time::timeout(CLOSE_TIMEOUT, all_closed).await.is_err() {
        tracing::debug!("a peer did not take the last frames");
    }
}

/// Says goodbye to everybody and ends everything. Returns the links, which still write what is queued.
pub(super) fn close(shared: &Arc<Shared>) -> Vec<Arc<dyn LinkSender>> {
    shared.closed.store(true, Ordering::Release);
    for task in shared.tasks.lock().drain(..) {
        task.abort();
    }
    let links: Vec<_> = shared.peers.iter().filter_map(|peer| peer.close(shared)).collect();
    for link in &links {
        let goodbye = Frame { header: Header::control(frame::GOODBYE, 0), body: Body::default() };
        let _ = link.send(goodbye, Flush::Now);
        link.close(Close::AfterQueued);
    }
    shared.pool.close();
    shared.leaving.changed.notify_one();
    links
}
