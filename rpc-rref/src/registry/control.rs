//! The streams of the protocol's messages: one for each peer, a batch at a time.
//!
//! [`proto::stream`](crate::proto::stream) says what is sent again and what is taken once; here it becomes
//! requests. While a batch is on its way, what happens meanwhile gathers for the next one: a million dropped
//! handles are some hundred requests.
//!
//! A peer that cannot be reached is dead for good. So is one that says that it holds this worker for dead: the
//! two never speak of references again, and neither waits for the other.

use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::handles::{HandleDesk, SentHandles};
use rpc_core::{
    Agent, Body, Failure, Incoming, Kind, Outcome, PeerEvent, PeerWatcher, Request, Response, WorkerId,
};
use serde::{Deserialize, Serialize};

use super::state::{Phase, State};
use super::wait::Key;
use super::{Registry, chores, encoded};
use crate::proto::Msg;
use crate::proto::stream::{Accepted, Inbound, Outbound};
use crate::report::Tell;

/// Of the requests that carry batches: one of the framework's control kinds, which no load refuses.
pub(super) const CONTROL: Kind = Kind(0x12);

/// Entries of one batch, if a message may be so large.
const BATCH_MAX: usize = 4096;
/// About as much as an entry takes, with a place in it.
const ENTRY_BYTES: usize = 1024;
/// How long to wait for the receipt of a batch before it is sent again.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a peer may say that it does not serve batches, which it may say while it starts: for about ten
/// seconds.
const UNSERVED_MAX: u32 = 50;

/// One message of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// Of the counting protocol.
    Msg(Msg),
    /// Of the leak check.
    Tell(Box<Tell>),
}

/// The two directions between this worker and a peer.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) out: Outbound<Entry>,
    pub(crate) inbound: Inbound,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Batches with a receipt, ever.
    pub(crate) receipts: u64,
    /// Batches without a receipt in time, ever.
    pub(crate) timeouts: u32,
    waits: Waits,
    /// Somebody is sending, and will look for the next batch.
    sending: bool,
}

/// Whether a batch that failed waits to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    No,
    /// For its own time.
    ForItsTurn,
    /// For the next batch to any peer that is sent again.
    ForAny,
}

/// A batch on its way out.
pub(crate) struct Batch {
    to: WorkerId,
    sequence: u64,
    payload: Bytes,
}

impl Stream {
    pub(super) fn new(peer: WorkerId) -> Self {
        Self {
            out: Outbound::new(),
            inbound: Inbound::new(peer),
            failures: 0,
            receipts: 0,
            timeouts: 0,
            waits: Waits::No,
            sending: false,
        }
    }

    pub(super) fn next_batch(&mut self, to: WorkerId, max: usize) -> Option<Batch> {
        if self.waits != Waits::No || self.sending {
            return None;
        }
        let (sequence, entries) = self.out.poll_batch(max)?;
        let payload = encoded(&(sequence, entries));
        self.sending = true;
        Some(Batch { to, sequence, payload: payload.into() })
    }
}

/// How many entries a batch may have that `agent` is to send.
pub(super) fn batch_max(agent: &dyn Agent) -> usize {
    let halves = std::iter::successors(Some(BATCH_MAX), |max| (*max > 1).then_some(max / 2));
    let fits = |max: &usize| agent.refusal(&Body::new(vec![0; max * ENTRY_BYTES])).is_none();
    halves.into_iter().find(fits).unwrap_or(1)
}

impl State {
    /// Asks `peer` whether it lives; the answer shows in its stream.
    pub(crate) fn probe(&mut self, peer: WorkerId) {
        if self.is_closed() || self.dead.contains(&peer) || peer == self.me {
            return;
        }
        // Also after a batch that is under way: its receipt may have come on the link that has gone down since.
        self.stream(peer).out.probe();
        self.touch(peer);
    }

