//! Errors and panics of the function itself.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use integration::scenario::Scenario;
use rpc::prelude::*;

/// An error type of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum ParseError {
    Empty,
    NotANumber { text: String, at: usize },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing there"),
            Self::NotANumber { text, at } => write!(f, "no number at {at}: {text}"),
        }
    }
}

#[rpc::function]
async fn parse(text: String) -> Result<u32, ParseError> {
    match text.find(|character: char| !character.is_ascii_digit()) {
        _ if text.is_empty() => Err(ParseError::Empty),
        Some(at) => Err(ParseError::NotANumber { text, at }),
        None => Ok(text.parse().unwrap_or(u32::MAX)),
    }
}

/// Passes on what [`parse`] on `to` ends with.
#[rpc::function]
async fn parse_on(to: String, text: String) -> Result<u32, String> {
    Worker::current().rpc_async(&to, parse, (text,)).await.map_err(|error| error.to_string())
}

#[rpc::function]
fn panic_blocking(text: String) {
    panic!("{text}");
}

#[rpc::function(inline)]
fn panic_inline(text: String) {
    panic!("{text}");
}

#[rpc::function]
async fn panic_async(text: String) {
    tokio::task::yield_now().await;
    panic!("{text}");
}

/// An error that can be sent, but not put together again.
#[derive(Debug, Serialize)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this error does not want to be"))
    }
}

#[rpc::function]
fn fail_unreadably() -> Result<(), Unreadable> {
    Err(Unreadable)
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::on_all("errors::function_exception", 2, function_exception),
        Scenario::on_first("errors::raise_in_user_func_escaped_str", 2, escaped_text),
        Scenario::on_first("errors::nested_error_names_each_worker", 3, nested_error),
        Scenario::on_all("errors::panic_reported_worker_lives_on", 2, panics),
        Scenario::on_first("errors::custom_exception_throw_during_reconstruction", 2, unreadable),
    ]
}

/// On the other worker and on this one.
async fn function_exception(worker: &Worker) -> Result<()> {
    for to in ["worker0", "worker1"] {
        let error = worker.rpc_async(to, parse, ("12x".into(),)).await.err().context("an error")?;
        match &error {
            CallError::Handler { error, .. } => {
                ensure!(*error == ParseError::NotANumber { text: "12x".into(), at: 2 });
            }
            other => bail!("not the handler's own: {other}"),
        }
        ensure!(error.handler_ran() == HandlerRan::Yes);
        let text = error.to_string();
        ensure!(text.contains(to) && text.contains("::parse") && text.contains("no number at 2"), "{text}");
        let empty = worker.rpc_async(to, parse, (String::new(),)).await;
        ensure!(empty.err().as_ref().and_then(CallError::handler_error) == Some(&ParseError::Empty));
        ensure!(worker.rpc_async(to, parse, ("12".into(),)).await? == 12);
    }
    Ok(())
}

async fn escaped_text(worker: &Worker) -> Result<()> {
    for text in
        ["\\n \\x41 \\u{0}", "line\nbreak\ttab\r", "\"quoted\" 'twice'", "ünï¢öde \u{1f980}", "{}%s\0"]
    {
        let error = worker.rpc_async("worker1", parse, (text.into(),)).await.err().context("an error")?;
        match error.handler_error() {
            Some(ParseError::NotANumber { text: arrived, .. }) => ensure!(arrived == text),
            other => bail!("{other:?}"),
        }
        let error =
            worker.rpc_async("worker1", panic_async, (text.into(),)).await.err().context("an error")?;
        match error.failure() {
            Some(Failure::Panicked { message, .. }) => ensure!(message == text),
            other => bail!("{other:?}"),
        }
    }
    Ok(())
}

async fn nested_error(worker: &Worker) -> Result<()> {
    let error = worker.rpc_async("worker1", parse_on, ("worker2".into(), "?".into())).await;
    let text = error.err().context("an error")?.to_string();
    for part in ["parse_on on worker worker1", "parse on worker worker2", "no number at 0: ?"] {
        ensure!(text.contains(part), "{text}");
    }
    Ok(())
}

async fn panics(worker: &Worker) -> Result<()> {
    for to in ["worker0", "worker1"] {
        let failed = [
            worker.rpc_async(to, panic_blocking, ("boom 1".into(),)).await.err(),
            worker.rpc_async(to, panic_inline, ("boom 2".into(),)).await.err(),
            worker.rpc_async(to, panic_async, ("boom 3".into(),)).await.err(),
        ];
        for (n, error) in (1..).zip(failed) {
            let error = error.context("an error")?;
            let Some(Failure::Panicked { message, location }) = error.failure() else { bail!("{error}") };
            ensure!(*message == format!("boom {n}"), "{message}");
            ensure!(location.contains("handler.rs:"), "{location}");
            ensure!(error.handler_ran() == HandlerRan::Yes && error.to_string().contains(to), "{error}");
        }
        ensure!(worker.rpc_async(to, parse, ("12".into(),)).await? == 12);
    }
    Ok(())
}

async fn unreadable(worker: &Worker) -> Result<()> {
    let error = worker.rpc_async("worker1", fail_unreadably, ()).await.err().context("an error")?;
    let Some(Failure::BadReply { reason }) = error.failure() else { bail!("{error}") };
    // Postcard has no room for the words of the type.
    ensure!(!reason.is_empty() && error.handler_ran() == HandlerRan::Yes, "{error}");
    ensure!(worker.rpc_async("worker1", parse, ("12".into(),)).await? == 12);
    Ok(())
}
