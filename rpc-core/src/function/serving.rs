//! [`Serving`]: a request on its way into a function or a method, and its result on the way out.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::panic;
use crate::agent::Incoming;
use crate::aside;
use crate::client::Client;
use crate::codec::{CodecError, Codecs, Encoded};
use crate::context::CallContext;
use crate::error::{Failure, ReferenceError};
use crate::function::BoxFuture;
use crate::handles::AnyHandle;
use crate::message::{Body, Outcome, Response};
use crate::worker::WorkerId;

/// A request whose handles have been received, and whose arguments have not been decoded.
pub struct Serving {
    from: WorkerId,
    link: u32,
    codec: u8,
    body: Body,
    handles: Vec<AnyHandle>,
    context: CallContext,
    codecs: Arc<Codecs>,
}

/// Arguments that have not been decoded.
pub(super) struct Arguments {
    body: Body,
    handles: Vec<AnyHandle>,
}

impl Serving {
    /// Takes over `incoming` for the function called `place`: receives the handles that have come with it.
    /// Who counts them is found through the [host](CallContext::with_host) of its context.
    ///
    /// # Errors
    /// The response that says what is wrong with it.
    #[inline]
    pub fn new(mut incoming: Incoming, codecs: Arc<Codecs>, place: &'static str) -> Result<Self, Response> {
        incoming.take_trailers().map_err(bad)?;
        let handles = match incoming.request.codec & aside::FLAG {
            0 => Vec::new(),
            _ => receive(&mut incoming, place)?,
        };
        Self::with_handles(incoming, codecs, handles)
    }

    /// As [`new`](Self::new), for a request whose aside has been taken off, with the handles out of it.
    ///
    /// # Errors
    /// The response for a codec that this worker does not have.
    #[inline]
    pub fn with_handles(
        incoming: Incoming,
        codecs: Arc<Codecs>,
        handles: Vec<AnyHandle>,
    ) -> Result<Self, Response> {
        let Incoming { from, request, context, link } = incoming;
        if !codecs.has(request.codec) {
            let known = codecs.names().join(", ");
            return Err(Response::failed(Outcome::UnknownCodec, &[&known]));
        }
        Ok(Self { from, link, codec: request.codec, body: request.body, handles, context, codecs })
    }

    /// The worker that called.
    pub fn from(&self) -> WorkerId {
        self.from
    }

    /// The codecs of this worker.
    pub fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Deadline, cancellation and host of the call.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// Replaces the [`context`](Self::context), by one with an extension.
    #[must_use]
    pub fn with_context(self, context: CallContext) -> Self {
        Self { context, ..self }
    }

    /// Resolves when the function may start, because all handles among its arguments are confirmed; `None`
    /// if it may now.
    pub fn confirmed(&self) -> Option<BoxFuture<'static, Result<(), ReferenceError>>> {
        if self.handles.is_empty() {
            return None;
        }
        self.context.client()?.desk()?.confirmed(&self.handles)
    }

    /// Decodes the arguments; to be called once. Handles that no argument takes are dropped.
    ///
    /// # Errors
    /// The response that says what is wrong with them.
    pub fn decode<A: DeserializeOwned>(&mut self) -> Result<A, Response> {
        let arguments = self.take_arguments();
        self.decode_taken(arguments)
    }

    /// What [`decode_taken`](Self::decode_taken) decodes.
    pub(super) fn take_arguments(&mut self) -> Arguments {
        Arguments { body: std::mem::take(&mut self.body), handles: std::mem::take(&mut self.handles) }
    }

    /// As [`decode`](Self::decode).
    pub(super) fn decode_taken<A: DeserializeOwned>(&self, arguments: Arguments) -> Result<A, Response> {
        let Arguments { body, handles } = arguments;
        self.codecs.decode_with_handles(self.codec, body, handles).map_err(bad)
    }

    /// Runs `f`, which may be what a user has written, in the context of the call. A panic becomes the
    /// response that reports it.
    ///
    /// # Errors
    /// That response.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Response> {
        panic::catch(|| self.context.run(f))
    }

    /// As [`run`](Self::run) for one poll of a handler, which must not block.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn poll<R>(&self, f: impl FnOnce() -> R) -> Result<R, Response> {
        panic::catch(|| self.context.run_async(f))
    }

    /// The response for what a function has returned.
    pub fn respond<T: Serialize, E: Serialize>(&self, result: Result<T, E>) -> Response {
        match result {
            Ok(value) => self.respond_with(Outcome::Ok, &value),
            Err(error) => self.respond_with(Outcome::HandlerError, &error),
        }
    }

    fn respond_with<T: Serialize>(&self, outcome: Outcome, value: &T) -> Response {
        match self.codecs.encode_with_handles(self.codec, value) {
            Ok(encoded) => self.seal(outcome, encoded),
            Err(error) => bad_result(&error),
        }
    }

    /// The response with an encoded value: its handles are counted as being on their way.
    #[inline]
    pub fn seal(&self, outcome: Outcome, encoded: Encoded) -> Response {
        if !encoded.handles.is_empty() {
            return self.seal_with_handles(outcome, encoded);
        }
        let body = Body { payload: encoded.payload.into(), parts: encoded.parts };
        Response { outcome, codec: self.codec, body }
    }

    fn seal_with_handles(&self, outcome: Outcome, encoded: Encoded) -> Response {
        let Encoded { mut payload, parts, handles } = encoded;
        let client = self.context.client();
        let Some(desk) = client.as_ref().and_then(Client::desk) else {
            return bad_result(&ReferenceError::NoRegistry);
        };
        let (aside, sent) = match desk.send(self.from, Some(self.link), handles) {
            Ok(sent) => sent,
            Err(error) => return bad_result(&error),
        };
        let codec = match aside::append(self.codec, &mut payload, &aside) {
            Ok(codec) => codec,
            Err(error) => {
                sent.lost(&Failure::BadResult { reason: error.to_string() });
                return bad_result(&error);
            }
        };
        let body = Body { payload: payload.into(), parts };
        if let Some(refusal) = client.and_then(|client| client.agent().refusal(&body)) {
            sent.lost(&refusal);
            return bad_result(&refusal);
        }
        Response { outcome, codec, body }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, body, handles, .. } = self;
        write!(f, "Serving({body:?} and {} handles from {from})", handles.len())
    }
}

/// Takes the aside off a request, and the handles out of it.
fn receive(incoming: &mut Incoming, place: &'static str) -> Result<Vec<AnyHandle>, Response> {
    let request = &mut incoming.request;
    let payload = std::mem::take(&mut request.body.payload);
    let (codec, payload, aside) = aside::split(request.codec, payload).map_err(bad)?;
    (request.codec, request.body.payload) = (codec, payload);
    let Some(desk) = incoming.context.client().and_then(|client| client.desk()) else {
        return Err(Response::reference(&ReferenceError::NoRegistry));
    };
    desk.receive(incoming.from, &aside.unwrap_or_default(), place).map_err(bad)
}

fn bad(error: CodecError) -> Response {
    Response::failed(Outcome::BadArguments, &[&error.to_string()])
}

fn bad_result(error: &dyn std::error::Error) -> Response {
    Response::failed(Outcome::BadResult, &[&error.to_string()])
}
