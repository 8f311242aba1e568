//! Asking holders on demand, and the requests of a worker to itself, because looking into values may block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rpc_core::{Body, Incoming, Outcome, Reply, Request, Response, Served, WorkerId};
use serde::{Deserialize, Serialize};

use super::survey::Inside;
use super::tell::{Edge, Holdings, TOLD_MAX};
use crate::registry::{REPORT, Registry};

/// What do you hold of my values?
const OF_MINE: u64 = 0;
/// Of a worker to itself: what do you hold of anybody's?
const OF_ALL: u64 = 1;
/// Of a worker to itself: tell the others, for everybody is leaving.
const SPEAK: u64 = 2;

/// How long holders have to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// By owner.
    pub(super) holdings: BTreeMap<WorkerId, Holdings>,
    /// What is inside of its values.
    pub(super) edges: Vec<Edge>,
}

impl Registry {
    /// Has this worker look into its values and tell the others.
    pub(crate) fn speak_later(&self) {
        // If it fails, this worker has shut down.
        drop(self.agent().send(self.me(), request(SPEAK, None)));
    }

    /// What this worker itself holds. If it has no thread to look into its values in time, or has shut down,
    /// without that.
    pub(super) async fn ask_self(&self) -> Answer {
        let reply = self.agent().send(self.me(), request(OF_ALL, Some(ANSWER_TIMEOUT)));
        match answer(reply).await {
            Some(answer) => answer,
            None => {
                let holdings = self.read(|state| state.holdings(&mut Inside::default(), |_| true));
                Answer { holdings, edges: Vec::new() }
            }
        }
    }

    /// What `holders` hold of this worker's values, and have inside of theirs. Those who do not answer in time
    /// are not in it.
    pub(super) fn ask_holders(
        &self,
        holders: BTreeSet<WorkerId>,
    ) -> impl Future<Output = Vec<(WorkerId, Answer)>> + use<> {
        // All are asked before the first is waited for.
        let ask = |holder| (holder, self.agent().send(holder, request(OF_MINE, Some(ANSWER_TIMEOUT))));
        let asked: Vec<(WorkerId, Reply)> = holders.into_iter().map(ask).collect();
        async move {
            let mut answers = Vec::new();
            for (holder, reply) in asked {
                if let Some(answer) = answer(reply).await {
                    answers.push((holder, answer));
                }
            }
            answers
        }
    }

    /// Serves a request of this kind.
    pub(crate) fn serve_report(self: Arc<Self>, incoming: &Incoming) -> Served {
        let from = incoming.from;
        let method = incoming.request.method;
        if method != OF_MINE && from != self.me() {
            return Served::Now(Response::failed(Outcome::UnknownKind, &[]));
        }
        Served::Blocking(Box::new(move || {
            let mut survey = self.survey();
            if method == SPEAK {
                self.change(|state| state.speak(survey));
                return done(Vec::new());
            }
            let wanted = |owner| method == OF_ALL || owner == from;
            let holdings = self.read(|state| state.holdings(&mut survey.inside, wanted));
            survey.edges.truncate(TOLD_MAX);
            let answer = Answer { holdings, edges: survey.edges };
            // Serializing plain data into a vector does not fail.
            done(postcard::to_stdvec(&answer).unwrap_or_default())
        }))
    }
}

fn request(method: u64, timeout: Option<Duration>) -> Request {
    Request { kind: REPORT, method, codec: 0, timeout, body: Body::default() }
}

fn done(payload: Vec<u8>) -> Response {
    Response { outcome: Outcome::Ok, codec: 0, body: Body::new(payload) }
}

async fn answer(reply: Reply) -> Option<Answer> {
    let response = reply.await.ok().filter(|response| response.outcome == Outcome::Ok)?;
    postcard::from_bytes(&response.body.payload).ok()
}
