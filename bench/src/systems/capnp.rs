//! capnp-rpc over TCP, through buffered streams as in its examples. Its limit on what a message may hold is lifted.
//!
//! A created value is called through the promise of it, in the same round trip.

use std::cell::Cell;
use std::rc::Rc;

use ::capnp::Error;
use ::capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{RpcSystem, new_client};
use futures::io::{BufReader, BufWriter};
use futures::{AsyncReadExt, FutureExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::TokioAsyncReadCompatExt;

use self::service_capnp::{counter, service};
use crate::case::Feature;
use crate::kept;
use crate::system::{self, Job, SMALL, System, expect, ones};

#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    dead_code,
    elided_lifetimes_in_paths,
    unreachable_pub,
    reason = "generated"
)]
mod service_capnp {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/service_capnp.generated"));
}

struct Handlers;

impl service::Server for Handlers {
    async fn echo(
        self: Rc<Self>,
        params: service::EchoParams,
        mut results: service::EchoResults,
    ) -> Result<(), Error> {
        results.get().set_bytes(params.get()?.get_bytes()?);
        Ok(())
    }

    async fn upload(
        self: Rc<Self>,
        params: service::UploadParams,
        mut results: service::UploadResults,
    ) -> Result<(), Error> {
        results.get().set_length(params.get()?.get_bytes()?.len() as u64);
        kept::arrived(params);
        Ok(())
    }

    async fn download(
        self: Rc<Self>,
        params: service::DownloadParams,
        mut results: service::DownloadResults,
    ) -> Result<(), Error> {
        let length = params.get()?.get_length() as usize;
        results.get().set_bytes(&kept::source::<Rc<[u8]>>(length, |bytes| ones(bytes).into()));
        Ok(())
    }

    async fn counter(
        self: Rc<Self>,
        params: service::CounterParams,
        mut results: service::CounterResults,
    ) -> Result<(), Error> {
        let counter = Counter { n: Cell::new(params.get()?.get_start()) };
        results.get().set_counter(new_client(counter));
        Ok(())
    }
}

struct Counter {
    n: Cell<u64>,
}

impl counter::Server for Counter {
    async fn add(
        self: Rc<Self>,
        params: counter::AddParams,
        mut results: counter::AddResults,
    ) -> Result<(), Error> {
        self.n.set(self.n.get() + params.get()?.get_by());
        results.get().set_value(self.n.get());
        Ok(())
    }
}

pub(crate) struct CapnProto;

impl System for CapnProto {
    type Client = Client;

    fn lacks(feature: Feature) -> Option<&'static str> {
        (feature == Feature::Group).then_some("has no groups to start or to leave")
    }

    async fn serve(_job: &Job<'_>, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ready(&listener.local_addr()?.to_string());
        let service: service::Client = new_client(Handlers);
        loop {
            let (stream, _) = listener.accept().await?;
            let network = network(stream, Side::Server)?;
            tokio::task::spawn_local(RpcSystem::new(network, Some(service.clone().client)).map(drop));
        }
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Client> {
        let network = network(TcpStream::connect(address).await?, Side::Client)?;
        let mut system = RpcSystem::new(network, None);
        let service = system.bootstrap(Side::Server);
        tokio::task::spawn_local(system.map(drop));
        Ok(Client(service))
    }
}

type Network = VatNetwork<BufReader<futures::io::ReadHalf<tokio_util::compat::Compat<TcpStream>>>>;

fn network(stream: TcpStream, side: Side) -> anyhow::Result<Box<Network>> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.compat().split();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(None);
    Ok(Box::new(VatNetwork::new(BufReader::new(reader), BufWriter::new(writer), side, options)))
}

#[derive(Clone)]
pub(crate) struct Client(service::Client);

impl Client {
    async fn echo_of(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut request = self.0.echo_request();
        request.get().set_bytes(bytes);
        let answer = request.send().promise.await?;
        expect(answer.get()?.get_bytes()?.len(), bytes.len())
    }
}

impl system::Client for Client {
    type Bulk = Vec<u8>;

    async fn echo(&self) -> anyhow::Result<()> {
        self.echo_of(&SMALL).await
    }

    fn bulk(bytes: usize) -> Vec<u8> {
        ones(bytes)
    }

    async fn upload(&self, bulk: &Vec<u8>) -> anyhow::Result<()> {
        let mut request = self.0.upload_request();
        request.get().set_bytes(bulk);
        let answer = request.send().promise.await?;
        expect(answer.get()?.get_length() as usize, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Vec<u8>) -> anyhow::Result<()> {
        self.echo_of(bulk).await
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        let mut request = self.0.download_request();
        request.get().set_length(bytes as u64);
        let answer = request.send().promise.await?;
        expect(answer.get()?.get_bytes()?.len(), bytes)
    }

    async fn cycle(&self) -> anyhow::Result<()> {
        let mut create = self.0.counter_request();
        create.get().set_start(10);
        let counter = create.send().pipeline.get_counter();
        let mut add = counter.add_request();
        add.get().set_by(5);
        let answer = add.send().promise.await?;
        expect(answer.get()?.get_value() as usize, 15)
    }
}
