//! What the engine tells of itself ([`AgentInfo`]).

use tokio::time::Instant;

use super::calls::Call;
use super::peer::{Peer, Phase};
use super::shared::Shared;
use crate::info::{
    AgentInfo, FunctionKey, LinkState, OldestCall, PeerInfo, RequestCounts, Tally, ThreadCounts, Traffic,
    millis,
};
use crate::proto::shutdown::Counts;

impl Shared {
    /// What is going on now. Takes one lock of one peer at a time.
    pub(super) fn info(&self) -> AgentInfo {
        let now = Instant::now();
        let (mut calls, mut serving) = (Tally::default(), Tally::default());
        let peers = self.peers.iter().map(|peer| {
            let address = self.transport.shown_address(&peer.member.address).to_owned();
            PeerInfo { address, ..peer.info(peer.id() == self.id, now, &mut calls, &mut serving) }
        });
        let peers = peers.collect();
        let (all, idle) = (self.pool.threads() as u64, self.pool.idle() as u64);
        let max = self.config.blocking_threads_max as u64;
        let Counts { sent, received, active } = self.counts();
        let requests = RequestCounts { sent, received, active };
        AgentInfo {
            requests,
            threads: ThreadCounts { all, idle, max },
            peers,
            calls: calls.finish(),
            serving: serving.finish(),
        }
    }
}

impl Peer {
    fn info(&self, is_own: bool, now: Instant, by_call: &mut Tally, by_request: &mut Tally) -> PeerInfo {
        let (link, queued_bytes) = match &self.state.lock().phase {
            Phase::Idle => (LinkState::None, 0),
            Phase::Dialing(waiting) => (LinkState::Dialing { waiting: waiting.len() as u64 }, 0),
            Phase::Up { link, number } => {
                let carrier = link.carrier().to_owned();
                (LinkState::Up { number: *number, carrier }, link.queued_bytes())
            }
            Phase::Departed => (LinkState::Departed, 0),
        };
        // Copied under the locks, which calls need, and looked at without.
        let calls = self.calls.lock();
        let copy = |(id, call): (u64, &Call)| (id, call.kind, call.method, call.began, call.given_up);
        let waiting: Vec<_> = calls.iter().map(copy).collect();
        let (in_flight, sent) = (calls.len() as u64, calls.traffic);
        drop(calls);
        let running = self.running.lock();
        let requests: Vec<_> = running.contexts().cloned().collect();
        let (serving, received) = (running.len() as u64, running.traffic);
        drop(running);
        for (_, kind, method, began, _) in &waiting {
            by_call.add(*kind, *method, now.saturating_duration_since(*began));
        }
        for context in requests {
            let (kind, method) = context.asked_for();
            by_request.add(kind, method, now.saturating_duration_since(context.began()));
        }
        let given_up = waiting.iter().filter(|(.., given_up)| *given_up).count() as u64;
        let oldest = waiting.iter().filter(|(.., given_up)| !given_up).min_by_key(|(.., began, _)| *began);
        PeerInfo {
            worker: self.member.info.clone(),
            address: self.member.address.clone(),
            link,
            queued_bytes,
            in_flight,
            given_up,
            oldest: oldest.map(|(call, kind, method, began, _)| OldestCall {
                call: *call,
                function: FunctionKey::new(*kind, *method),
                age_ms: millis(now.saturating_duration_since(*began)),
            }),
            serving,
            // What a worker asks of itself takes no link.
            traffic: if is_own { Traffic::default() } else { sent.plus(received) },
        }
    }
}
