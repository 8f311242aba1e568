//! Who hears of links that go and peers that leave.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rpc_core::{Agent, Failure, PeerEvent, PeerWatcher, Reply, Served, Shutdown, WorkerId};
use rpc_testing::Cluster;

use crate::raw::{RAW, ok, request, send, serve, until};

/// Notes the events of one agent, and sends a request in each.
struct Watcher {
    agent: Weak<dyn Agent>,
    events: Mutex<Vec<(WorkerId, PeerEvent)>>,
    /// A call that is lost with the link.
    lost: Mutex<Option<Reply>>,
    sent: Mutex<Vec<Reply>>,
}

impl Watcher {
    fn of(cluster: &Cluster, rank: i64) -> Arc<Self> {
        let watcher = Arc::new(Self {
            agent: Arc::downgrade(cluster.agent(rank)),
            events: Mutex::default(),
            lost: Mutex::default(),
            sent: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&watcher);
        cluster.agent(rank).watch(weak);
        watcher
    }

    fn events(&self) -> Vec<PeerEvent> {
        self.events.lock().iter().map(|(_, event)| *event).collect()
    }

    async fn until_events(&self, wanted: usize) -> Vec<PeerEvent> {
        until(|| self.events().len() >= wanted).await;
        self.events()
    }
}

impl PeerWatcher for Watcher {
    fn peer_event(&self, peer: WorkerId, event: PeerEvent) {
        let agent = self.agent.upgrade().expect("a living agent");
        assert!(!agent.debug_info().is_empty(), "no lock is held that this needs");
        if let Some(lost) = &*self.lost.lock() {
            assert!(!lost.is_done(), "its calls fail later");
        }
        self.events.lock().push((peer, event));
        self.sent.lock().push(agent.send(peer, request(RAW, b"from a watcher")));
    }
}

/// EN-4
#[tokio::test(start_paused = true)]
async fn a_lost_link_is_reported_by_the_number_that_its_requests_had() {
    let cluster = Cluster::new(2).await;
    serve(&cluster, 1, RAW, |incoming| Served::Now(ok(&incoming.link.to_le_bytes())));
    serve(&cluster, 0, RAW, |_| Served::Now(ok(b"")));
    let link_of = async |reply: Reply| {
        let payload = reply.await.unwrap().body.payload;
        u32::from_le_bytes(payload[..].try_into().unwrap())
    };
    let (caller, callee) = (Watcher::of(&cluster, 0), Watcher::of(&cluster, 1));
    let gone = Watcher::of(&cluster, 0);
    let none = Arc::downgrade(&gone);
    drop(gone);
    // A request of a worker to itself has no link.
    serve(&cluster, 0, rpc_core::Kind(0x91), |incoming| Served::Now(ok(&incoming.link.to_le_bytes())));
    assert_eq!(link_of(send(&cluster, 0, rpc_core::Kind(0x91), b"")).await, 0);

    for number in [1, 2, 3] {
        assert_eq!(link_of(send(&cluster, 1, RAW, b"")).await, number);
        let held = cluster.network().add(rpc_testing::Rule::hold().replies());
        *caller.lost.lock() = Some(send(&cluster, 1, RAW, b""));
        cluster.network().until_held(1).await;
        cluster.cut("worker0", "worker1");
        drop(send(&cluster, 1, RAW, b"")); // whoever sends finds out before whoever reads
        let wanted: Vec<_> = (1..=number).map(|link| PeerEvent::LinkDown { link }).collect();
        assert_eq!(caller.until_events(wanted.len()).await, wanted, "each once");
        assert_eq!(callee.until_events(wanted.len()).await, wanted, "each once");
        let lost = caller.lost.lock().take();
        assert!(matches!(lost.unwrap().await, Err(Failure::LinkLost { .. })));
        held.remove();
        let next = caller.sent.lock().pop();
        assert_eq!(link_of(next.unwrap()).await, number + 1, "what a watcher sends takes the next link");
    }
    assert!(none.upgrade().is_none(), "watchers are not kept alive");
    let peers: Vec<_> = caller.events.lock().iter().map(|(peer, _)| *peer).collect();
    assert_eq!(peers, [WorkerId(1); 3]);
    cluster.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_is_reported_once_and_last() {
    let cluster = Cluster::new(2).await;
    serve(&cluster, 0, RAW, |_| Served::Now(ok(b"")));
    serve(&cluster, 1, RAW, |_| Served::Now(ok(b"")));
    let watcher = Watcher::of(&cluster, 0);
    send(&cluster, 1, RAW, b"").await.unwrap();
    cluster.agent(1).shutdown(Shutdown::Immediate).await.unwrap();
    assert_eq!(watcher.until_events(1).await, [PeerEvent::Departed]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(watcher.events(), [PeerEvent::Departed]);
    let sent = watcher.sent.lock().pop();
    assert_eq!(sent.unwrap().await.unwrap_err(), Failure::Departed);
}
