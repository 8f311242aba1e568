//! Frames over any pair of byte streams: the calling side is [`Calls`](super::calls), this is the other, and what
//! they share.
//!
//! A frame is 4 bytes, little-endian, and what follows: the length in the low 30 bits, the kind in the others.
//! An [`ECHO`] comes back as it is, an [`UPLOAD`] is answered with its length, and a [`DOWNLOAD`] has no body: it
//! is answered with one of the length that it names.

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::kept;
use crate::system::ones;

pub(super) const ECHO: u32 = 0;
pub(super) const UPLOAD: u32 = 1;
pub(super) const DOWNLOAD: u32 = 2;

pub(super) const HEAD: usize = 4;
const LENGTH: u32 = (1 << 30) - 1;
/// What is read at a time at most, of frames that are smaller than this. Larger ones are read into memory of their own.
const READ: usize = 64 << 10;
/// What is read at a time at first: enough for connections with one small call at a time.
const READ_FIRST: usize = 1 << 10;

pub(super) fn head(kind: u32, length: usize) -> anyhow::Result<[u8; HEAD]> {
    let length = u32::try_from(length).ok().filter(|length| *length <= LENGTH).context("too long a frame")?;
    Ok((kind << 30 | length).to_le_bytes())
}

/// What was read and not yet taken.
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read brought all that there was room for.
    full: bool,
}

impl<R: AsyncRead + Unpin> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; READ_FIRST], start: 0, end: 0, full: false }
    }

    /// The kind and the length of the frame in front, once its head is there.
    pub(super) fn head(&self) -> Option<(u32, usize)> {
        let word = u32::from_le_bytes(*self.buffer[self.start..self.end].first_chunk()?);
        Some((word >> 30, (word & LENGTH) as usize))
    }

    /// The frame in front with its head, if it is all there: `length` bytes follow the head.
    pub(super) fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.start.checked_add(HEAD + length).filter(|end| *end <= self.end)?;
        let frame = &self.buffer[self.start..end];
        self.start = end;
        Some(frame)
    }

    /// Whether a frame of this length is to be read with [`take_into`](Self::take_into).
    pub(super) fn is_large(length: usize) -> bool {
        HEAD + length > READ
    }

    /// Reads once; false at the end.
    pub(super) async fn read(&mut self) -> anyhow::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.full {
            self.full = false;
            self.buffer.resize(READ, 0);
        }
        let read = self.reader.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        self.full = self.end == self.buffer.len();
        Ok(read > 0)
    }

    /// Reads the frame in front to its end, and its body into `body`, whose memory is used if it has that length.
    pub(super) async fn take_into(&mut self, length: usize, body: &mut Vec<u8>) -> anyhow::Result<()> {
        self.start += HEAD;
        if body.len() != length {
            // Zeros that the system has ready: what was never used before is not written here.
            *body = vec![0; length];
        }
        let here = length.min(self.end - self.start);
        body[..here].copy_from_slice(&self.buffer[self.start..self.start + here]);
        self.start += here;
        self.reader.read_exact(&mut body[here..]).await?;
        Ok(())
    }
}

/// Answers frames until the other side is gone.
pub(super) async fn serve<R, W>(reader: R, mut writer: W) -> anyhow::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut input = Input::new(reader);
    let mut output = Vec::new();
    let mut body = Vec::new();
    let mut source = Vec::new();
    while input.read().await? {
        while let Some((kind, length)) = input.head() {
            match kind {
                ECHO if !Input::<R>::is_large(length) => match input.take(length) {
                    Some(frame) => output.extend_from_slice(frame),
                    None => break,
                },
                ECHO => {
                    input.take_into(length, &mut body).await?;
                    write(&mut writer, &head(ECHO, length)?, &body).await?;
                }
                UPLOAD if kept::keeps() => {
                    let mut fresh = Vec::new();
                    input.take_into(length, &mut fresh).await?;
                    kept::arrived(fresh);
                    output.extend(head(UPLOAD, length)?);
                }
                UPLOAD => {
                    input.take_into(length, &mut body).await?;
                    output.extend(head(UPLOAD, length)?);
                }
                DOWNLOAD => {
                    input.take(0);
                    if source.len() != length {
                        source = ones(length);
                    }
                    write(&mut writer, &head(DOWNLOAD, length)?, &source).await?;
                }
                _ => bail!("a frame of kind {kind}"),
            }
        }
        writer.write_all(&output).await?;
        writer.flush().await?;
        output.clear();
    }
    Ok(())
}

/// Writes a head and what follows it with as few writes as there can be.
pub(super) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
) -> anyhow::Result<()> {
    writer.write_all_buf(&mut bytes::Buf::chain(head, body)).await?;
    Ok(writer.flush().await?)
}
