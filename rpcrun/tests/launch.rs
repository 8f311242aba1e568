//! The library, with real processes: what workers are told, how a job ends, and that nothing stays behind.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::{Denial, JoinToken, Store as _, StoreError};
use rpc_rendezvous::{StoreSecurity, TcpStore};
use rpc_security::Credentials;
use rpcrun::{Launch, LaunchError, Line, OutputMode, Stream};
use tempfile::TempDir;
use tokio::sync::mpsc;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn connect(address: &str, token: JoinToken) -> Result<TcpStore, StoreError> {
    TcpStore::connect_secured(address, Duration::from_secs(10), &StoreSecurity::Token { token }).await
}

/// A job of shell scripts.
fn sh(script: &str) -> Launch {
    Launch::new("sh").args(["-c", script])
}

/// Lines of the workers, collected.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Line>>>);

impl Collected {
    fn mode(&self) -> OutputMode {
        let lines = self.0.clone();
        OutputMode::lines(move |line| lines.lock().unwrap().push(line))
    }

    /// The lines of `rank` on its standard output.
    fn of(&self, rank: u32) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let of_rank = lines.iter().filter(|line| line.rank == rank && line.stream == Stream::Stdout);
        of_rank.map(|line| line.text().into_owned()).collect()
    }
}

/// A fifo: a place where processes of a test wait for each other, and whose end of file tells that all of
/// them, and all that they started, have ended.
struct Fifo {
    path: PathBuf,
    _dir: TempDir,
}

impl Fifo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self { path, _dir: dir }
    }

    /// Begins to wait until everybody who has the fifo open for writing has ended.
    fn closed_by_all(&self) -> tokio::task::JoinHandle<()> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let mut fifo = std::fs::File::open(path).unwrap();
            fifo.read_to_end(&mut Vec::new()).unwrap();
        })
    }
}

#[tokio::test]
async fn each_worker_learns_its_place_from_its_environment() {
    let lines = Collected::default();
    let print = "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR \
                 $RPC_STORE_HOSTED $RPC_BACKEND $MINE; \
                 echo $MASTER_PORT; echo $RPC_JOB_ID";
    let launch = sh(print).nproc(3).backend("memory").env("MINE", "a b").output(lines.mode());
    let outcome = launch.run().await.unwrap();

    assert!(outcome.success());
    assert_eq!(outcome.exit_code(), 0);
    let by_rank: BTreeMap<u32, Vec<String>> = (0..3).map(|rank| (rank, lines.of(rank))).collect();
    for (rank, said) in &by_rank {
        assert_eq!(said[0], format!("{rank} 3 {rank} 3 127.0.0.1 1 memory a b"));
        assert_ne!(said[1].parse::<u16>().unwrap(), 0, "a port that was really chosen");
        assert_eq!(said[1..], by_rank[&0][1..], "port and job id are the same for all");
        assert!(!said[2].is_empty());
    }
}

#[tokio::test]
async fn another_machine_has_the_ranks_after_the_first_and_the_same_job_id() {
    let lines = Collected::default();
    let launch = sh("echo $RANK $WORLD_SIZE $LOCAL_RANK $MASTER_ADDR:$MASTER_PORT $RPC_JOB_ID");
    let launch = launch.nproc(2).node(1, 2).master_addr("node0").master_port(29500).output(lines.mode());
    let launch = launch.env("RPC_JOIN_TOKEN", TOKEN);
    assert!(launch.run().await.unwrap().success());
    assert_eq!(lines.of(2), ["2 4 0 node0:29500 node0:29500"]);
    assert_eq!(lines.of(3), ["3 4 1 node0:29500 node0:29500"]);
}

