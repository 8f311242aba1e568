//! Frames over any pair of byte streams.
//!
//! A frame is 4 bytes, little-endian, and what follows: the length in the low 30 bits, the kind in the others.
//! An [`ECHO`] comes back as it is.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::system::{Client, SMALL};

pub(super) const ECHO: u32 = 0;

const HEAD: usize = 4;
const LENGTH: u32 = (1 << 30) - 1;
/// Frames longer than what is read at a time are read into memory of their own.
const READ: usize = 256 << 10;

fn head(kind: u32, length: usize) -> anyhow::Result<[u8; HEAD]> {
    let length = u32::try_from(length).ok().filter(|length| *length <= LENGTH).context("too long a frame")?;
    Ok((kind << 30 | length).to_le_bytes())
}

/// What was read and not yet taken.
struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Input {
    fn new() -> Self {
        Self { buffer: vec![0; READ].into(), start: 0, end: 0 }
    }

    fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The kind and the length of the frame in front, once its head is there.
    fn head(&self) -> Option<(u32, usize)> {
        let word = u32::from_le_bytes(*self.filled().first_chunk()?);
        Some((word >> 30, (word & LENGTH) as usize))
    }

    /// Reads once; false at the end.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let read = from.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read > 0)
    }
}

/// Answers frames until the other side is gone.
pub(super) async fn serve(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let mut input = Input::new();
    let mut output = Vec::with_capacity(READ);
    while input.read(&mut reader).await? {
        while let Some((kind, length)) = input.head() {
            ensure!(kind == ECHO && HEAD + length <= READ, "a frame of kind {kind} and {length} bytes");
            let Some(frame) = input.filled().get(..HEAD + length) else { break };
            output.extend_from_slice(frame);
            input.start += HEAD + length;
        }
        writer.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

/// The calling side.
pub(crate) struct Calls<R, W>(Rc<Mutex<Ends<R, W>>>);

struct Ends<R, W> {
    reader: R,
    writer: W,
    input: Input,
}

impl<R, W> Clone for Calls<R, W> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R, W> Calls<R, W> {
    pub(super) fn new(reader: R, writer: W) -> Self {
        Self(Rc::new(Mutex::new(Ends { reader, writer, input: Input::new() })))
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Ends<R, W> {
    /// Waits for answers of the small call, and says how many came.
    async fn answers(&mut self) -> anyhow::Result<usize> {
        let mut count = 0;
        while count == 0 {
            ensure!(self.input.read(&mut self.reader).await?, "the server closed the connection");
            while self.input.filled().len() >= HEAD + SMALL.len() {
                ensure!(self.input.head() == Some((ECHO, SMALL.len())), "an answer to something else");
                self.input.start += HEAD + SMALL.len();
                count += 1;
            }
        }
        Ok(count)
    }
}

impl<R: AsyncRead + Unpin + 'static, W: AsyncWrite + Unpin + 'static> Client for Calls<R, W> {
    async fn echo(&self) -> anyhow::Result<()> {
        let mut ends = self.0.lock().await;
        let mut frame = [0; HEAD + SMALL.len()];
        frame[..HEAD].copy_from_slice(&head(ECHO, SMALL.len())?);
        frame[HEAD..].copy_from_slice(&SMALL);
        ends.writer.write_all(&frame).await?;
        ensure!(ends.answers().await? == 1, "more answers than calls");
        Ok(())
    }

    async fn echo_many(&self, in_flight: usize, count: usize) -> anyhow::Result<Duration> {
        let ends = &mut *self.0.lock().await;
        let frame = [&head(ECHO, SMALL.len())?[..], &SMALL].concat();
        let frames = frame.repeat(in_flight);
        let start = Instant::now();
        let (mut sent, mut answered) = (in_flight.min(count), 0);
        ends.writer.write_all(&frames[..frame.len() * sent]).await?;
        while answered < count {
            let answers = ends.answers().await?;
            let more = answers.min(count - sent);
            answered += answers;
            sent += more;
            ends.writer.write_all(&frames[..frame.len() * more]).await?;
        }
        Ok(start.elapsed())
    }
}
