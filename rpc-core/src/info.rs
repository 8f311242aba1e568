//! What an agent is doing, as data: [`AgentInfo`].
//!
//! A picture of one moment, made when somebody asks. What it counts is counted where a lock is held anyway, so a
//! call pays nothing for it. Lists are as long as the group, or as [`FUNCTIONS_LISTED_MAX`] says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Kind;
use crate::worker::WorkerInfo;

/// How many functions [`AgentInfo::calls`] and [`AgentInfo::serving`] list; the others are added up.
pub const FUNCTIONS_LISTED_MAX: usize = 64;

/// What an agent is doing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cluster = rpc_testing::Cluster::new(2).await;
/// let info = cluster.agent("worker0").info();
/// assert_eq!(info.requests.active, 0);
/// assert_eq!(info.peers[1].worker.name.as_str(), "worker1");
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentInfo {
    /// Requests of all peers together, without those of the shutdown protocol.
    pub requests: RequestCounts,
    /// Threads of blocking handlers.
    pub threads: ThreadCounts,
    /// Every worker of the group by rank, this one included.
    pub peers: Vec<PeerInfo>,
    /// Calls of this worker that wait for a response, by function.
    pub calls: ByFunction,
    /// Requests of others, and of this worker to itself, that are in progress here, by function. Those that are
    /// answered in place are never seen.
    pub serving: ByFunction,
}

/// How many requests there were, and are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Made by this worker since it started.
    pub sent: u64,
    /// Served by this worker since it started.
    pub received: u64,
    /// Of both, those that have no answer yet.
    pub active: u64,
}

/// How many threads there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThreadCounts {
    /// All that there are.
    pub all: u64,
    /// Those that wait for work.
    pub idle: u64,
    /// As many as there may be.
    pub max: u64,
}

/// What there is between this worker and another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The peer.
    pub worker: WorkerInfo,
    /// Where it listens, in the backend's form.
    pub address: String,
    /// The link to it.
    pub link: LinkState,
    /// Bytes queued towards it and not yet given to the system.
    pub queued_bytes: u64,
    /// Calls to it that wait for a response, those that were given up after they were sent included.
    pub in_flight: u64,
    /// Of these, those that nobody waits for any more.
    pub given_up: u64,
    /// The one that has waited longest, of those that somebody waits for.
    pub oldest: Option<OldestCall>,
    /// Requests of it that are in progress here.
    pub serving: u64,
    /// What was exchanged since this worker started.
    pub traffic: Traffic,
}

/// What the link to a peer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkState {
    /// There is none; the next request makes one. Always so for this worker itself.
    #[default]
    None,
    /// One is being made.
    Dialing {
        /// Requests that wait for it.
        waiting: u64,
    },
    /// There is one.
    Up {
        /// The links of a pair are numbered upwards from 1.
        number: u32,
        /// What it runs over, as the transport calls it (see [`LinkSender::carrier`](crate::LinkSender::carrier)).
        carrier: String,
    },
    /// The peer has left the group.
    Departed,
}

/// A call that waits for its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OldestCall {
    /// Its number on the wire and in logs.
    pub call: u64,
    /// What it calls.
    pub function: FunctionKey,
    /// For how long it has waited, in milliseconds.
    pub age_ms: u64,
}

/// Requests and their responses, without control frames and headers. A message of this worker to itself is not
/// carried, and counts nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages to the peer.
    pub messages_sent: u64,
    /// Their payloads and parts, in bytes.
    pub bytes_sent: u64,
    /// Messages from the peer.
    pub messages_received: u64,
    /// Their payloads and parts, in bytes.
    pub bytes_received: u64,
}

impl Traffic {
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.messages_sent += 1;
        self.bytes_sent += bytes;
    }

    pub(crate) fn received(&mut self, bytes: u64) {
        self.messages_received += 1;
        self.bytes_received += bytes;
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            messages_sent: self.messages_sent + other.messages_sent,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            messages_received: self.messages_received + other.messages_received,
            bytes_received: self.bytes_received + other.bytes_received,
        }
    }
}

/// What a request asks for. Agents do not know functions, so the name comes from above
/// ([`AgentInfo::name_functions`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionKey {
    /// The kind of the request.
    pub kind: Kind,
    /// As in [`Request::method`](crate::Request::method).
    pub method: u64,
    /// The function's name; before it is known, the kind and the method.
    pub name: String,
}

impl FunctionKey {
    pub(crate) fn new(kind: Kind, method: u64) -> Self {
        Self { kind, method, name: format!("{kind:?} {method:016x}") }
    }
}

/// Requests by what they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ByFunction {
    /// At most [`FUNCTIONS_LISTED_MAX`], those with most requests first.
    pub listed: Vec<FunctionCount>,
    /// Requests of functions that are not listed.
    pub more: u64,
}

/// How many requests ask for one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionCount {
    /// The function.
    pub function: FunctionKey,
    /// How many there are.
    pub count: u64,
    /// For how long the oldest has been there, in milliseconds.
    pub oldest_ms: u64,
}

