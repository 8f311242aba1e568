//! remoc over TCP, with remote traits. Large messages go through binary channels, as its documentation advises, and are
//! put together on the other side.
//!
//! A created value is called in the same round trip, with remoc's pipelining.

use std::sync::Arc;

use bytes::Bytes;
use remoc::chmux;
use remoc::prelude::*;
use remoc::rch::bin;
use remoc::rtc::{CallError, Client as _};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::RwLock;

use crate::case::Feature;
use crate::kept;
use crate::system::{self, Job, SMALL, System, expect, ones};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    Call(CallError),
    Channel(String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

fn channel(error: impl ToString) -> Failure {
    Failure::Channel(error.to_string())
}

#[rtc::remote]
pub(crate) trait Service {
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, CallError>;
    async fn upload(&self, bulk: bin::Receiver, length: u64) -> Result<u64, Failure>;
    async fn echo_bulk(&self, bulk: bin::Receiver, length: u64, back: bin::Sender) -> Result<(), Failure>;
    async fn download(&self, length: u64, back: bin::Sender) -> Result<(), Failure>;
    #[pipelinable]
    async fn counter(&self, start: u64) -> Result<CounterClient, CallError>;
}

#[rtc::remote]
pub(crate) trait Counter {
    async fn add(&mut self, by: u64) -> Result<u64, CallError>;
}

struct Handlers;

impl Service for Handlers {
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, CallError> {
        Ok(bytes)
    }

    async fn upload(&self, bulk: bin::Receiver, length: u64) -> Result<u64, Failure> {
        let bytes = receive(bulk, length as usize).await?;
        let length = bytes.len() as u64;
        kept::arrived(bytes);
        Ok(length)
    }

    async fn echo_bulk(&self, bulk: bin::Receiver, length: u64, back: bin::Sender) -> Result<(), Failure> {
        let bytes = receive(bulk, length as usize).await?;
        send(back, bytes.into()).await
    }

    async fn download(&self, length: u64, back: bin::Sender) -> Result<(), Failure> {
        send(back, kept::source(length as usize, |bytes| ones(bytes).into())).await
    }

    async fn counter(&self, start: u64) -> Result<CounterClient, CallError> {
        let counter = Arc::new(RwLock::new(Value { n: start }));
        let (server, client) = CounterServerSharedMut::new(counter);
        tokio::spawn(server.serve());
        Ok(client)
    }
}

struct Value {
    n: u64,
}

impl Counter for Value {
    async fn add(&mut self, by: u64) -> Result<u64, CallError> {
        self.n += by;
        Ok(self.n)
    }
}

async fn send(sender: bin::Sender, bytes: Bytes) -> Result<(), Failure> {
    let mut sender = sender.into_inner().await.map_err(channel)?;
    sender.send(bytes).await.map_err(channel)
}

/// One message of this length, in one piece.
async fn receive(receiver: bin::Receiver, length: usize) -> Result<Vec<u8>, Failure> {
    let mut receiver = receiver.into_inner().await.map_err(channel)?;
    let mut bytes = Vec::with_capacity(length);
    match receiver.recv_any().await.map_err(channel)? {
        Some(chmux::Received::Data(data)) => bytes.extend_from_slice(&Bytes::from(data)),
        Some(chmux::Received::Chunks) => {
            while let Some(chunk) = receiver.recv_chunk().await.map_err(channel)? {
                bytes.extend_from_slice(&chunk);
            }
        }
        _ => {}
    }
    Ok(bytes)
}

pub(crate) struct Remoc;

impl System for Remoc {
    type Client = Client;

    fn lacks(feature: Feature) -> Option<&'static str> {
        (feature == Feature::Group).then_some("has no groups to start or to leave")
    }

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let (reader, writer) = stream.into_split();
                let (server, client) =
                    ServiceServerShared::<_, remoc::codec::Default>::new(Arc::new(Handlers));
                remoc::Connect::io(config(), reader, writer).provide(client).await?;
                // A client that has measured just leaves.
                let _ = server.serve().await;
                anyhow::Ok(())
            });
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let client: ServiceClient = remoc::Connect::io(config(), reader, writer).consume().await?;
        Ok(Client(client))
    }
}

fn config() -> remoc::Cfg {
    // Its documentation names these first for throughput.
    remoc::Cfg { port_receive_buffer: 16 << 20, port_receive_throttle: 32 << 20, ..Default::default() }
}

#[derive(Clone)]
pub(crate) struct Client(ServiceClient);

impl system::Client for Client {
    type Bulk = Bytes;

    async fn echo(&self) -> anyhow::Result<()> {
        expect(self.0.echo(Bytes::from_static(&SMALL)).await?.len(), SMALL.len())
    }

    fn bulk(bytes: usize) -> Bytes {
        ones(bytes).into()
    }

    async fn upload(&self, bulk: &Bytes) -> anyhow::Result<()> {
        let (sender, receiver) = bin::channel();
        let call = async { self.0.upload(receiver, bulk.len() as u64).await };
        let (taken, ()) = tokio::try_join!(call, send(sender, bulk.clone())).map_err(failed)?;
        expect(taken as usize, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Bytes) -> anyhow::Result<()> {
        let (sender, receiver) = bin::channel();
        let (back, answer) = bin::channel();
        let call = async { self.0.echo_bulk(receiver, bulk.len() as u64, back).await };
        let there = send(sender, bulk.clone());
        let ((), (), answer) = tokio::try_join!(call, there, receive(answer, bulk.len())).map_err(failed)?;
        expect(answer.len(), bulk.len())
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        let (back, answer) = bin::channel();
        let call = async { self.0.download(bytes as u64, back).await };
        let ((), answer) = tokio::try_join!(call, receive(answer, bytes)).map_err(failed)?;
        expect(answer.len(), bytes)
    }

    async fn cycle(&self) -> anyhow::Result<()> {
        let (mut counter, attached) = CounterClient::new();
        let creation = self.0.counter_pipelined(10, attached).await;
        let sum = counter.add_call(5).await;
        creation.await?;
        expect(sum.await? as usize, 15)
    }
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure:?}")
}
