//! [`LogLines`]: what a test's subscriber writes.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// Keeps what is written to it, for a test that looks at logs. Clones share it.
///
/// ```
/// use std::io::Write;
/// use rpc_testing::LogLines;
///
/// let lines = LogLines::default();
/// // With tracing-subscriber: `.with_writer({ let lines = lines.clone(); move || lines.clone() })`
/// writeln!(lines.clone(), "worker0: all there")?;
/// assert_eq!(lines.with(&["worker0", "there"]), "worker0: all there");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogLines(Arc<Mutex<Vec<u8>>>);

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogLines {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }

    /// All of it, to be forgotten.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first line that has all `words` in it.
    ///
    /// # Panics
    /// If there is none.
    pub fn with(&self, words: &[&str]) -> String {
        let text = self.text();
        let found = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("no line has {words:?}:\n{text}")).to_owned()
    }
}
