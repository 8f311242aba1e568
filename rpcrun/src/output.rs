//! Where the workers' output goes: read in lines, marked with the worker's name, written whole.
//!
//! Each stream of each worker has a task that reads it; stdout and stderr of the launcher have a thread each
//! that writes, because writing there can block for as long as a pager waits. Between them is a bounded
//! queue: when nobody reads the launcher's output, the workers come to wait in their own writes, as they
//! would without a launcher, while the launcher goes on watching them.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lines::LineSplitter;

/// Lines that wait to be written, for stdout and stderr each. Reached: reading the workers' output pauses.
const QUEUE_LEN_MAX: usize = 64;

/// How much is read from a worker at once, in bytes.
const READ_LEN: usize = 8 * 1024;

/// How long a stream may say nothing, after its worker has ended, before it is given up. Only a process that
/// left the worker's process group can still hold it open then.
const SILENCE_AFTER_EXIT: Duration = Duration::from_millis(500);

/// How long a stream is waited for in all, after its worker has ended, if such a process goes on writing.
const WAIT_AFTER_EXIT: Duration = Duration::from_secs(2);

/// How much is read of a stream, in bytes, after its worker has ended, if such a process writes so fast that
/// there is no waiting. What the worker itself wrote is in the pipe by then, and a pipe holds no more than this
/// (64 KiB at first, 1 MiB at most without privileges), so nothing of that is lost.
const READ_AFTER_EXIT: usize = 1 << 20;

/// What becomes of the output of a worker.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum OutputMode {
    /// Each line is printed with the worker's name before it, stdout to stdout and stderr to stderr. Lines
    /// stay whole up to 64 KiB. The names are coloured on a terminal (`NO_COLOR` and `CLICOLOR_FORCE` are
    /// obeyed).
    #[default]
    Prefixed,
    /// The worker writes to the launcher's own stdout and stderr: nothing is read or changed, a progress bar
    /// works, and lines of several workers may mix.
    Inherit,
    /// Each line is given to this function, in the order of its stream. It is called on the runtime, so it
    /// must not block.
    Lines(Arc<dyn Fn(Line) + Send + Sync>),
    /// Nothing is kept.
    Discard,
}

impl OutputMode {
    /// [`OutputMode::Lines`] from a closure.
    pub fn lines(take: impl Fn(Line) + Send + Sync + 'static) -> Self {
        Self::Lines(Arc::new(take))
    }

    /// Connects the streams of `command` accordingly.
    pub(crate) fn connect(&self, command: &mut Command) {
        let stdio = || match self {
            Self::Prefixed | Self::Lines(_) => Stdio::piped(),
            Self::Inherit => Stdio::inherit(),
            Self::Discard => Stdio::null(),
        };
        command.stdout(stdio()).stderr(stdio());
    }
}

impl fmt::Debug for OutputMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefixed => "Prefixed",
            Self::Inherit => "Inherit",
            Self::Lines(_) => "Lines",
            Self::Discard => "Discard",
        })
    }
}

/// Which of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a process has these two")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a worker wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Rank of the worker.
    pub rank: u32,
    /// Where it wrote.
    pub stream: Stream,
    /// The line without its newline; at most 64 KiB, longer lines arrive in pieces.
    pub bytes: Vec<u8>,
}

