//! Followers over an agent that answers at once, and one whose answer is awaited.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::{FollowedCall, Follower, MadeCall, ServedCall, note};
use crate::{
    Agent, Body, BoxFuture, Client, Failure, Group, Handler, Incarnation, Kind, Member, Never, Outcome,
    POSTCARD, Promise, Reply, Request, RequestHead, Response, RpcFuture, Shutdown, ShutdownError,
    ShutdownReport, WorkerId, WorkerInfo, WorkerName,
};

/// What has been told, in order.
type Told = Arc<Mutex<Vec<String>>>;

struct Teller(Told);

impl Follower for Teller {
    fn making(&self, call: &FollowedCall<'_>) -> Option<Box<dyn MadeCall>> {
        self.0.lock().unwrap().push(format!("{} {} on {}", call.operation, call.function, call.peer.name));
        Some(Box::new(TellingCall(Arc::clone(&self.0))))
    }

    fn serving(&self, _: &FollowedCall<'_>, _: Option<&[u8]>) -> Option<Box<dyn ServedCall>> {
        None
    }
}

struct TellingCall(Told);

impl MadeCall for TellingCall {
    fn encoded(&mut self, bytes: u64, parts: usize, note: &mut Vec<u8>) {
        self.0.lock().unwrap().push(format!("encoded {bytes} {parts}"));
        note.extend_from_slice(b"there");
    }

    fn ended(&mut self, outcome: &'static str, _: Option<&Body>, _: Option<Instant>, note: Option<&[u8]>) {
        let note = note.map(|note| String::from_utf8(note.to_vec()).unwrap());
        self.0.lock().unwrap().push(format!("{outcome} {note:?}"));
    }

    fn taken(&mut self) {
        self.0.lock().unwrap().push("taken".into());
    }
}

impl Drop for TellingCall {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("over".into());
    }
}

/// Answers before it returns, or leaves the promise to the test.
#[derive(Debug)]
struct Alone {
    group: Group,
    at_once: bool,
    open: Mutex<Vec<(Promise, Request)>>,
}

/// The number of bytes of the payload, with a note.
fn answer(request: &Request) -> Response {
    let mut payload = postcard::to_stdvec(&request.body.payload.len()).unwrap();
    let codec = note::append(POSTCARD, &mut payload, |note| note.extend_from_slice(b"back"));
    Response { outcome: Outcome::Ok, codec, body: Body::new(payload) }
}

impl Agent for Alone {
    fn id(&self) -> WorkerId {
        WorkerId(0)
    }

    fn group(&self) -> &Group {
        &self.group
    }

    fn send(&self, _: WorkerId, request: Request) -> Reply {
        let (promise, reply) = Promise::new();
        match self.at_once {
            true => promise.complete(Ok(answer(&request))),
            false => self.open.lock().unwrap().push((promise, request)),
        }
        reply
    }

    fn serve(&self, _: Kind, _: Arc<dyn Handler>) {}

    fn shutdown(&self, _: Shutdown) -> BoxFuture<'static, Result<ShutdownReport, ShutdownError>> {
        Box::pin(std::future::ready(Ok(ShutdownReport::default())))
    }
}

struct Case {
    client: Client,
    agent: Arc<Alone>,
    told: Told,
}

impl Case {
    fn new(at_once: bool) -> Self {
        let info = WorkerInfo::new(WorkerName::new("me").unwrap(), WorkerId(0));
        let group = Group::new("test", vec![Member::new(info, Incarnation([0; 16]), "")]).unwrap();
        let agent = Arc::new(Alone { group, at_once, open: Mutex::default() });
        let client = Client::new(Arc::clone(&agent) as Arc<dyn Agent>, Arc::default());
        let told = Told::default();
        assert!(client.observers().set_follower(Arc::new(Teller(Arc::clone(&told)))));
        client.observers().follow(true);
        Self { client, agent, told }
    }

    fn call(&self) -> RpcFuture<usize, Never> {
        let head =
            RequestHead { kind: Kind::CALL, method: 0, operation: "does", function: "f", signature: "" };
        self.client.request(WorkerId(0), head, &7_u8, |_| Ok(None))
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().drain(..).collect()
    }
}

/// One byte of argument, five of the note, two of its length.
const ARRIVED: usize = 8;

#[tokio::test]
async fn a_note_that_is_back_before_its_call_is_watched_is_not_lost() {
    let case = Case::new(true);
    assert_eq!(case.call().await.unwrap(), ARRIVED);
    assert_eq!(case.told(), ["does f on me", "encoded 1 0", "ok Some(\"back\")", "taken", "over"]);
}

#[tokio::test]
async fn each_step_is_told_as_it_comes() {
    let case = Case::new(false);
    let reply = case.call();
    assert_eq!(case.told(), ["does f on me", "encoded 1 0"]);
    let (promise, request) = case.agent.open.lock().unwrap().pop().unwrap();
    promise.complete(Ok(answer(&request)));
    assert_eq!(case.told(), ["ok Some(\"back\")"]);
    assert_eq!(reply.await.unwrap(), ARRIVED);
    assert_eq!(case.told(), ["taken", "over"]);
}

#[tokio::test]
async fn a_call_ends_once_and_without_being_taken_if_nobody_waits() {
    let case = Case::new(false);
    let reply = case.call();
    reply.cancel();
    drop(reply);
    let (promise, request) = case.agent.open.lock().unwrap().pop().unwrap();
    promise.complete(Ok(answer(&request)));
    assert_eq!(case.told(), ["does f on me", "encoded 1 0", "cancelled None", "over"]);
}

#[tokio::test]
async fn nobody_is_told_and_nothing_travels_when_it_is_off() {
    let case = Case::new(true);
    case.client.observers().follow(false);
    assert_eq!(case.call().await.unwrap(), 1, "the note that comes back unasked is taken off");
    assert_eq!(case.told(), [""; 0]);
}

#[tokio::test]
async fn a_failed_call_has_no_note() {
    let case = Case::new(false);
    let reply = case.call();
    let (promise, _) = case.agent.open.lock().unwrap().pop().unwrap();
    promise.complete(Err(Failure::ShutDown));
    reply.await.unwrap_err();
    assert_eq!(case.told(), ["does f on me", "encoded 1 0", "shut_down None", "taken", "over"]);
}
