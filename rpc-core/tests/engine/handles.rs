//! Handles beside responses: nothing that arrives is missed, and nothing that failed is kept.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::handles::{AnyHandle, HandleDesk, SentHandles};
use rpc_core::{
    Agent, BoxFuture, CodecError, Failure, Outcome, ReferenceError, Reply, Response, Served, WorkerId, aside,
};
use rpc_testing::{Cluster, Rule};

use crate::raw::{RAW, count, send, serve, until};

/// What a desk has heard, in order.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Received(WorkerId, Vec<u8>),
    Lost(Failure),
    /// The message has arrived, and was answered.
    Arrived,
}

/// A desk that notes what it hears.
struct Desk {
    agent: Weak<dyn Agent>,
    /// With how many requests were active at that time.
    heard: Mutex<Vec<(Heard, u64)>>,
}

impl Desk {
    fn note(&self, heard: Heard) {
        let agent = self.agent.upgrade().expect("a living agent");
        self.heard.lock().push((heard, count(&*agent, "requests.active")));
    }

    fn watch(cluster: &Cluster, to: u32, reply: &Reply) -> Arc<Self> {
        let agent = Arc::downgrade(cluster.agent(0));
        let desk = Arc::new(Self { agent, heard: Mutex::default() });
        let sent = Sent { desk: Arc::clone(&desk), over: false };
        reply.watch(Arc::clone(&desk) as Arc<dyn HandleDesk>, WorkerId(to), "f", Some(Box::new(sent)));
        desk
    }

    fn heard(&self) -> Vec<Heard> {
        let heard = self.heard.lock();
        assert!(
            heard.iter().all(|(_, active)| *active > 0),
            "SD-1: a call counts until this is over: {heard:?}"
        );
        heard.iter().map(|(heard, _)| heard.clone()).collect()
    }

    async fn until_heard(&self, wanted: usize) -> Vec<Heard> {
        until(|| self.heard().len() >= wanted).await;
        self.heard()
    }
}

impl HandleDesk for Desk {
    fn send(
        &self,
        _: WorkerId,
        _: Option<u32>,
        _: Vec<AnyHandle>,
    ) -> Result<(Vec<u8>, Box<dyn SentHandles>), ReferenceError> {
        Err(ReferenceError::NoRegistry)
    }

    fn receive(&self, from: WorkerId, aside: &[u8], _: &'static str) -> Result<Vec<AnyHandle>, CodecError> {
        self.note(Heard::Received(from, aside.to_vec()));
        Ok(vec![Arc::new(aside.to_vec())])
    }

    fn confirmed(&self, _: &[AnyHandle]) -> Option<BoxFuture<'static, Result<(), ReferenceError>>> {
        None
    }
}

struct Sent {
    desk: Arc<Desk>,
    over: bool,
}

impl SentHandles for Sent {
    fn lost(mut self: Box<Self>, why: &Failure) {
        self.over = true;
        self.desk.note(Heard::Lost(why.clone()));
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.over {
            self.desk.note(Heard::Arrived);
        }
    }
}

/// Workers 0 and 1 answer with an aside of two bytes, after as many seconds as the payload's first byte says.
async fn cluster() -> Cluster {
    let cluster = Cluster::new(2).await;
    for rank in [0, 1] {
        serve(&cluster, rank, RAW, |incoming| {
            let seconds = incoming.request.body.payload[0];
            Served::Later(Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
                with_handles()
            }))
        });
    }
    cluster
}

fn with_handles() -> Response {
    let mut payload = b"value".to_vec();
    let codec = aside::append(0, &mut payload, b"xy").expect("a short aside");
    Response { outcome: Outcome::Ok, codec, body: rpc_core::Body::new(payload) }
}

fn received(from: u32) -> Heard {
    Heard::Received(WorkerId(from), b"xy".to_vec())
}