#[tokio::test]
async fn the_store_listens_before_the_first_worker_runs_and_while_one_runs() {
    let (send, mut receive) = mpsc::channel(8);
    let gate = Fifo::new();
    let script = "echo $MASTER_PORT; echo $RPC_JOIN_TOKEN; read go < $GATE";
    let lines = OutputMode::lines(move |line| send.try_send(line.text().into_owned()).unwrap());
    let job = tokio::spawn(sh(script).env("GATE", &gate.path).output(lines).run());

    let port: u16 = receive.recv().await.unwrap().parse().unwrap();
    let token = JoinToken::new(&receive.recv().await.unwrap()).unwrap();
    let address = format!("127.0.0.1:{port}");
    let stranger = TcpStore::connect(&address, Duration::from_secs(10)).await;
    assert!(matches!(stranger, Err(StoreError::Denied { cause: Denial::TokenMissing, .. })), "{stranger:?}");
    let store = connect(&address, token).await.unwrap();
    assert_eq!(store.add("workers", 1).await.unwrap(), 1);
    std::fs::write(&gate.path, "go\n").unwrap();
    assert!(job.await.unwrap().unwrap().success());
}

#[tokio::test]
async fn the_first_failure_stops_the_others_and_gives_the_exit_code() {
    let fifo = Fifo::new();
    let ended = fifo.closed_by_all();
    let script = "exec 3> $FIFO; [ $RANK = 2 ] && exit 3; exec sleep 1000";
    let outcome =
        sh(script).nproc(4).env("FIFO", &fifo.path).output(OutputMode::Discard).run().await.unwrap();

    ended.await.unwrap();
    assert_eq!(outcome.exit_code(), 3);
    assert_eq!(outcome.first_failure().unwrap().rank, 2);
    assert_eq!(outcome.workers.len(), 4);
    assert!(outcome.workers.iter().all(|worker| !worker.killed), "SIGTERM was enough");
    let line = outcome.to_string();
    assert!(line.starts_with("worker2 (rank 2, pid "), "{line}");
    assert!(
        line.contains("exited with code 3") && line.contains("stopped the 3 others with SIGTERM"),
        "{line}"
    );
}

#[tokio::test]
async fn a_worker_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let gate = Fifo::new();
    let script = "if [ $RANK = 0 ]; then trap '' TERM; echo ready > $GATE; exec sleep 1000; fi; \
                  read ready < $GATE; exit 9";
    let launch = sh(script).nproc(2).env("GATE", &gate.path).grace(Duration::from_millis(50));
    let outcome = launch.output(OutputMode::Discard).run().await.unwrap();

    assert_eq!(outcome.exit_code(), 9);
    let killed: Vec<_> =
        outcome.workers.iter().filter(|worker| worker.killed).map(|worker| worker.rank).collect();
    assert_eq!(killed, [0]);
    assert!(outcome.to_string().contains("had to kill worker0"), "{outcome}");
}

#[tokio::test]
async fn a_worker_ended_by_a_signal_is_a_failure_of_128_and_its_number() {
    let outcome = sh("kill -SEGV $$").output(OutputMode::Discard).run().await.unwrap();
    assert_eq!(outcome.exit_code(), 128 + 11);
    assert!(outcome.to_string().contains("was ended by SIGSEGV"), "{outcome}");
}

#[tokio::test]
async fn what_a_worker_leaves_behind_in_its_group_ends_with_it() {
    let fifo = Fifo::new();
    let ended = fifo.closed_by_all();
    let lines = Collected::default();
    let outcome = sh("exec 3> $FIFO; sleep 1000 & echo done").env("FIFO", &fifo.path).output(lines.mode());
    assert!(outcome.run().await.unwrap().success());
    ended.await.unwrap();
    assert_eq!(lines.of(0), ["done"]);
}

#[tokio::test]
async fn dropping_a_launch_kills_its_workers() {
    let (send, mut receive) = mpsc::channel(8);
    let fifo = Fifo::new();
    let ended = fifo.closed_by_all();
    let lines = OutputMode::lines(move |line| send.try_send(line).unwrap());
    let script = "exec 3> $FIFO; trap '' TERM; sleep 1000 & echo ready; wait";
    let job = tokio::spawn(sh(script).nproc(2).env("FIFO", &fifo.path).output(lines).run());
    receive.recv().await.unwrap();
    receive.recv().await.unwrap();

    job.abort();
    assert!(job.await.unwrap_err().is_cancelled());
    ended.await.unwrap();
}

