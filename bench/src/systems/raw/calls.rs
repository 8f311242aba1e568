//! The calling side of bare sockets.

use std::any::Any;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};

use super::wire::{self, DOWNLOAD, ECHO, HEAD, Input, UPLOAD, head};
use crate::system::{Client, SMALL, expect, ones};

/// Both directions of a connection. Calls take turns, but for those of [`Client::echo_many`].
pub(crate) struct Calls<R, W>(Rc<Connection<R, W>>);

struct Connection<R, W> {
    ends: Mutex<Ends<R, W>>,
    /// What has to live as long as the connection.
    _beside: Box<dyn Any>,
}

struct Ends<R, W> {
    input: Input<R>,
    writer: W,
    body: Vec<u8>,
}

impl<R, W> Clone for Calls<R, W> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Calls<R, W> {
    pub(super) fn new(reader: R, writer: W, beside: impl Any) -> Self {
        let ends = Mutex::new(Ends { input: Input::new(reader), writer, body: Vec::new() });
        Self(Rc::new(Connection { ends, _beside: Box::new(beside) }))
    }

    async fn ends(&self) -> MutexGuard<'_, Ends<R, W>> {
        self.0.ends.lock().await
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Ends<R, W> {
    /// Writes frames that are complete.
    async fn write(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        self.writer.write_all(frames).await?;
        Ok(self.writer.flush().await?)
    }

    /// Waits for answers to the small call, and says how many came.
    async fn small_answers(&mut self) -> anyhow::Result<usize> {
        let mut count = 0;
        while count == 0 {
            ensure!(self.input.read().await?, "the server closed the connection");
            while self.input.take(SMALL.len()).is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// The head of the next frame.
    async fn head(&mut self) -> anyhow::Result<(u32, usize)> {
        loop {
            if let Some(head) = self.input.head() {
                return Ok(head);
            }
            ensure!(self.input.read().await?, "the server closed the connection");
        }
    }

    /// Waits for a large answer.
    async fn large_answer(&mut self, length: usize) -> anyhow::Result<()> {
        let (_, arriving) = self.head().await?;
        expect(arriving, length)?;
        self.input.take_into(length, &mut self.body).await
    }
}

impl<R: AsyncRead + Unpin + 'static, W: AsyncWrite + Unpin + 'static> Client for Calls<R, W> {
    type Bulk = Vec<u8>;

    async fn echo(&self) -> anyhow::Result<()> {
        let mut ends = self.ends().await;
        let mut frame = [0; HEAD + SMALL.len()];
        frame[..HEAD].copy_from_slice(&head(ECHO, SMALL.len())?);
        frame[HEAD..].copy_from_slice(&SMALL);
        ends.write(&frame).await?;
        expect(ends.small_answers().await?, 1)
    }

    async fn echo_many(&self, in_flight: usize, count: usize) -> anyhow::Result<Duration> {
        let mut ends = self.ends().await;
        let frame = [&head(ECHO, SMALL.len())?[..], &SMALL].concat();
        let frames = frame.repeat(in_flight);
        let start = Instant::now();
        let (mut sent, mut answered) = (in_flight.min(count), 0);
        ends.write(&frames[..frame.len() * sent]).await?;
        while answered < count {
            let answers = ends.small_answers().await?;
            let more = answers.min(count - sent);
            answered += answers;
            sent += more;
            ends.write(&frames[..frame.len() * more]).await?;
        }
        Ok(start.elapsed())
    }

    fn bulk(bytes: usize) -> Vec<u8> {
        ones(bytes)
    }

    async fn upload(&self, bulk: &Vec<u8>) -> anyhow::Result<()> {
        let ends = &mut *self.ends().await;
        wire::write(&mut ends.writer, &head(UPLOAD, bulk.len())?, bulk).await?;
        let (_, taken) = ends.head().await?;
        ends.input.take(0);
        expect(taken, bulk.len())
    }

    async fn echo_bulk(&self, bulk: &Vec<u8>) -> anyhow::Result<()> {
        let ends = &mut *self.ends().await;
        wire::write(&mut ends.writer, &head(ECHO, bulk.len())?, bulk).await?;
        ends.large_answer(bulk.len()).await
    }

    async fn download(&self, bytes: usize) -> anyhow::Result<()> {
        let ends = &mut *self.ends().await;
        ends.write(&head(DOWNLOAD, bytes)?).await?;
        ends.large_answer(bytes).await
    }

    async fn cycle_many(&self, at_a_time: usize, count: usize) -> anyhow::Result<Duration> {
        self.echo_many(at_a_time, count).await
    }
}
