//! Cuts what a worker writes into lines of bounded length.

/// The longest line that is kept whole, in bytes. A longer one is broken there.
pub(crate) const LINE_LEN_MAX: usize = 64 * 1024;

/// Collects bytes until a line is complete. Holds less than [`LINE_LEN_MAX`] bytes between calls.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Takes bytes from the front of `bytes` until a line is complete, and returns it without its newline.
    /// `None`: all bytes were taken and the line goes on.
    pub(crate) fn next_line(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let room = LINE_LEN_MAX - self.begun.len();
        let window = &bytes[..bytes.len().min(room + 1)];
        let (line, rest_at) = match window.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&bytes[..end], end + 1),
            None if window.len() > room => (&bytes[..room], room),
            None => {
                self.begun.extend_from_slice(bytes);
                *bytes = &[];
                // A line of exactly the bound stays begun: its newline may be the next byte.
                return None;
            }
        };
        self.begun.extend_from_slice(line);
        *bytes = &bytes[rest_at..];
        Some(std::mem::take(&mut self.begun))
    }

    /// The last line, if it has no newline.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (!self.begun.is_empty()).then_some(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for mut chunk in chunks.iter().copied() {
            while let Some(line) = splitter.next_line(&mut chunk) {
                lines.push(line);
            }
            assert!(chunk.is_empty());
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_whole_wherever_the_reads_cut_them() {
        let text = b"one\n\ntwo\nlast".as_slice();
        for cut in 0..=text.len() {
            let (before, after) = text.split_at(cut);
            let expected = [b"one".as_slice(), b"", b"two", b"last"];
            assert_eq!(split(&[before, after]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_of_the_greatest_length_is_whole_and_a_longer_one_is_broken() {
        let longest = vec![b'x'; LINE_LEN_MAX];
        assert_eq!(split(&[&longest, b"\n"]), std::slice::from_ref(&longest));
        assert_eq!(split(&[&longest, b"y\nz\n"]), [longest.clone(), b"y".to_vec(), b"z".to_vec()]);
        let twice = [longest.as_slice(), &longest].concat();
        assert_eq!(split(&[&twice]), [longest.clone(), longest]);
    }

    #[test]
    fn a_line_without_newline_at_the_end_is_kept() {
        assert_eq!(split(&[b"a\n", b"b"]), [b"a", b"b"]);
        assert!(split(&[b""]).is_empty());
    }
}
