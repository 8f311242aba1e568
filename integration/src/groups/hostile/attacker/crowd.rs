//! Many futures at a time, in one task.

use std::future::{Future, poll_fn};
use std::task::Poll;

use anyhow::Result;

/// Runs all of `futures` until each is done or one has failed.
pub(in super::super) async fn all<T, F: Future<Output = Result<T>>>(
    futures: impl IntoIterator<Item = F>,
) -> Result<Vec<T>> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::with_capacity(running.len());
    poll_fn(|cx| {
        let mut failed = None;
        running.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(value)) => {
                done.push(value);
                false
            }
            Poll::Ready(Err(error)) => {
                failed.get_or_insert(error);
                false
            }
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if running.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await?;
    Ok(done)
}