#[tokio::test]
async fn output_is_told_apart_by_rank_and_stream_and_its_last_line_needs_no_newline() {
    let lines = Collected::default();
    let outcome = sh("echo out$RANK; printf err$RANK >&2").nproc(2).output(lines.mode());
    let outcome = outcome.output_of(1, OutputMode::Discard).run().await.unwrap();
    assert!(outcome.success());
    let mut said =
        lines.0.lock().unwrap().iter().map(|l| (l.rank, l.stream, l.text().into_owned())).collect::<Vec<_>>();
    said.sort_by_key(|(rank, stream, _)| (*rank, *stream == Stream::Stderr));
    assert_eq!(said, [(0, Stream::Stdout, "out0".to_owned()), (0, Stream::Stderr, "err0".to_owned())]);
}

#[tokio::test]
async fn a_missing_program_is_named_and_nothing_runs() {
    let error = Launch::new("no-such-program-here").nproc(2).run().await.unwrap_err();
    assert!(matches!(error, LaunchError::ProgramNotFound { .. }), "{error:?}");
    assert_eq!(error.to_string(), "program \"no-such-program-here\" not found in PATH");
}

#[tokio::test]
async fn a_script_whose_interpreter_is_missing_is_told_from_a_missing_script() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, permissions).unwrap();
    let error = Launch::new(&script).run().await.unwrap_err();
    assert!(error.to_string().contains("its interpreter"), "{error}");
}

#[tokio::test]
async fn a_program_that_may_not_be_executed_names_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let error = Launch::new(dir.path()).run().await.unwrap_err();
    assert!(matches!(&error, LaunchError::Spawn { worker, .. } if worker == "worker0"), "{error:?}");
}

#[tokio::test]
async fn a_taken_master_port_is_a_typed_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let launch =
        sh("exit 0").node(0, 2).master_addr("127.0.0.1").master_port(taken.local_addr().unwrap().port());
    let error = launch.run().await.unwrap_err();
    assert!(matches!(error, LaunchError::Store { .. }), "{error:?}");
}

/// A job at a host that is not loopback by its name, though the system takes it for this machine.
fn over_the_network(nnodes: u32) -> Launch {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sh("exit 0").node(0, nnodes).master_addr("0.0.0.0").master_port(port)
}

#[tokio::test]
async fn several_machines_need_a_secret_or_a_network_that_is_said_to_be_trusted() {
    let launch = || over_the_network(2).env("RPC_JOIN_TOKEN", "").env("RPC_INSECURE", "0");
    let error = launch().run().await.unwrap_err();
    assert!(matches!(error, LaunchError::OpenStore { .. }), "{error:?}");
    let error = launch().node(1, 2).run().await.unwrap_err();
    assert!(matches!(error, LaunchError::OpenStore { .. }), "on the other machines too: {error:?}");
    let error = launch().env("RPC_JOIN_TOKEN", "secret").run().await.unwrap_err();
    assert!(matches!(error, LaunchError::Token(_)) && !error.to_string().contains("secret"), "{error:?}");
    assert!(launch().env("RPC_JOIN_TOKEN", TOKEN).run().await.unwrap().success());
    assert!(launch().env("RPC_INSECURE", "1").run().await.unwrap().success());
}

/// With a token of the environment the workers keep it, and the store on the network speaks TLS.
#[tokio::test]
async fn a_token_of_the_environment_is_that_of_the_job() {
    let (send, mut receive) = mpsc::channel(8);
    let gate = Fifo::new();
    let lines = OutputMode::lines(move |line| send.try_send(line.text().into_owned()).unwrap());
    let script = Launch::new("sh").args(["-c", "echo $MASTER_PORT $RPC_JOIN_TOKEN; read go < $GATE"]);
    let launch = script.master_addr("0.0.0.0").env("GATE", &gate.path).env("RPC_JOIN_TOKEN", TOKEN);
    let job = tokio::spawn(launch.output(lines).run());

    let line = receive.recv().await.unwrap();
    let (port, token) = line.split_once(' ').unwrap();
    assert_eq!(token, TOKEN);
    let address = format!("0.0.0.0:{port}");
    let store = connect(&address, JoinToken::new(TOKEN).unwrap()).await.unwrap();
    assert_eq!(store.add("workers", 1).await.unwrap(), 1);
    let stranger = connect(&address, JoinToken::random().unwrap()).await;
    assert!(matches!(stranger, Err(StoreError::Denied { cause: Denial::TokenDiffers, .. })), "{stranger:?}");
    std::fs::write(&gate.path, "go\n").unwrap();
    assert!(job.await.unwrap().unwrap().success());
}

