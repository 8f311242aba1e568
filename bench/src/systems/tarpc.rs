//! tarpc over TCP, with bincode, which is the faster of the two formats that it comes with.
//!
//! The server polls its handlers in the task that reads the connection, which is faster than to spawn each as
//! tarpc's examples do, and just as concurrent. The client may have as many calls in flight as the workloads do.

use bytes::Bytes;
use futures::StreamExt;
use tarpc::serde_transport::{self, Transport};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{client, context, server};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::case::Feature;
use crate::kept;
use crate::system::{self, Job, SMALL, System, expect, ones};

#[tarpc::service]
trait Service {
    async fn echo(bytes: Bytes) -> Bytes;
    async fn upload(bytes: Bytes) -> u64;
    async fn download(length: u64) -> Bytes;
}

#[derive(Clone)]
struct Handlers;

impl Service for Handlers {
    async fn echo(self, _: context::Context, bytes: Bytes) -> Bytes {
        bytes
    }

    async fn upload(self, _: context::Context, bytes: Bytes) -> u64 {
        let length = bytes.len() as u64;
        kept::arrived(bytes);
        length
    }

    async fn download(self, _: context::Context, length: u64) -> Bytes {
        kept::source(length as usize, |bytes| ones(bytes).into())
    }
}

pub(crate) struct Tarpc;

impl System for Tarpc {
    type Client = Client;

    fn lacks(feature: Feature) -> Option<&'static str> {
        match feature {
            Feature::References => Some("has no references"),
            Feature::Group => Some("has no groups to start or to leave"),
            _ => None,
        }
    }

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept().await?;
            let config = server::Config { pending_response_buffer: IN_FLIGHT_MAX };
            let channel = BaseChannel::new(config, transport(stream)?);
            let handlers = channel.execute(Handlers.serve()).for_each_concurrent(None, |handler| handler);
            tokio::task::spawn_local(handlers);
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        let mut config = client::Config::default();
        config.max_in_flight_requests = IN_FLIGHT_MAX;
        config.pending_request_buffer = IN_FLIGHT_MAX;
        Ok(Client(ServiceClient::new(config, transport(stream)?).spawn()))
    }
}

const IN_FLIGHT_MAX: usize = 4096;

fn transport<Item, Sink>(
    stream: TcpStream,
) -> anyhow::Result<Transport<TcpStream, Item, Sink, Bincode<Item, Sink>>>
where
    Item: for<'de> serde::Deserialize<'de>,
    Sink: serde::Serialize,
{
    stream.set_nodelay(true)?;
    let codec = LengthDelimitedCodec::builder().max_frame_length(1 << 30).new_codec();
    Ok(serde_transport::new(Framed::new(stream, codec), Bincode::default()))
}

#[derive(Clone)]
pub(crate) struct Client(ServiceClient);

impl system::Client for Client {
    type Bulk = Bytes;

    async fn echo(&self) -> anyhow::Result<()> {
        let answer = self.0.echo(context::current(), Bytes::from_static(&SMALL)).await?;
        expect(answer.len(), SMALL.len())
    }

    fn bulk(bytes: usize) -> Bytes {
        ones(bytes).into()
    }

    async fn upload(&self, bulk: &Bytes) -> anyhow::Result<()> {
        let taken = self.0.upload(context::current(), bulk.clone()).await?;
        expect(taken as usize, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Bytes) -> anyhow::Result<()> {
        expect(self.0.echo(context::current(), bulk.clone()).await?.len(), bulk.len())
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        expect(self.0.download(context::current(), bytes as u64).await?.len(), bytes)
    }
}
