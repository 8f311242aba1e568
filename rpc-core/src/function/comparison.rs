//! [`FunctionComparison`]: in what the functions of two workers differ, told in words.
//!
//! The handshake of a link compares digests, which says *that* two tables differ. Then each side asks the other once,
//! in one request, *in what*: it sends the ids of its functions, which are short, and the other answers with what it
//! lacks, what it has with another signature, and what it has besides. It looks at ids alone, so nothing of a peer's is
//! trusted more than its calls are; names of the asker's functions come out of its own table.
//!
//! ```text
//!   asker                                   asked
//!     |---- FUNCTIONS: ids of all functions --->|
//!     |<--- lacking, other signatures, more ----|
//! ```
//!
//! Programs of one job may differ, so functions that one side lacks are told as news (`info`). One name with two
//! signatures is two versions of one program, and calls of it will fail: that is a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::table::Miss;
use super::{FunctionId, FunctionTable};
use crate::agent::{Agent, Handler, Incoming, PeerEvent, PeerWatcher, Served};
use crate::error::Failure;
use crate::message::{Body, Kind, Outcome, Request, Response};
use crate::worker::{WorkerId, WorkerInfo};

/// Ids in one question. A worker with more functions does not ask.
const IDS_MAX: usize = 8192;
/// Functions of each sort that an answer lists; the others are counted.
const LISTED_MAX: usize = 32;
/// Longer names and signatures are cut.
const TEXT_BYTES_MAX: usize = 512;
/// An answer may not be longer: room for all that may be listed.
const ANSWER_BYTES_MAX: usize = 3 * LISTED_MAX * (TEXT_BYTES_MAX + 16);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is answered. Numbers are places in the question.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    lacking: Vec<u32>,
    signatures: Vec<(u32, String)>,
    besides: Vec<String>,
    /// Of all three, those that are not listed.
    more: u64,
}

/// In what a peer's functions differ from this worker's. Shows as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunctionDifference {
    /// The peer.
    pub peer: WorkerInfo,
    /// Functions that the peer has with another signature: calls of these fail.
    pub signatures: Vec<OtherSignature>,
    /// Names of functions that only this worker has.
    pub only_here: Vec<String>,
    /// Names of functions that only the peer has.
    pub only_there: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

/// A function that two workers have with different signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherSignature {
    /// The function.
    pub name: String,
    /// The signature on this worker.
    pub here: String,
    /// The signature on the peer.
    pub there: String,
}

impl fmt::Display for FunctionDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = Vec::new();
        for OtherSignature { name, here, there } in &self.signatures {
            told.push(format!("{name} is {here} here and {there} there"));
        }
        if !self.only_here.is_empty() {
            told.push(format!("only here: {}", self.only_here.join(", ")));
        }
        if !self.only_there.is_empty() {
            told.push(format!("only there: {}", self.only_there.join(", ")));
        }
        if self.more > 0 {
            told.push(format!("and {} more", self.more));
        }
        f.write_str(&told.join("; "))
    }
}

/// Finds out, for one worker, in what its peers' functions differ from its own.
pub struct FunctionComparison {
    agent: Arc<dyn Agent>,
    table: Arc<FunctionTable>,
    runtime: Handle,
    own: Weak<Self>,
    /// At most one entry for each worker of the group.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: BTreeSet<WorkerId>,
    found: BTreeMap<WorkerId, FunctionDifference>,
}

impl FunctionComparison {
    /// Has `agent` answer what peers ask about `table`, and asks them in its turn, on `runtime`, when the agent tells that
    /// they differ ([`PeerEvent::OtherFunctions`]). Asks no more when it is dropped.
    pub fn start(agent: &Arc<dyn Agent>, table: Arc<FunctionTable>, runtime: Handle) -> Arc<Self> {
        agent.serve(Kind::FUNCTIONS, Arc::new(Answerer(Arc::clone(&table))));
        let comparison = Arc::new_cyclic(|own| Self {
            agent: Arc::clone(agent),
            table,
            runtime,
            own: Weak::clone(own),
            state: Mutex::default(),
        });
        let watcher: Arc<dyn PeerWatcher> = Arc::clone(&comparison) as _;
        agent.watch(Arc::downgrade(&watcher));
        comparison
    }

    /// What was found so far, by rank.
    pub fn differences(&self) -> Vec<FunctionDifference> {
        self.state.lock().found.values().cloned().collect()
    }

