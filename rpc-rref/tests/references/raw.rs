//! Requests of the reference protocol made by hand, as a faulty or hostile worker would make them.

use rpc_core::{Body, FunctionId, Kind, Outcome, POSTCARD, RemoteFunction, Request, Response, aside};
use rpc_rref::RRefId;
use rpc_rref::macro_support::inventory;
use rpc_rref::method::MethodEntry;
use rpc_rref::proto::{Msg, Transfer};
use serde::Serialize;

use crate::common::{CONTROL, Refs, id, secs};

/// What a stream carries, as it stands on the wire.
#[derive(Serialize)]
enum Entry {
    Msg(Msg),
}

/// A handle in an aside.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Travelling(pub(crate) RRefId, pub(crate) Transfer);

/// Beside the arguments of a request to create.
#[derive(Serialize)]
pub(crate) struct CreateAside {
    pub(crate) rref: RRefId,
    pub(crate) place: &'static str,
    pub(crate) handles: Vec<Travelling>,
    pub(crate) of: Option<RRefId>,
}

/// Beside the arguments of a method.
#[derive(Serialize)]
pub(crate) struct MethodAside {
    pub(crate) rref: RRefId,
    pub(crate) nested: bool,
    pub(crate) handles: Vec<Travelling>,
}

/// In a request to fetch.
#[derive(Serialize)]
pub(crate) struct FetchAside {
    pub(crate) rref: RRefId,
    pub(crate) nested: bool,
}

/// The id of `F` on the wire.
pub(crate) fn function_id<F: RemoteFunction>(_: F) -> u64 {
    FunctionId::new(F::NAME, F::SIGNATURE).to_wire()
}

/// The id of a method on the wire, by `Type::method`.
pub(crate) fn method_id(name: &str) -> u64 {
    let mut entries = inventory::iter::<MethodEntry>.into_iter();
    let entry = entries.find(|entry| entry.name().ends_with(&format!("::{name}")));
    entry.expect("there is such a method").id().to_wire()
}

/// Sends a batch of the stream from one worker to another, beside those of its registry.
pub(crate) async fn send_batch(refs: &Refs, from: usize, to: usize, sequence: u64, msgs: &[Msg]) -> Outcome {
    let entries: Vec<Entry> = msgs.iter().copied().map(Entry::Msg).collect();
    let body = Body::new(postcard::to_stdvec(&(sequence, entries)).unwrap());
    let request = Request { kind: Kind(CONTROL), method: 0, codec: 0, timeout: Some(secs(5)), body };
    refs.client(from).agent().send(id(to), request).await.unwrap().outcome
}

/// A request with an aside, with a second to be served in.
pub(crate) fn request(kind: u8, method: u64, args: &impl Serialize, aside: &impl Serialize) -> Request {
    raw_request(kind, method, &postcard::to_stdvec(args).unwrap(), &postcard::to_stdvec(aside).unwrap())
}

pub(crate) fn raw_request(kind: u8, method: u64, args: &[u8], aside: &[u8]) -> Request {
    let mut payload = args.to_vec();
    let codec = aside::append(POSTCARD, &mut payload, aside).unwrap();
    Request { kind: Kind(kind), method, codec, timeout: Some(secs(1)), body: Body::new(payload) }
}

/// Sends `request` from one worker to another.
pub(crate) async fn send(refs: &Refs, from: usize, to: usize, request: Request) -> Response {
    refs.client(from).agent().send(id(to), request).await.unwrap()
}