    /// The stream to and from `peer`.
    pub(super) fn stream(&mut self, peer: WorkerId) -> &mut Stream {
        self.streams.entry(peer).or_insert_with(|| Stream::new(peer))
    }

    fn receipt(&mut self, from: WorkerId, sequence: u64) {
        if let Some(stream) = self.streams.get_mut(&from) {
            stream.out.acked(sequence);
            stream.receipts += 1;
            stream.failures = 0;
            self.touch(from);
            self.wake(Key::Peer(from));
        }
    }

    /// `peer` is gone: what it held is let go, and what it owned is lost.
    pub(crate) fn peer_gone(&mut self, peer: WorkerId) {
        if peer == self.me || !self.dead.insert(peer) {
            return;
        }
        self.table.peer_dead(peer);
        self.streams.remove(&peer);
        self.report.peer_gone(peer);
        self.wake(Key::Peer(peer));
    }

    fn handle_entry(&mut self, from: WorkerId, entry: Entry) {
        match entry {
            Entry::Msg(msg) => self.handle_msg(from, msg),
            Entry::Tell(tell) => self.handle_tell(from, *tell),
        }
    }

    /// Takes a message of the counting protocol.
    pub(super) fn handle_msg(&mut self, from: WorkerId, msg: Msg) {
        if let Err(violation) = self.table.handle(from, msg) {
            tracing::warn!("ignored a message about references: {violation}");
        }
        // Requests of its may wait until it is listed.
        if let Msg::Register { rref, .. } | Msg::Abort { rref } = msg {
            self.wake(Key::Value(rref));
            self.watch_creator(rref);
        }
    }
}

impl Registry {
    /// Sends `batch`, and what has gathered by the time that it has been taken. A loop, because an agent may
    /// have the receipt before it returns.
    pub(super) fn send_batches(&self, batch: Batch) {
        let mut next = Some(batch);
        while let Some(batch) = next {
            let to = batch.to;
            self.send_batch(batch);
            let (batch, effects) = self.change_only(|state| {
                let max = state.batch_max;
                let stream = state.streams.get_mut(&to)?;
                stream.sending = false;
                stream.next_batch(to, max)
            });
            next = batch;
            self.apply(effects);
        }
    }

    fn send_batch(&self, batch: Batch) {
        let Some(registry) = self.own().upgrade() else { return };
        let Batch { to, sequence, payload } = batch;
        let body = Body { payload, parts: Vec::new() };
        let timeout = Some(RECEIPT_TIMEOUT);
        let reply = self.agent().send(to, Request { kind: CONTROL, method: 0, codec: 0, timeout, body });
        let sent = BatchSent { registry: self.own().clone(), to, sequence, lost: false };
        let desk: std::sync::Arc<dyn HandleDesk> = registry;
        reply.watch(desk, to, "references", Some(Box::new(sent)));
    }

    fn batch_lost(&self, to: WorkerId, sequence: u64, why: &Failure) {
        match why {
            Failure::Unreachable { .. } | Failure::Departed => {
                tracing::debug!(%to, "no references are shared with it any more: {why}");
                self.peer_is_gone(to, why);
            }
            Failure::ShutDown => {}
            // It answered, and will not answer otherwise the next time.
            Failure::BadArguments { .. } | Failure::Panicked { .. } => {
                tracing::error!(%to, "it does not understand this worker's references: {why}");
                self.peer_is_gone(to, why);
            }
            _ => {
                let delay = self.change(|state| -> Option<Option<Duration>> {
                    let stream = state.streams.get_mut(&to)?;
                    stream.out.failed(sequence);
                    if matches!(why, Failure::TimedOut { .. }) {
                        stream.timeouts += 1;
                        tracing::info!(%to, "it does not take messages about references: {why}");
                    }
                    stream.failures += 1;
                    let starts = stream.failures <= UNSERVED_MAX && state.phase == Phase::Open;
                    let unserved = matches!(why, Failure::UnknownKind) && !starts;
                    stream.waits = if unserved { Waits::No } else { Waits::ForItsTurn };
                    let delay = (!unserved).then(|| chores::backoff(stream.failures));
                    state.wake(Key::Peer(to));
                    Some(delay)
                });
                match delay {
                    Some(Some(delay)) => self.retry_after(to, delay),
                    Some(None) => {
                        tracing::error!(%to, "it does not count references; start a Registry there too");
                        self.peer_is_gone(to, why);
                    }
                    None => {}
                }
            }
        }
    }