impl AgentInfo {
    /// Gives functions their names; `name` is asked with the kind of a request and its method, and may not know.
    pub fn name_functions(&mut self, name: impl Fn(Kind, u64) -> Option<String>) {
        let oldest = self.peers.iter_mut().filter_map(|peer| Some(&mut peer.oldest.as_mut()?.function));
        let counts = self.calls.listed.iter_mut().chain(&mut self.serving.listed);
        for function in oldest.chain(counts.map(|count| &mut count.function)) {
            if let Some(name) = name(function.kind, function.method) {
                function.name = name;
            }
        }
    }

    /// The call of this worker that has waited longest, and whom it waits for.
    pub fn oldest(&self) -> Option<(&WorkerInfo, &OldestCall)> {
        let calls = self.peers.iter().filter_map(|peer| Some((&peer.worker, peer.oldest.as_ref()?)));
        calls.max_by_key(|(_, call)| call.age_ms)
    }

    /// The same as a flat list of names and values, for people and for logs. Names are those of the fields,
    /// with dots between them and `peer.NAME`, `calls.FUNCTION` and `serving.FUNCTION` in front.
    pub fn flat(&self) -> Vec<(String, String)> {
        let Self { requests, threads, peers, calls, serving } = self;
        let mut flat = Flat::default();
        flat.add("requests.sent", requests.sent);
        flat.add("requests.received", requests.received);
        flat.add("requests.active", requests.active);
        flat.add("threads", threads.all);
        flat.add("threads.idle", threads.idle);
        flat.add("threads.max", threads.max);
        for peer in peers {
            let mut add = |word: &str, value: &dyn std::fmt::Display| {
                flat.add(&format!("peer.{}.{word}", peer.worker.name), value);
            };
            add("link", &peer.link);
            add("address", &peer.address);
            add("queued_bytes", &peer.queued_bytes);
            add("in_flight", &peer.in_flight);
            add("given_up", &peer.given_up);
            add("serving", &peer.serving);
            add("messages_sent", &peer.traffic.messages_sent);
            add("messages_received", &peer.traffic.messages_received);
            add("bytes_sent", &peer.traffic.bytes_sent);
            add("bytes_received", &peer.traffic.bytes_received);
            if let Some(oldest) = &peer.oldest {
                add("oldest", &oldest.function.name);
                add("oldest_ms", &oldest.age_ms);
            }
        }
        for (what, functions) in [("calls", calls), ("serving", serving)] {
            for FunctionCount { function, count, oldest_ms } in &functions.listed {
                flat.add(&format!("{what}.{}", function.name), count);
                flat.add(&format!("{what}.{}.oldest_ms", function.name), oldest_ms);
            }
            if functions.more > 0 {
                flat.add(&format!("{what}.others"), functions.more);
            }
        }
        flat.0
    }
}

#[derive(Default)]
struct Flat(Vec<(String, String)>);

impl Flat {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }
}

impl std::fmt::Display for LinkState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Dialing { waiting } => write!(f, "dialing, {waiting} requests wait"),
            Self::Up { number, carrier } => write!(f, "up, number {number}, {carrier}"),
            Self::Departed => f.write_str("departed"),
        }
    }
}

/// Adds requests up by function.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// As many entries as the program has functions that are called now.
    counts: std::collections::BTreeMap<(Kind, u64), (u64, Duration)>,
}

impl Tally {
    pub(crate) fn add(&mut self, kind: Kind, method: u64, age: Duration) {
        let (count, oldest) = self.counts.entry((kind, method)).or_default();
        *count += 1;
        *oldest = (*oldest).max(age);
    }

    pub(crate) fn finish(self) -> ByFunction {
        let mut all: Vec<_> = self.counts.into_iter().collect();
        all.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let rest = all.split_off(all.len().min(FUNCTIONS_LISTED_MAX));
        let listed = all.into_iter().map(|((kind, method), (count, oldest))| FunctionCount {
            function: FunctionKey::new(kind, method),
            count,
            oldest_ms: millis(oldest),
        });
        ByFunction { listed: listed.collect(), more: rest.iter().map(|(_, (count, _))| count).sum() }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_added_up() {
        let mut tally = Tally::default();
        for method in 0..FUNCTIONS_LISTED_MAX as u64 + 3 {
            for request in 0..=u64::from(method == 40) {
                tally.add(Kind::CALL, method, Duration::from_millis(request + method));
            }
        }
        let by_function = tally.finish();
        assert_eq!((by_function.listed.len(), by_function.more), (FUNCTIONS_LISTED_MAX, 3));
        let first = &by_function.listed[0];
        assert_eq!((first.function.method, first.count, first.oldest_ms), (40, 2, 41), "most first");
    }

    #[test]
    fn functions_get_their_names() {
        let mut tally = Tally::default();
        tally.add(Kind::CALL, 7, Duration::ZERO);
        tally.add(Kind::CALL, 8, Duration::ZERO);
        let mut info = AgentInfo { calls: tally.finish(), ..AgentInfo::default() };
        info.name_functions(|kind, method| (kind == Kind::CALL && method == 7).then(|| "add".to_owned()));
        let flat = info.flat();
        let has = |name: &str| flat.iter().any(|(key, value)| key == name && value == "1");
        assert!(has("calls.add") && has("calls.call 0000000000000008"), "{flat:?}");
    }
}