    /// Ids of this worker's functions, in the order in which a question has them.
    fn question(table: &FunctionTable) -> Vec<u8> {
        table.iter().flat_map(|entry| entry.id().to_wire().to_le_bytes()).collect()
    }

    fn ask(&self, peer: WorkerId) {
        let payload = Self::question(&self.table);
        if payload.len() > IDS_MAX * size_of::<u64>() || !self.state.lock().asked.insert(peer) {
            return;
        }
        let request = Request {
            kind: Kind::FUNCTIONS,
            method: 0,
            codec: 0,
            timeout: Some(TIMEOUT),
            body: Body::new(payload),
        };
        let reply = self.agent.send(peer, request);
        let own = Weak::clone(&self.own);
        self.runtime.spawn(async move {
            let answered = reply.await;
            if let Some(comparison) = own.upgrade() {
                comparison.heard(peer, answered);
            }
        });
    }

    fn heard(&self, peer: WorkerId, answered: Result<Response, Failure>) {
        let difference = answered.ok().and_then(|response| self.read(peer, &response));
        let Some(difference) = difference else {
            // The next link may do better.
            self.state.lock().asked.remove(&peer);
            return;
        };
        let me = self.agent.group().get(self.agent.id()).map(|member| &member.info);
        let worker = me.map(tracing::field::display);
        if difference.signatures.is_empty() {
            tracing::info!(worker, peer = %difference.peer, "its functions are not the same as here: {difference}");
        } else {
            tracing::warn!(
                worker,
                peer = %difference.peer,
                "its functions have other signatures than here, so that calls of them fail; build both programs from one source: {difference}"
            );
        }
        self.state.lock().found.insert(peer, difference);
    }

    fn read(&self, peer: WorkerId, response: &Response) -> Option<FunctionDifference> {
        let payload = &response.body.payload;
        if response.outcome != Outcome::Ok || payload.len() > ANSWER_BYTES_MAX {
            return None;
        }
        let answer: Answer = postcard::from_bytes(payload).ok()?;
        let entries: Vec<_> = self.table.iter().collect();
        let here = |place: u32| entries.get(place as usize).copied();
        let signatures = answer.signatures.into_iter().filter_map(|(place, there)| {
            let entry = here(place)?;
            Some(OtherSignature { name: entry.name().into(), here: entry.signature().into(), there })
        });
        let lacking = answer.lacking.iter().filter_map(|place| Some(here(*place)?.name().to_owned()));
        Some(FunctionDifference {
            peer: self.agent.group().get(peer)?.info.clone(),
            signatures: signatures.collect(),
            only_here: lacking.collect(),
            only_there: answer.besides,
            more: answer.more,
        })
    }
}

impl PeerWatcher for FunctionComparison {
    fn peer_event(&self, peer: WorkerId, event: PeerEvent) {
        if event == PeerEvent::OtherFunctions {
            self.ask(peer);
        }
    }
}

impl fmt::Debug for FunctionComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionComparison").field("found", &self.state.lock().found).finish_non_exhaustive()
    }
}

/// Answers the questions of peers.
struct Answerer(Arc<FunctionTable>);

impl Handler for Answerer {
    fn handle(&self, incoming: Incoming) -> Served {
        let payload = &incoming.request.body.payload;
        let (ids, rest) = payload.as_chunks();
        if !rest.is_empty() || ids.len() > IDS_MAX {
            return Served::Now(Response::failed(Outcome::BadArguments, &["not a list of functions"]));
        }
        let ids: Vec<_> = ids.iter().map(|id| FunctionId::from_wire(u64::from_le_bytes(*id))).collect();
        // Plain data into a vector: that does not fail.
        let payload = postcard::to_stdvec(&answer(&self.0, &ids)).unwrap_or_default();
        Served::Now(Response { outcome: Outcome::Ok, codec: 0, body: Body::new(payload) })
    }
}