    /// The batch that failed is sent again, and so are those that wait for any.
    pub(super) fn retry(&self, to: WorkerId) {
        self.change(|state| {
            for (peer, stream) in &mut state.streams {
                if *peer == to || stream.waits == Waits::ForAny {
                    stream.waits = Waits::No;
                    state.touched.push(*peer);
                }
            }
        });
    }

    /// The batch that failed is sent again with the next that is.
    pub(super) fn retry_with_others(&self, to: WorkerId) {
        self.change(|state| {
            if let Some(stream) = state.streams.get_mut(&to) {
                stream.waits = Waits::ForAny;
            }
        });
    }

    /// Takes it that `peer` is gone, as `why` says.
    pub(super) fn peer_is_gone(&self, peer: WorkerId, why: &Failure) {
        self.change(|state| match (why, state.phase) {
            // What it still held is leaked, and will be reported.
            (Failure::Departed, Phase::Leaving) if state.report.is_final() => {
                state.streams.remove(&peer);
                state.wake(Key::Peer(peer));
            }
            _ => state.peer_gone(peer),
        });
    }

    /// Serves a batch.
    pub(super) fn serve_control(&self, incoming: &Incoming) -> Response {
        let from = incoming.from;
        let batch: Result<(u64, Vec<Entry>), _> = postcard::from_bytes(&incoming.request.body.payload);
        let (sequence, entries) = match batch {
            Ok(batch) => batch,
            Err(error) => return Response::failed(Outcome::BadArguments, &[&error.to_string()]),
        };
        self.change(|state| {
            if state.phase == Phase::Closed || state.dead.contains(&from) {
                return Response::failed(Outcome::ShuttingDown, &[]);
            }
            state.met.insert(from);
            match state.stream(from).inbound.accept(sequence) {
                Ok(Accepted::Fresh) => {
                    for entry in entries {
                        state.handle_entry(from, entry);
                    }
                }
                Ok(Accepted::Repeat) => {}
                Err(violation) => {
                    tracing::warn!(%from, "ignored a batch of messages about references: {violation}");
                    return Response::failed(Outcome::BadArguments, &[&violation.to_string()]);
                }
            }
            Response { outcome: Outcome::Ok, codec: 0, body: Body::default() }
        })
    }
}

impl PeerWatcher for Registry {
    fn peer_event(&self, peer: WorkerId, event: PeerEvent) {
        match event {
            PeerEvent::LinkDown { link } => self.change(|state| {
                state.table.link_down(peer, link);
                if state.met.contains(&peer) {
                    state.probe(peer);
                }
            }),
            PeerEvent::Departed => self.peer_is_gone(peer, &Failure::Departed),
            _ => {}
        }
    }
}

/// A batch that waits for its receipt.
struct BatchSent {
    registry: Weak<Registry>,
    to: WorkerId,
    sequence: u64,
    lost: bool,
}

impl SentHandles for BatchSent {
    fn lost(mut self: Box<Self>, why: &Failure) {
        self.lost = true;
        if let Some(registry) = self.registry.upgrade() {
            registry.batch_lost(self.to, self.sequence, why);
        }
    }
}

impl Drop for BatchSent {
    fn drop(&mut self) {
        if !self.lost
            && let Some(registry) = self.registry.upgrade()
        {
            registry.change(|state| state.receipt(self.to, self.sequence));
        }
    }
}