/// Files of credentials for 127.0.0.1, as `RPC_TLS_CA`, `RPC_TLS_CERT` and `RPC_TLS_KEY` name them.
fn credentials(dir: &TempDir) -> [PathBuf; 3] {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    [("ca.pem", ca), ("cert.pem", certificate), ("key.pem", key.serialize_pem())].map(|(name, text)| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    })
}

#[tokio::test]
async fn credentials_of_the_environment_guard_the_store_in_place_of_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let [ca, certificate, key] = credentials(&dir);
    let (send, mut receive) = mpsc::channel(8);
    let gate = Fifo::new();
    let lines = OutputMode::lines(move |line| send.try_send(line.text().into_owned()).unwrap());
    let launch = sh("echo $MASTER_PORT; echo token:$RPC_JOIN_TOKEN; read go < $GATE")
        .env("GATE", &gate.path)
        .env("RPC_TLS_CA", &ca)
        .env("RPC_TLS_CERT", &certificate)
        .env("RPC_TLS_KEY", &key);
    let job = tokio::spawn(launch.output(lines).run());

    let address = format!("127.0.0.1:{}", receive.recv().await.unwrap());
    assert_eq!(receive.recv().await.unwrap(), "token:", "none is made");
    let stranger = connect(&address, JoinToken::random().unwrap()).await;
    assert!(matches!(stranger, Err(StoreError::Denied { cause: Denial::TlsExpected, .. })), "{stranger:?}");
    let identity = Credentials::from_files(ca, certificate, key).unwrap().identity().clone();
    let security = StoreSecurity::Ca { identity };
    let store = TcpStore::connect_secured(&address, Duration::from_secs(10), &security).await.unwrap();
    assert_eq!(store.add("workers", 1).await.unwrap(), 1);
    std::fs::write(&gate.path, "go\n").unwrap();
    assert!(job.await.unwrap().unwrap().success());
}

#[tokio::test]
async fn each_launch_has_a_secret_of_its_own_that_is_not_shown() {
    let mut secrets = Vec::new();
    for set_to_nothing in [false, true] {
        let lines = Collected::default();
        let mut launch = sh("echo $RPC_JOIN_TOKEN").nproc(2).output(lines.mode());
        if set_to_nothing {
            launch = launch.env("RPC_JOIN_TOKEN", "");
        }
        assert!(launch.run().await.unwrap().success());
        assert_eq!(lines.of(0), lines.of(1));
        assert_eq!(lines.of(0)[0].len(), 64, "256 bits");
        secrets.push(lines.of(0));
    }
    assert_ne!(secrets[0], secrets[1]);
    let shown = format!("{:?}", sh("exit 0").env("RPC_JOIN_TOKEN", TOKEN));
    assert!(shown.contains("RPC_JOIN_TOKEN") && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn several_machines_need_an_address_that_all_know() {
    let error = sh("exit 0").node(0, 2).master_addr("127.0.0.1").run().await.unwrap_err();
    assert!(matches!(error, LaunchError::NoMasterAddress { nnodes: 2 }), "{error:?}");
}

#[tokio::test]
async fn a_rank_of_another_machine_has_no_output_here() {
    let error = sh("exit 0").nproc(2).output_of(2, OutputMode::Inherit).run().await.unwrap_err();
    assert!(matches!(error, LaunchError::NotALocalRank { rank: 2, first: 0, last: 1 }), "{error:?}");
}
