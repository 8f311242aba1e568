//! [`Connection`]: requests and replies of one client that was let in.

use std::sync::Arc;
use std::time::Duration;

use rpc_core::StoreError;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::super::codec::{Malformed, REQUEST_BYTES_MAX, Reply, Request, body_bytes, is_wait};
use super::super::frame::{self, Lost};
use super::super::stream::Stream;
use super::Shared;

/// A connection without a request for this long is closed; clients connect again when they need to.
const IDLE_TIME: Duration = Duration::from_secs(600);
/// Requests and replies up to this size do not count against the budget.
const SMALL_BYTES: usize = 64 << 10;

/// A reply, or why there is none, and the memory reserved for it.
type Answer<'a> = (Result<Reply, StoreError>, Option<SemaphorePermit<'a>>);

/// A client that was let in, with its place among the connections.
pub(super) struct Entered {
    pub(super) stream: Stream,
    pub(super) place: OwnedSemaphorePermit,
}

impl Entered {
    /// Serves until the connection is over, and says why it is.
    pub(super) async fn serve(self, shared: Arc<Shared>) -> Lost {
        let _place = self.place;
        let mut connection = Connection { stream: self.stream, shared: &shared };
        match connection.serve().await {
            Ok(never) => match never {},
            Err(lost) => lost,
        }
    }
}

struct Connection<'a> {
    stream: Stream,
    shared: &'a Shared,
}

impl<'a> Connection<'a> {
    async fn serve(&mut self) -> Result<std::convert::Infallible, Lost> {
        loop {
            let head = match timeout(IDLE_TIME, frame::read_head(&mut self.stream)).await {
                Ok(head) => head?,
                Err(_) => return Err(Lost::Closed),
            };
            let request_bytes = body_bytes(head, REQUEST_BYTES_MAX)?;
            let (request, _request_memory) = self.read_request(request_bytes).await?;
            self.answer(request).await?;
        }
    }

    /// Reads a request of `bytes`, and reserves its memory if that is much. Only for a client that has sent as
    /// much as costs it nothing: one that only announces a large request takes no memory from the others.
    async fn read_request(&mut self, bytes: usize) -> Result<(Request, Option<SemaphorePermit<'a>>), Lost> {
        let shared = self.shared;
        let mut body = frame::read_body(&mut self.stream, bytes.min(SMALL_BYTES)).await?;
        let budget = if is_wait(&body) { &shared.wait_budget } else { &shared.request_budget };
        let memory = budget.reserve(bytes).await;
        frame::read_up_to(&mut self.stream, &mut body, bytes).await?;
        Ok((Request::decode(&body, shared.limits.wait_keys)?, memory))
    }

    async fn answer(&mut self, request: Request) -> Result<(), Lost> {
        let shared = self.shared;
        let content = &shared.content;
        // What the reply may copy is reserved before it is copied.
        let (reply, _reply_memory) = match request {
            Request::Set { key, value } => {
                (content.with(|map| map.set(&key, &value)).map(|()| Reply::Done), None)
            }
            Request::Add { key, delta } => (content.with(|map| map.add(&key, delta)).map(Reply::Sum), None),
            Request::Delete { key } => (Ok(Reply::Deleted(content.with(|map| map.delete(&key)))), None),
            Request::Get { key } => {
                let memory = self.reserve_values(std::slice::from_ref(&key)).await;
                let value = content.read(|map| map.get(&key).map(<[u8]>::to_vec));
                (Ok(value.map_or(Reply::NoValue, Reply::Value)), memory)
            }
            Request::CompareSet { key, expected, new } => {
                let memory = self.reserve_values(std::slice::from_ref(&key)).await;
                let now = content.with(|map| map.compare_set(&key, expected.as_deref(), &new));
                (now.map(Reply::Value), memory)
            }
            Request::Wait { timeout_ms, keys } => self.wait(Duration::from_millis(timeout_ms), &keys).await?,
        };
        let reply = reply.unwrap_or_else(refusal);
        let frame = reply.to_frame().or_else(|error| refusal(error).to_frame());
        drop(reply);
        match frame {
            Ok(frame) => frame::write(&mut self.stream, &frame).await,
            Err(_) => Err(Lost::Closed),
        }
    }

    /// Waits for the keys, or until the client closes the connection.
    async fn wait(&mut self, limit: Duration, keys: &[String]) -> Result<Answer<'a>, Lost> {
        let shared = self.shared;
        let deadline = tokio::time::Instant::now() + limit.min(crate::memory::FOREVER);
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let ready = tokio::select! {
                ready = shared.content.ready(keys, left) => ready,
                gone = end_of(&mut self.stream) => return Err(gone),
            };
            if let Err(error) = ready {
                return Ok((Err(error), None));
            }
            let bytes = shared.content.read(|map| map.value_bytes(keys));
            let memory = shared.reply_budget.reserve(bytes).await;
            match shared.content.read(|map| map.values(keys)) {
                Ok(Some(values)) => return Ok((Ok(Reply::Values(values)), memory)),
                Ok(None) => {}
                Err(error) => return Ok((Err(error), None)),
            }
        }
    }

    async fn reserve_values(&self, keys: &[String]) -> Option<SemaphorePermit<'a>> {
        let shared = self.shared;
        let bytes = shared.content.read(|map| map.value_bytes(keys));
        shared.reply_budget.reserve(bytes).await
    }
}

/// Memory for large requests or replies.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    free: Semaphore,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { bytes, free: Semaphore::new(bytes) }
    }

    /// Waits for `bytes` if that is much, or for all there is if it is more.
    async fn reserve(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        if bytes <= SMALL_BYTES {
            return None;
        }
        self.free.acquire_many(bytes.min(self.bytes) as u32).await.ok()
    }
}

/// Resolves when the client is gone, or says something while it has to wait.
async fn end_of(stream: &mut Stream) -> Lost {
    match stream.read(&mut [0]).await {
        Ok(0) => Lost::Closed,
        Ok(_) => Malformed::OutOfTurn.into(),
        Err(error) => error.into(),
    }
}

fn refusal(error: StoreError) -> Reply {
    match error {
        StoreError::TimedOut { missing, .. } => Reply::TimedOut { missing },
        StoreError::NotANumber { key } => Reply::NotANumber { key },
        StoreError::Full { bound, limit } => Reply::Full { bound, limit },
        // The content of a server is in memory and has no other errors.
        other => Reply::Full { bound: other.to_string(), limit: 0 },
    }
}
