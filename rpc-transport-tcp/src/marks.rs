//! [`Marks`]: who wants to know when frames that are queued are written.

use std::collections::VecDeque;

use rpc_core::WriteMark;

/// In the order of their frames. There are no more than frames that are queued, which the engine bounds.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    waiting: VecDeque<(u64, WriteMark)>,
    /// Bytes that have been written while somebody waited.
    written: u64,
}

impl Marks {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Tells `mark` when `queued` more bytes are written: those of its frame, and all that are before it. What overtakes
    /// it counts too.
    pub(crate) fn add(&mut self, queued: u64, mark: WriteMark) {
        self.waiting.push_back((self.written + queued, mark));
    }

    /// Those that wait have `bytes` more before them.
    pub(crate) fn delayed(&mut self, bytes: u64) {
        self.waiting.iter_mut().for_each(|(at, _)| *at += bytes);
    }

    pub(crate) fn written(&mut self, bytes: u64) {
        self.written += bytes;
        while let Some((at, mark)) = self.waiting.front()
            && *at <= self.written
        {
            mark.written();
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_when_their_last_byte_is_written() {
        let mut marks = Marks::default();
        let both: [WriteMark; 2] = Default::default();
        marks.add(10, both[0].clone());
        marks.add(30, both[1].clone());
        let told = || both.each_ref().map(|mark| mark.at().is_some());
        marks.written(9);
        assert_eq!(told(), [false, false]);
        marks.written(1);
        assert_eq!(told(), [true, false]);
        marks.delayed(5);
        marks.written(20);
        assert_eq!(told(), [true, false]);
        marks.written(5);
        assert_eq!((told(), marks.is_empty()), ([true, true], true));
    }
}