/// In what `table` differs from the functions `asked` for.
fn answer(table: &FunctionTable, asked: &[FunctionId]) -> Answer {
    let mut answer = Answer::default();
    for (place, id) in (0..).zip(asked) {
        match table.find(*id) {
            Ok(_) => {}
            Err(Miss::OtherSignature(entry)) => {
                push(&mut answer.signatures, &mut answer.more, || (place, cut(entry.signature())));
            }
            Err(Miss::Unknown) => push(&mut answer.lacking, &mut answer.more, || place),
        }
    }
    let asked: BTreeSet<u64> = asked.iter().map(|id| id.name_bits()).collect();
    let besides = table.iter().filter(|entry| !asked.contains(&entry.id().name_bits()));
    let mut besides: Vec<&str> = besides.map(|entry| entry.name()).collect();
    besides.sort_unstable();
    for name in besides {
        push(&mut answer.besides, &mut answer.more, || cut(name));
    }
    answer
}

fn push<T>(list: &mut Vec<T>, more: &mut u64, item: impl FnOnce() -> T) {
    if list.len() < LISTED_MAX { list.push(item()) } else { *more += 1 }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{FunctionBody, FunctionEntry, Never, RemoteFunction};

    macro_rules! function {
        ($name:ident, $path:expr, $signature:expr) => {
            #[derive(Clone, Copy)]
            struct $name;
            impl RemoteFunction for $name {
                type Args = ();
                type Output = ();
                type Error = Never;
                const NAME: &'static str = $path;
                const SIGNATURE: &'static str = $signature;
                const BODY: FunctionBody<(), (), Never> = FunctionBody::Inline(|()| Ok(()));
            }
        };
    }
    function!(Same, "app::same", "fn()");
    function!(Old, "app::changed", "fn(u32)");
    function!(New, "app::changed", "fn(u64)");
    function!(OnlyOld, "app::gone", "fn()");
    function!(OnlyNew, "app::added", "fn()");

    fn table(entries: &[FunctionEntry]) -> FunctionTable {
        let mut table = FunctionTable::new();
        entries.iter().for_each(|entry| table.insert(entry.clone()).unwrap());
        table
    }

    fn ids(table: &FunctionTable) -> Vec<FunctionId> {
        table.iter().map(FunctionEntry::id).collect()
    }

    #[test]
    fn what_is_lacking_changed_and_added_is_told_apart() {
        let old =
            table(&[FunctionEntry::of::<Same>(), FunctionEntry::of::<Old>(), FunctionEntry::of::<OnlyOld>()]);
        let new =
            table(&[FunctionEntry::of::<Same>(), FunctionEntry::of::<New>(), FunctionEntry::of::<OnlyNew>()]);
        let asked = ids(&old);
        let place = |wanted: FunctionEntry| asked.iter().position(|id| *id == wanted.id()).unwrap() as u32;
        let expected = Answer {
            lacking: vec![place(FunctionEntry::of::<OnlyOld>())],
            signatures: vec![(place(FunctionEntry::of::<Old>()), "fn(u64)".into())],
            besides: vec!["app::added".into()],
            more: 0,
        };
        assert_eq!(answer(&new, &asked), expected);
        assert_eq!(answer(&new, &ids(&new)), Answer::default());
    }

    #[test]
    fn what_is_not_listed_is_counted_and_an_answer_fits_its_bound() {
        let asked: Vec<_> = (1..=50).map(|name| FunctionId::from_wire(name << 24)).collect();
        let told = answer(&table(&[FunctionEntry::of::<Same>()]), &asked);
        assert_eq!((told.lacking.len(), told.more), (LISTED_MAX, 18));
        let long = "x".repeat(TEXT_BYTES_MAX);
        let longest = Answer {
            lacking: vec![u32::MAX; LISTED_MAX],
            signatures: vec![(u32::MAX, long.clone()); LISTED_MAX],
            besides: vec![long; LISTED_MAX],
            more: u64::MAX,
        };
        assert!(postcard::to_stdvec(&longest).unwrap().len() <= ANSWER_BYTES_MAX);
        assert_eq!(cut(&"é".repeat(400)).len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn a_difference_reads_as_words() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let difference = FunctionDifference {
            peer: WorkerInfo::new(crate::WorkerName::new("b").unwrap(), WorkerId(1)),
            signatures: vec![OtherSignature {
                name: "add".into(),
                here: "fn(u32)".into(),
                there: "fn(u64)".into(),
            }],
            only_here: texts(&["old", "older"]),
            only_there: texts(&["new"]),
            more: 3,
        };
        let words =
            "add is fn(u32) here and fn(u64) there; only here: old, older; only there: new; and 3 more";
        assert_eq!(difference.to_string(), words);
    }
}
