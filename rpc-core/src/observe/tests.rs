//! Followers over an agent that answers at once, and one whose answer is awaited.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::{FollowedCall, Follower, MadeCall, MadeEnd, ServedCall, Within, note};
use crate::{
    Agent, Body, BoxFuture, CallContext, Client, Failure, Group, Handler, Incarnation, Incoming, Kind,
    Member, Never, Outcome, POSTCARD, Promise, Reply, Request, RequestHead, Response, RpcFuture, Served,
    Shutdown, ShutdownError, ShutdownReport, WorkerId, WorkerInfo, WorkerName,
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
        self.0.lock().unwrap().push("serving".into());
        Some(Box::new(TellingServed(Arc::clone(&self.0))))
    }
}

struct TellingServed(Told);

impl ServedCall for TellingServed {
    fn within(&self) -> Within {
        Arc::new(())
    }

    fn runs(&mut self) {
        self.0.lock().unwrap().push("runs".into());
    }

    fn ended(&mut self, outcome: &'static str, _: &Body, _: &mut Vec<u8>) {
        self.0.lock().unwrap().push(outcome.into());
    }
}

struct TellingCall(Told);

impl MadeCall for TellingCall {
    fn encoded(&mut self, bytes: u64, parts: usize, note: &mut Vec<u8>) {
        self.0.lock().unwrap().push(format!("encoded {bytes} {parts}"));
        note.extend_from_slice(b"there");
    }

    fn ended(&mut self, end: &MadeEnd<'_>) {
        let note = end.note.map(|note| String::from_utf8(note.to_vec()).unwrap());
        let failure = end.failure.map(|failure| format!(": {failure}")).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{} {note:?}{failure}", end.outcome));
    }

    fn taken(&mut self, error: Option<&dyn std::fmt::Display>) {
        let error = error.map(|error| format!(" {error}")).unwrap_or_default();
        self.0.lock().unwrap().push(format!("taken{error}"));
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
    assert_eq!(
        case.told(),
        [
            "does f on me",
            "encoded 1 0",
            "cancelled None: the call was cancelled; the handler may have run",
            "over"
        ]
    );
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
    assert_eq!(
        case.told(),
        [
            "does f on me",
            "encoded 1 0",
            "shut_down None: this worker has been shut down; initialise a new one",
            "taken",
            "over"
        ]
    );
}

/// What a request that waits twice before it runs in place is told, with the function among it.
#[tokio::test]
async fn an_inline_function_begins_with_the_poll_that_it_runs_in() {
    let case = Case::new(false);
    let told = Arc::clone(&case.told);
    let mut waits = 2;
    let future = std::future::poll_fn(move |cx| {
        if waits > 0 {
            waits -= 1;
            cx.waker().wake_by_ref();
            told.lock().unwrap().push("waits".into());
            return Poll::Pending;
        }
        told.lock().unwrap().push("function".into());
        Poll::Ready(Served::Now(Response::failed(Outcome::Panicked, &[])))
    });
    let body = Body::new(Vec::new());
    let request = Request { kind: Kind::CALL, method: 0, codec: POSTCARD, timeout: None, body };
    let context = CallContext::of_request(WorkerId(0), &request, 1);
    let incoming = Incoming { from: WorkerId(0), request, context, link: 0 };
    let served = case.client.observers().serve(incoming, "f", |_| Served::After(Box::pin(future)));
    let _ = served.response(async |_| unreachable!("nothing needs a thread")).await;
    assert_eq!(case.told(), ["serving", "waits", "runs", "waits", "runs", "function", "panicked"]);
}

/// The function's own error is told to who follows the call by the one who knows its type.
#[tokio::test]
async fn an_error_of_the_functions_own_is_told_when_it_is_taken() {
    let case = Case::new(false);
    let head = RequestHead { kind: Kind::CALL, method: 0, operation: "does", function: "f", signature: "" };
    let answer = |value: &dyn erased_serde::Serialize| {
        let payload = postcard::to_stdvec(value).unwrap();
        Response { outcome: Outcome::HandlerError, codec: POSTCARD, body: Body::new(payload) }
    };
    let text: RpcFuture<u8, String> = case.client.request(WorkerId(0), head, &7_u8, |_| Ok(None));
    case.agent.open.lock().unwrap().pop().unwrap().0.complete(Ok(answer(&"no")));
    text.await.unwrap_err();
    assert_eq!(case.told()[2..], ["error None", "taken no", "over"]);
    let number: RpcFuture<u8, u16> = case.client.request(WorkerId(0), head, &7_u8, |_| Ok(None));
    case.agent.open.lock().unwrap().pop().unwrap().0.complete(Ok(answer(&3_u16)));
    number.await.unwrap_err();
    assert_eq!(case.told()[2..], ["error None", "taken u16", "over"]);
}