impl Line {
    /// The line as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// All output of one launch. Dropping it stops reading.
#[derive(Debug, Default)]
pub(crate) struct Output {
    readers: JoinSet<()>,
    printers: Option<[Printer; 2]>,
}

impl Output {
    /// Reads the streams of `child` from now on. `running` closes when the worker has ended.
    pub(crate) fn attach(
        &mut self,
        mode: &OutputMode,
        rank: u32,
        name: &str,
        child: &mut Child,
        running: &watch::Receiver<()>,
    ) -> io::Result<()> {
        if let Some(stdout) = child.stdout.take() {
            let sink = self.sink(mode, rank, name, Stream::Stdout)?;
            self.readers.spawn(read_lines(stdout, sink, running.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            let sink = self.sink(mode, rank, name, Stream::Stderr)?;
            self.readers.spawn(read_lines(stderr, sink, running.clone()));
        }
        Ok(())
    }

    fn sink(&mut self, mode: &OutputMode, rank: u32, name: &str, stream: Stream) -> io::Result<Sink> {
        if let OutputMode::Lines(take) = mode {
            return Ok(Sink::Call { take: take.clone(), rank, stream });
        }
        let [stdout, stderr] = match &mut self.printers {
            Some(printers) => printers,
            none => none.insert([Printer::start(io::stdout())?, Printer::start(io::stderr())?]),
        };
        let printer = if stream == Stream::Stdout { stdout } else { stderr };
        Ok(Sink::Print { prefix: prefix(rank, name, printer.coloured), queue: printer.queue.clone() })
    }

    /// Waits until all that the workers wrote has been printed. To be called when they have ended.
    pub(crate) async fn drain(mut self) {
        while self.readers.join_next().await.is_some() {}
        for Printer { queue, done, .. } in self.printers.into_iter().flatten() {
            drop(queue);
            let _ = done.await;
        }
    }
}

/// A thread that writes to one of the launcher's own streams.
#[derive(Debug)]
struct Printer {
    queue: mpsc::Sender<Vec<u8>>,
    done: oneshot::Receiver<()>,
    coloured: bool,
}

impl Printer {
    fn start(mut to: impl anstream::stream::RawStream + Send + 'static) -> io::Result<Self> {
        let coloured = AutoStream::choice(&to) != ColorChoice::Never;
        let (queue, mut lines) = mpsc::channel::<Vec<u8>>(QUEUE_LEN_MAX);
        let (ended, done) = oneshot::channel();
        let print = move || {
            while let Some(line) = lines.blocking_recv() {
                // A closed stream ends this thread and with it the queue; the readers then close the workers'
                // streams, so that the workers learn of it as they would without a launcher.
                if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                    break;
                }
            }
            drop(lines);
            let _ = ended.send(());
        };
        thread::Builder::new().name("rpcrun-print".to_owned()).spawn(print)?;
        Ok(Self { queue, done, coloured })
    }
}

/// Where the lines of one stream go.
enum Sink {
    Print { prefix: Vec<u8>, queue: mpsc::Sender<Vec<u8>> },
    Call { take: Arc<dyn Fn(Line) + Send + Sync>, rank: u32, stream: Stream },
}

impl Sink {
    /// Passes `line` on; `false` if nobody takes lines any more.
    async fn take(&self, line: Vec<u8>) -> bool {
        match self {
            Self::Print { prefix, queue } => {
                queue.send([prefix, line.as_slice(), b"\n"].concat()).await.is_ok()
            }
            Self::Call { take, rank, stream } => {
                take(Line { rank: *rank, stream: *stream, bytes: line });
                true
            }
        }
    }
}

fn prefix(rank: u32, name: &str, coloured: bool) -> Vec<u8> {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Yellow,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightRed,
    ];
    let style = match coloured {
        true => COLOURS[rank as usize % COLOURS.len()].on_default(),
        false => Style::new(),
    };
    format!("{style}[{name}]{style:#} ").into_bytes()
}

/// What a stream is still granted once its worker has ended. Time in which the launcher's own output blocks
/// does not count: the reader of that may be a pager.
struct Remainder {
    wait: Duration,
    bytes: usize,
}

impl Remainder {
    fn is_spent(&self) -> bool {
        self.wait.is_zero() || self.bytes == 0
    }

    /// How long the next read may take.
    fn patience(&self) -> Duration {
        self.wait.min(SILENCE_AFTER_EXIT)
    }

    fn spend(&mut self, waited: Duration, bytes: usize) {
        // A launcher that was stopped for a while, and not the stream, can be the reason for a longer wait.
        self.wait = self.wait.saturating_sub(waited.min(SILENCE_AFTER_EXIT));
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

async fn read_lines(mut from: impl AsyncRead + Unpin, sink: Sink, mut running: watch::Receiver<()>) {
    let mut splitter = LineSplitter::default();
    let mut buffer = vec![0; READ_LEN];
    let mut remainder: Option<Remainder> = None;
    while !remainder.as_ref().is_some_and(Remainder::is_spent) {
        let asked = Instant::now();
        let patience = remainder.as_ref().map(Remainder::patience);
        let read = tokio::select! {
            // In this order: a stream that always has something must not hide the worker's end, and what is
            // there to be read is read before time is looked at.
            biased;
            _ = running.changed(), if remainder.is_none() => {
                remainder = Some(Remainder { wait: WAIT_AFTER_EXIT, bytes: READ_AFTER_EXIT });
                continue;
            }
            read = from.read(&mut buffer) => read,
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => break,
        };
        // An error of a pipe's read end says no more than its end does.
        let Ok(len @ 1..) = read else { break };
        if let Some(remainder) = &mut remainder {
            remainder.spend(asked.elapsed(), len);
        }
        let mut bytes = &buffer[..len];
        while let Some(line) = splitter.next_line(&mut bytes) {
            if !sink.take(line).await {
                return;
            }
        }
    }
    if let Some(line) = splitter.finish() {
        sink.take(line).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_the_worker_and_has_colour_only_when_asked() {
        assert_eq!(prefix(3, "worker3", false), b"[worker3] ");
        let coloured = String::from_utf8(prefix(3, "worker3", true)).unwrap();
        assert!(coloured.starts_with('\x1b') && coloured.contains("[worker3]"), "{coloured:?}");
        assert!(coloured.ends_with("\x1b[0m "), "{coloured:?}");
    }
}