#[tokio::test(start_paused = true)]
async fn handles_in_a_response_are_there_when_it_is() {
    let cluster = cluster().await;
    for to in [0, 1] {
        let mut reply = send(&cluster, to, RAW, &[1]);
        let desk = Desk::watch(&cluster, to, &reply);
        let response = (&mut reply).await.unwrap();
        assert_eq!((response.codec, &response.body.payload[..]), (0, &b"value"[..]));
        assert_eq!(reply.take_handles().unwrap().len(), 1);
        assert_eq!(desk.heard(), [received(to), Heard::Arrived]);
    }
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn handles_for_a_caller_who_has_left_are_received() {
    let cluster = cluster().await;
    for to in [0, 1] {
        let reply = send(&cluster, to, RAW, &[1]);
        let desk = Desk::watch(&cluster, to, &reply);
        drop(reply);
        assert_eq!(desk.until_heard(2).await, [received(to), Heard::Arrived]);
    }
}

/// EN-5
#[tokio::test(start_paused = true)]
async fn handles_in_a_response_that_comes_after_its_call_has_ended_are_received() {
    let cluster = cluster().await;
    // The response is under way when the call ends, so that nobody can stop it.
    for by_timeout in [true, false] {
        let held = cluster.network().add(Rule::hold().replies());
        let reply = send(&cluster, 1, RAW, &[0]);
        let desk = Desk::watch(&cluster, 1, &reply);
        cluster.network().until_held(1).await;
        if by_timeout {
            reply.set_timeout(Some(Duration::from_secs(2)));
        } else {
            reply.cancel();
        }
        let failure = reply.await.unwrap_err();
        assert_eq!(desk.heard(), [Heard::Lost(failure.clone())]);
        held.remove();
        assert_eq!(desk.until_heard(2).await, [Heard::Lost(failure), received(1)]);
        cluster.assert_idle().await;
    }
}

/// EN-5
#[tokio::test]
async fn so_are_those_of_a_worker_to_itself() {
    let cluster = Cluster::new(1).await;
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = Mutex::new(Some(wait));
    serve(&cluster, 0, RAW, move |_| {
        let wait = wait.lock().take().expect("one request");
        Served::Blocking(Box::new(move || {
            let _ = wait.recv();
            with_handles()
        }))
    });
    let reply = send(&cluster, 0, RAW, b"");
    let desk = Desk::watch(&cluster, 0, &reply);
    until(|| count(&**cluster.agent(0), "peer.worker0.serving") == 1).await;
    reply.cancel();
    let failure = reply.await.unwrap_err();
    assert_eq!(desk.heard(), [Heard::Lost(failure.clone())]);
    go.send(()).unwrap();
    assert_eq!(desk.until_heard(2).await, [Heard::Lost(failure), received(0)]);
    cluster.assert_idle().await;
}

/// EN-4
#[tokio::test(start_paused = true)]
async fn what_a_call_carried_is_lost_with_its_link_or_its_peer() {
    let cluster = cluster().await;
    let reply = send(&cluster, 1, RAW, &[30]);
    let desk = Desk::watch(&cluster, 1, &reply);
    let given_up = send(&cluster, 1, RAW, &[30]);
    let gone = Desk::watch(&cluster, 1, &given_up);
    until(|| count(&**cluster.agent(1), "peer.worker0.serving") == 2).await;
    let held = cluster.network().add(Rule::hold());
    given_up.cancel();
    cluster.cut("worker0", "worker1");
    let failure = reply.await.unwrap_err();
    assert!(matches!(failure, Failure::LinkLost { .. }), "{failure}");
    assert_eq!(desk.heard(), [Heard::Lost(failure)]);
    assert_eq!(gone.heard().len(), 1, "told once, when it was given up");
    held.remove();

    cluster.kill("worker1");
    let reply = send(&cluster, 1, RAW, &[0]);
    let desk = Desk::watch(&cluster, 1, &reply);
    let failure = reply.await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable { .. }), "{failure}");
    assert_eq!(desk.heard(), [Heard::Lost(failure)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_carried_is_lost_when_it_was_never_sent() {
    let cluster = cluster().await;
    cluster.partition("worker0", "worker1");
    for by_timeout in [true, false] {
        let reply = send(&cluster, 1, RAW, &[0]);
        let desk = Desk::watch(&cluster, 1, &reply);
        if by_timeout {
            reply.set_timeout(Some(Duration::from_secs(1)));
        } else {
            reply.cancel();
        }
        let failure = reply.await.unwrap_err();
        assert_eq!(desk.heard(), [Heard::Lost(failure)]);
    }
}
