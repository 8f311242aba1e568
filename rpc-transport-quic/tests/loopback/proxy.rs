//! A network between two transports: a UDP proxy of the tests' own that loses datagrams and changes its port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Forwards datagrams of one client to a server and back.
pub(crate) struct Proxy {
    /// Where the client dials.
    pub(crate) address: String,
    change_port: mpsc::Sender<()>,
    task: JoinHandle<()>,
    pub(crate) lost: Arc<AtomicU64>,
}

/// What happens to a datagram.
pub(crate) struct Weather {
    /// Of 1,000 datagrams how many are lost, in each direction.
    pub(crate) lost_of_thousand: u64,
    pub(crate) seed: u64,
}

impl Weather {
    pub(crate) const CLEAR: Self = Self { lost_of_thousand: 0, seed: 0 };

    /// The next number of a splitmix64 generator.
    fn loses(&mut self) -> bool {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 1_000 < self.lost_of_thousand
    }
}

impl Proxy {
    pub(crate) async fn to(server: &str, weather: Weather) -> Self {
        let server: SocketAddr = server.parse().unwrap();
        let downstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = downstream.local_addr().unwrap().to_string();
        let (change_port, changes) = mpsc::channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(forward(downstream, server, weather, changes, Arc::clone(&lost)));
        Self { address, change_port, task, lost }
    }

    /// From now on the server sees the client at another port, and the old one is closed.
    pub(crate) async fn change_port(&self) {
        self.change_port.send(()).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn upstream_to(server: SocketAddr) -> UdpSocket {
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    upstream.connect(server).await.unwrap();
    upstream
}

async fn forward(
    downstream: UdpSocket,
    server: SocketAddr,
    mut weather: Weather,
    mut changes: mpsc::Receiver<()>,
    lost: Arc<AtomicU64>,
) {
    let mut upstream = upstream_to(server).await;
    let mut client = None;
    let (mut down, mut up) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            received = downstream.recv_from(&mut down) => {
                let Ok((len, from)) = received else { continue };
                // A knock comes from a port of its own.
                if len == 1 {
                    continue;
                }
                client = Some(from);
                match weather.loses() {
                    true => drop(lost.fetch_add(1, Ordering::Relaxed)),
                    false => drop(upstream.send(&down[..len]).await),
                }
            }
            received = upstream.recv(&mut up) => {
                let (Ok(len), Some(client)) = (received, client) else { continue };
                match weather.loses() {
                    true => drop(lost.fetch_add(1, Ordering::Relaxed)),
                    false => drop(downstream.send_to(&up[..len], client).await),
                }
            }
            Some(()) = changes.recv() => upstream = upstream_to(server).await,
        }
    }
}
