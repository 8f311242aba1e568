//! tonic over HTTP/2, with prost. Large messages go in large frames through large windows.
//!
//! The service is described in `build.rs`, so that building the bench needs no `protoc`.

use ::tonic::transport::server::TcpIncoming;
use ::tonic::transport::{Channel, Endpoint, Server};
use ::tonic::{Request, Response, Status};
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::case::Feature;
use crate::kept;
use crate::system::{self, Job, SMALL, System, expect, ones};

/// What the generated code calls messages by.
pub(crate) mod messages {
    use bytes::Bytes;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Blob {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) bytes: Bytes,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Length {
        #[prost(uint64, tag = "1")]
        pub(crate) length: u64,
    }
}
use self::messages::{Blob, Length};

#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    elided_lifetimes_in_paths,
    unreachable_pub,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.Service.rs"));
}
use self::generated::service_client::ServiceClient;
use self::generated::service_server::{Service, ServiceServer};

struct Handlers;

#[::tonic::async_trait]
impl Service for Handlers {
    async fn echo(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn upload(&self, request: Request<Blob>) -> Result<Response<Length>, Status> {
        let bytes = request.into_inner().bytes;
        let length = bytes.len() as u64;
        kept::arrived(bytes);
        Ok(Response::new(Length { length }))
    }

    async fn download(&self, request: Request<Length>) -> Result<Response<Blob>, Status> {
        let length = request.into_inner().length as usize;
        Ok(Response::new(Blob { bytes: kept::source(length, |bytes| ones(bytes).into()) }))
    }
}

const MESSAGE_MAX: usize = 1 << 30;
const WINDOW: u32 = 64 << 20;
const FRAME: u32 = 1 << 20;

pub(crate) struct Tonic;

impl System for Tonic {
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
        let service = ServiceServer::new(Handlers)
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        Server::builder()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
            .await?;
        Ok(())
    }

    async fn connect(_job: &Job<'_>, address: &str, _nth: u32) -> anyhow::Result<Client> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME)
            .connect()
            .await?;
        let client = ServiceClient::new(channel);
        Ok(Client(client.max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(MESSAGE_MAX)))
    }
}

#[derive(Clone)]
pub(crate) struct Client(ServiceClient<Channel>);

impl Client {
    async fn echo_of(&self, bytes: Bytes) -> anyhow::Result<()> {
        let length = bytes.len();
        // A clone is a handle of the channel, as tonic would have it.
        let answer = self.0.clone().echo(Blob { bytes }).await?;
        expect(answer.into_inner().bytes.len(), length)
    }
}

impl system::Client for Client {
    type Bulk = Bytes;

    async fn echo(&self) -> anyhow::Result<()> {
        self.echo_of(Bytes::from_static(&SMALL)).await
    }

    fn bulk(bytes: usize) -> Bytes {
        ones(bytes).into()
    }

    async fn upload(&self, bulk: &Bytes) -> anyhow::Result<()> {
        let answer = self.0.clone().upload(Blob { bytes: bulk.clone() }).await?;
        expect(answer.into_inner().length as usize, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Bytes) -> anyhow::Result<()> {
        self.echo_of(bulk.clone()).await
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        let answer = self.0.clone().download(Length { length: bytes as u64 }).await?;
        expect(answer.into_inner().bytes.len(), bytes)
    }
}
