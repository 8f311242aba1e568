//! irpc over QUIC, set up by its own helpers, with as many streams and as large windows as the workloads need.
//!
//! The server polls its handlers in the task that receives the messages, which is faster than to spawn each.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::irpc::channel::{mpsc, oneshot};
use ::irpc::rpc::{RemoteService, listen};
use ::irpc::util::{configure_client, configure_server};
use ::irpc::{WithChannels, rpc_requests};
use bytes::Bytes;
use futures::StreamExt;
use noq::{Endpoint, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};

use crate::case::Feature;
use crate::kept;
use crate::system::{self, Job, SMALL, System, expect, ones};

#[rpc_requests(message = Message)]
#[derive(Serialize, Deserialize, Debug)]
enum Protocol {
    #[rpc(tx = oneshot::Sender<Bytes>)]
    Echo(Echo),
    #[rpc(tx = oneshot::Sender<u64>)]
    Upload(Upload),
}

#[derive(Serialize, Deserialize, Debug)]
struct Echo(Bytes);

#[derive(Serialize, Deserialize, Debug)]
struct Upload(Bytes);

async fn handle(message: Message) {
    // A client that has measured just leaves.
    let _ = match message {
        Message::Echo(WithChannels { inner: Echo(bytes), tx, .. }) => tx.send(bytes).await,
        Message::Upload(WithChannels { inner: Upload(bytes), tx, .. }) => {
            let length = bytes.len() as u64;
            kept::arrived(bytes);
            tx.send(length).await
        }
    };
}

const STREAMS: u32 = 4096;
const WINDOW: u32 = 16 << 20;

pub(crate) struct Irpc;

impl System for Irpc {
    type Client = Client;

    fn lacks(feature: Feature) -> Option<&'static str> {
        match feature {
            Feature::Bulk { mib: 16.. } | Feature::Mixed { mib: 16.. } => Some("messages are below 16 MiB"),
            Feature::References => Some("has no references"),
            Feature::Group => Some("has no groups to start or to leave"),
            _ => None,
        }
    }

    async fn serve(job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let (mut config, certificate) = configure_server()?;
        config.transport_config(transport());
        std::fs::write(job.scratch.join("certificate"), certificate)?;
        let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        ready(&endpoint.local_addr()?.to_string());
        let (sender, receiver) = mpsc::channel(STREAMS as usize);
        let client = ::irpc::Client::<Protocol>::local(sender);
        let local = client.as_local().ok_or_else(|| anyhow::anyhow!("a local client is not local"))?;
        tokio::task::spawn_local(listen(endpoint, Protocol::remote_handler(local)));
        let messages = futures::stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
            Ok(Some(message)) => Some((message, receiver)),
            _ => None,
        });
        messages.for_each_concurrent(None, handle).await;
        Ok(())
    }

    async fn connect(job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Client> {
        let certificate = std::fs::read(job.scratch.join("certificate"))?;
        let mut config = configure_client(&[&certificate])?;
        config.transport_config(transport());
        let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        endpoint.set_default_client_config(config);
        Ok(Client(::irpc::Client::noq(endpoint, address.parse()?)))
    }
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW));
    Arc::new(config)
}

#[derive(Clone)]
pub(crate) struct Client(::irpc::Client<Protocol>);

impl system::Client for Client {
    type Bulk = Bytes;

    async fn echo(&self) -> anyhow::Result<()> {
        let answer = self.0.rpc(Echo(Bytes::from_static(&SMALL))).await?;
        expect(answer.len(), SMALL.len())
    }

    fn bulk(bytes: usize) -> Bytes {
        ones(bytes).into()
    }

    async fn upload(&self, bulk: &Bytes) -> anyhow::Result<()> {
        expect(self.0.rpc(Upload(bulk.clone())).await? as usize, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Bytes) -> anyhow::Result<()> {
        expect(self.0.rpc(Echo(bulk.clone())).await?.len(), bulk.len())
    }

    async fn download(&self, _bytes: usize) -> anyhow::Result<()> {
        anyhow::bail!("takes no part in what needs this")
    }
}
