//! What protects workers, as far as one machine can show: token, certificates, and what is refused.

use std::sync::Arc;

use rpc::prelude::*;
use rpc::rpc_core::{BackendError, Denial, Protection, StoreError};
use rpc::{Credentials, JoinToken, MemoryStore, Security};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{builder, cluster_with, shut_down};

#[rpc::function]
fn double(n: u64) -> u64 {
    2 * n
}

/// Two workers that have each called the other.
async fn two_that_call(adjust: impl Fn(WorkerBuilder) -> WorkerBuilder) -> [Worker; 2] {
    let workers: [Worker; 2] = cluster_with(|builder| adjust(builder.variables(|_| None))).await;
    assert_eq!(workers[0].rpc_async("worker1", double, (4,)).await.unwrap(), 8);
    assert_eq!(workers[1].rpc_async("worker0", double, (5,)).await.unwrap(), 10);
    workers
}

/// What somebody hears who connects to `worker` and speaks as workers do on plain links.
async fn answer_to_a_stranger(worker: &Worker) -> Vec<u8> {
    let address = worker.agent().group().get(worker.id()).unwrap().address.clone();
    // What may follow the port is where workers of this machine are let in.
    let port = address.split('+').next().unwrap();
    let mut stranger = tokio::net::TcpStream::connect(port).await.unwrap();
    stranger.write_all(&[0_u8; 64]).await.unwrap();
    let mut heard = Vec::new();
    let _end_or_reset = stranger.read_to_end(&mut heard).await;
    heard
}

#[tokio::test]
async fn a_token_guards_links_on_loopback() {
    let token = JoinToken::random().unwrap();
    let workers = two_that_call(|builder| builder.security(Security::token(token.clone()))).await;
    let answer = answer_to_a_stranger(&workers[0]).await;
    assert!(answer.is_empty(), "who does not speak the exchange hears nothing, not {answer:?}");
    shut_down(workers).await;
}

#[tokio::test]
async fn elsewhere_a_token_means_certificates_and_encryption() {
    let token = JoinToken::random().unwrap();
    let workers = two_that_call(|builder| {
        builder.bind("0.0.0.0:0").advertise_host("127.0.0.1").security(Security::token(token.clone()))
    })
    .await;
    let group = workers[0].agent().group();
    assert!(group.members().iter().all(|member| member.fingerprint.is_some()));
    const ALERT: u8 = 21;
    assert_eq!(answer_to_a_stranger(&workers[0]).await.first(), Some(&ALERT), "it speaks TLS");
    shut_down(workers).await;
}

#[tokio::test]
async fn workers_of_one_token_meet_and_others_are_told_why_they_do_not() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (token, other) = (JoinToken::random().unwrap(), JoinToken::random().unwrap());
    let worker = |rank: u32, token: Option<&JoinToken>| {
        let token = token.map(|token| token.expose().to_owned());
        Worker::builder(format!("worker{rank}"))
            .rank(rank)
            .world_size(2)
            .init_method(format!("tcp://127.0.0.1:{port}"))
            .variables(move |name| token.clone().filter(|_| name == "RPC_JOIN_TOKEN"))
            .init()
    };
    let host = tokio::spawn(worker(0, Some(&token)));
    for (stranger, why) in [(Some(&other), Denial::TokenDiffers), (None, Denial::TokenMissing)] {
        match worker(1, stranger).await.unwrap_err() {
            InitError::Store(StoreError::Denied { cause, .. }) => assert_eq!(cause, why),
            error => panic!("{error}"),
        }
    }
    let (member, host) = (worker(1, Some(&token)).await.unwrap(), host.await.unwrap().unwrap());
    assert_eq!(member.rpc_async("worker0", double, (4,)).await.unwrap(), 8);
    shut_down([host, member]).await;
}

/// An authority that certifies workers.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: rcgen::Issuer::new(params, key) }
    }

    /// Certificate and key of a new worker.
    fn certify(&self) -> [String; 2] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        [params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem()]
    }

    fn credentials(&self) -> Credentials {
        let [certificate, key] = self.certify();
        Credentials::from_pem(self.pem.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap()
    }
}

#[tokio::test]
async fn certificates_of_one_authority_are_enough_and_those_of_another_are_not() {
    let authority = Authority::new();
    let workers =
        two_that_call(|builder| builder.security(Security::credentials(authority.credentials()))).await;
    shut_down(workers).await;

    // They meet in a store that asks for nothing, so only their links can tell.
    let store = Arc::new(MemoryStore::default());
    let worker = |rank: u32, authority: &Authority| {
        // Certificates are not there in a moment, as a listener may be; but a dialler tries again.
        let config = rpc::EngineConfig { dial_timeout: Duration::from_secs(1), ..Default::default() };
        builder(rank, 2, &store)
            .config(config)
            .security(Security::credentials(authority.credentials()))
            .init()
    };
    let (ours, theirs) = tokio::join!(worker(0, &authority), worker(1, &Authority::new()));
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    let error = ours.rpc_async("worker1", double, (4,)).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Unreachable { .. })), "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");
    drop((ours, theirs));
}

#[tokio::test]
async fn certificates_out_of_files_guard_the_store_as_well() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let [certificate, key] = authority.certify();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let files = [("RPC_TLS_CA", &authority.pem), ("RPC_TLS_CERT", &certificate), ("RPC_TLS_KEY", &key)];
    files.iter().for_each(|(name, pem)| std::fs::write(path(name), pem).unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let worker = |rank: u32| {
        let paths = files.map(|(name, _)| (name, path(name)));
        Worker::builder(format!("worker{rank}"))
            .rank(rank)
            .world_size(2)
            .init_method(format!("tcp://127.0.0.1:{port}"))
            .variables(move |name| paths.iter().find(|(file, _)| *file == name).map(|(_, path)| path.clone()))
            .init()
    };
    let (first, second) = tokio::join!(worker(0), worker(1));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.rpc_async("worker1", double, (4,)).await.unwrap(), 8);
    shut_down([first, second]).await;
}

#[test]
fn a_backend_that_cannot_protect_its_links_is_refused_before_it_listens() {
    let mut backends = rpc::BackendRegistry::new();
    let bind = |_: rpc::rpc_core::BindOptions| async move {
        panic!("it must not be asked to listen");
        #[expect(unreachable_code, reason = "it says what would be returned")]
        std::io::Result::<rpc_testing::MemoryTransport>::Err(std::io::ErrorKind::Other.into())
    };
    backends.register(rpc::rpc_core::TransportBackend::new("mine", bind)).unwrap();
    let error = builder(0, 1, &Arc::default())
        .backends(backends)
        .security(Security::token(JoinToken::random().unwrap()))
        .blocking_init()
        .unwrap_err();
    match &error {
        InitError::Backend(BackendError::Unprotected { asked: Protection::Token, .. }) => {}
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("mine"), "{error}");
}
