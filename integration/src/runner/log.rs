//! [`Log`]: everything that one process has written.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Lines that are kept of one process. Later ones are counted only, so nobody can wait for them.
const LINES_MAX: usize = 20_000;

/// Which of its streams a process wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// One line, without its end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// The lines of one process, in the order in which they were read.
#[derive(Clone, Default)]
pub(crate) struct Log {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    dropped: usize,
    open: usize,
}

impl Log {
    /// Reads `from` to its end in a task of its own.
    pub(crate) fn read(&self, from: impl AsyncRead + Unpin + Send + 'static, stream: Stream) {
        self.update(|state| state.open += 1);
        let log = self.clone();
        tokio::spawn(async move {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            // An error of a pipe's read end says no more than its end does.
            while let Ok(1..) = from.read_until(b'\n', &mut line).await {
                log.push(stream, &line);
                line.clear();
            }
            log.update(|state| state.open -= 1);
        });
    }

    fn push(&self, stream: Stream, line: &[u8]) {
        let text = String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned();
        self.update(|state| match state.lines.len() {
            LINES_MAX.. => state.dropped += 1,
            _ => state.lines.push(Line { stream, text }),
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }

    fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `count` lines are `wanted` and returns the last of those; `None` if the output ended
    /// before that.
    pub(crate) async fn wait(&self, count: usize, wanted: impl Fn(&Line) -> bool) -> Option<String> {
        let mut changed = self.changed.subscribe();
        loop {
            let (found, ended) = self.with(|state| {
                let mut matching = state.lines.iter().filter(|line| wanted(line));
                (matching.nth(count.saturating_sub(1)).map(|line| line.text.clone()), state.open == 0)
            });
            if found.is_some() || ended {
                return found;
            }
            // The sender lives as long as this log.
            let _ = changed.changed().await;
        }
    }

    /// Waits until both streams have ended.
    pub(crate) async fn ended(&self) {
        self.wait(1, |_| false).await;
    }

    /// The lines so far, and how many were dropped.
    pub(crate) fn lines(&self) -> (Vec<Line>, usize) {
        self.with(|state| (state.lines.clone(), state.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_found_whether_it_comes_before_or_after_the_question() {
        let log = Log::default();
        let (mut writer, reader) = tokio::io::duplex(64);
        log.read(reader, Stream::Out);
        let ready = |line: &Line| line.text == "READY";
        let write = async {
            tokio::task::yield_now().await;
            tokio::io::AsyncWriteExt::write_all(&mut writer, b"noise\nREADY\nrest").await.unwrap();
        };
        let (found, ()) = tokio::join!(log.wait(1, ready), write);
        assert_eq!(found.as_deref(), Some("READY"));
        assert_eq!(log.wait(1, ready).await.as_deref(), Some("READY"));
        drop(writer);
        assert_eq!(log.wait(2, ready).await, None);
        assert_eq!(log.lines().0.len(), 3);
    }
}
