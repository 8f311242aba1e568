//! What the workers of these tests serve.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::{CallContext, Client, Tensor};
use rpc_macros::function;
use serde::{Deserialize, Serialize};

/// The client of the worker that runs the current handler.
pub(crate) fn here() -> std::sync::Arc<Client> {
    CallContext::current().and_then(|call| call.host()).expect("inside a handler of a cluster")
}

#[function(crate = "rpc_core", inline)]
pub(crate) fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Bytes of answers that wait to leave, as this call is served.
#[function(crate = "rpc_core", inline)]
pub(crate) fn answers_waiting() -> u64 {
    here().agent().info().peers.iter().map(|peer| peer.queued_bytes).sum()
}

#[function(crate = "rpc_core")]
pub(crate) fn add_blocking(a: i64, b: i64) -> i64 {
    a + b
}

#[function(crate = "rpc_core")]
pub(crate) async fn add_async(a: i64, b: i64) -> i64 {
    a + b
}

#[function(crate = "rpc_core")]
pub(crate) async fn sleep_ms(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) label: Option<String>,
    pub(crate) layers: Vec<Tensor>,
}

/// Doubles each element; says how the first layer's bytes were aligned.
#[function(crate = "rpc_core")]
pub(crate) fn double(sample: Sample) -> (Sample, usize) {
    let align = sample.layers.first().map_or(0, |layer| layer.part().as_ptr() as usize % 64);
    let layers = sample.layers.into_iter().map(|mut layer| {
        layer.as_mut_slice::<f32>().expect("f32").iter_mut().for_each(|x| *x *= 2.0);
        layer
    });
    (Sample { layers: layers.collect(), ..sample }, align)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ParseError {
    Empty,
    NotANumber(String),
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

#[function(crate = "rpc_core", inline)]
pub(crate) fn parse(text: String) -> Result<i64, ParseError> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) if text.is_empty() => Err(ParseError::Empty),
        Err(_) => Err(ParseError::NotANumber(text)),
    }
}

#[function(crate = "rpc_core")]
pub(crate) fn panic_blocking(message: String) {
    panic!("{message}");
}

#[function(crate = "rpc_core", inline)]
pub(crate) fn panic_inline(message: String) {
    panic!("{message}");
}

#[function(crate = "rpc_core")]
pub(crate) async fn panic_async(message: String, wait_first: bool) {
    if wait_first {
        tokio::task::yield_now().await;
    }
    panic!("{message}");
}

/// Calls `depth` levels of itself, from worker to worker, each waiting on a thread.
#[function(crate = "rpc_core")]
pub(crate) fn nest(depth: u32) -> Result<u32, String> {
    if depth == 0 {
        return Ok(0);
    }
    let client = here();
    let next = (client.agent().id().0 + 1) % client.agent().group().world_size() as u32;
    let below = client.rpc_sync(i64::from(next), nest, (depth - 1,)).map_err(|error| error.to_string())?;
    Ok(below + 1)
}

#[function(crate = "rpc_core")]
pub(crate) async fn sync_inside_async() -> Option<String> {
    here().rpc_sync(0, add, (1, 2)).err().map(|error| error.to_string())
}

/// How much time the caller of this handler gave it, in milliseconds.
#[function(crate = "rpc_core", inline)]
pub(crate) fn remaining_ms() -> Option<u64> {
    CallContext::current()?.remaining().map(|left| left.as_millis() as u64)
}

/// What a nested call to `to` was given.
#[function(crate = "rpc_core")]
pub(crate) async fn nested_remaining_ms(to: i64) -> Option<u64> {
    here().with_timeout(Duration::from_secs(3600)).rpc_async(to, remaining_ms, ()).await.expect("nested call")
}

/// Handlers of [`hang`] that were begun and not yet dropped, by the number that the caller gives, so that
/// tests in one process do not see each other's.
pub(crate) static HANGING: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

struct Hanging(usize);

impl Drop for Hanging {
    fn drop(&mut self) {
        HANGING[self.0].fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for ever; asks the same of `then` first, if given.
#[function(crate = "rpc_core")]
pub(crate) async fn hang(test: usize, then: Option<i64>) {
    HANGING[test].fetch_add(1, Ordering::SeqCst);
    let _guard = Hanging(test);
    if let Some(then) = then {
        let _ = here().with_timeout(Duration::ZERO).rpc_async(then, hang, (test, None)).await;
    }
    std::future::pending::<()>().await;
}

/// Lets the runtime run until as many handlers of [`hang`] live as given.
pub(crate) async fn until_hanging(test: usize, wanted: usize) {
    for _ in 0..10_000 {
        if HANGING[test].load(Ordering::SeqCst) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} handlers hang, not {wanted}", HANGING[test].load(Ordering::SeqCst));
}
