//! EN-6 over a network whose transports claim to know certificates.

use std::io;
use std::sync::{Arc, Weak};

use rpc_core::{
    Agent, AgentStart, BoxFuture, Client, EngineConfig, Failure, Fingerprint, FunctionHandler, FunctionTable,
    Group, Incarnation, Kind, Link, Member, Transport, TransportAgent, WorkerId, WorkerInfo, WorkerName,
};
use rpc_testing::{MemoryNetwork, MemoryTransport};

#[rpc_macros::function(crate = "rpc_core", inline)]
fn answer() -> u32 {
    42
}

/// Shows `shown` to whoever dials or accepts: what a TLS transport learns, `peer`, is written into the links
/// by the test.
#[derive(Debug)]
struct Certified {
    inner: MemoryTransport,
    peer: Option<Fingerprint>,
}

impl Certified {
    fn certify(&self, mut link: Link) -> Link {
        link.fingerprint = self.peer;
        link
    }
}

impl Transport for Certified {
    fn local_address(&self) -> String {
        self.inner.local_address()
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Link>> {
        Box::pin(async { Ok(self.certify(self.inner.accept().await?)) })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async { Ok(self.certify(self.inner.connect(address).await?)) })
    }
}

const OF_0: Fingerprint = Fingerprint([10; 32]);
const OF_1: Fingerprint = Fingerprint([11; 32]);

/// Two workers whose group knows `OF_0` and `OF_1`. The transport of worker 0 sees the certificate `at_0` on
/// its links, that of worker 1 `at_1`.
async fn call(at_0: Option<Fingerprint>, at_1: Option<Fingerprint>) -> Result<u32, Failure> {
    let network = MemoryNetwork::new();
    let transports = [at_0, at_1].map(|peer| Certified { inner: network.transport(), peer });
    let member = |rank: u32, fingerprint| {
        let info = WorkerInfo::new(WorkerName::new(format!("worker{rank}")).expect("a name"), WorkerId(rank));
        let address = transports[rank as usize].local_address();
        let mut member = Member::new(info, Incarnation([rank as u8; 16]), address);
        member.fingerprint = Some(fingerprint);
        member
    };
    let group = Group::new("job", vec![member(0, OF_0), member(1, OF_1)]).expect("a group");
    let mut clients = Vec::new();
    for (rank, transport) in transports.into_iter().enumerate() {
        let start = AgentStart::new(WorkerId(rank as u32), group.clone(), EngineConfig::default());
        let agent = Arc::new(TransportAgent::start(Arc::new(transport), start).expect("an agent"));
        let agent: Arc<dyn Agent> = agent;
        let client = Arc::new(Client::new(Arc::clone(&agent), Arc::default()));
        let host: Weak<Client> = Arc::downgrade(&client);
        let table = Arc::new(FunctionTable::linked().expect("names that differ"));
        agent.serve(Kind::CALL, Arc::new(FunctionHandler::new(table, Arc::default(), host)));
        clients.push(client);
    }
    let result = clients[0].rpc_async("worker1", answer, ()).await;
    result.map_err(|error| error.failure().expect("the function has no error of its own").clone())
}

#[tokio::test(start_paused = true)]
async fn en6_who_shows_the_certificate_of_the_group_is_spoken_to() {
    assert_eq!(call(Some(OF_1), Some(OF_0)).await.unwrap(), 42);
    assert_eq!(call(None, None).await.unwrap(), 42, "a transport without certificates vouches for nobody");
}

#[tokio::test(start_paused = true)]
async fn en6_a_dialler_tells_nothing_to_another_than_it_has_dialled() {
    for shown in [Fingerprint([9; 32]), OF_0] {
        match call(Some(shown), Some(OF_0)).await.unwrap_err() {
            Failure::Unreachable { cause, .. } => {
                assert!(cause.contains(&shown.to_string()) && cause.contains("worker1"), "{cause}");
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn en6_a_dialler_that_claims_to_be_another_worker_is_refused() {
    for shown in [Fingerprint([9; 32]), OF_1] {
        match call(Some(OF_1), Some(shown)).await.unwrap_err() {
            Failure::Unreachable { cause, .. } => assert!(cause.contains("another certificate"), "{cause}"),
            other => panic!("{other}"),
        }
    }
}
