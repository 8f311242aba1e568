//! [`Json`]: text on its way to a file.

use std::io::{self, Write};

/// How much is kept back at most, give or take one event.
const KEPT_BYTES: usize = 64 << 10;

/// Writes pieces of JSON. What is asked for is what is written: braces and commas are up to the caller.
pub(super) struct Json<W> {
    out: W,
    kept: Vec<u8>,
    digits: itoa::Buffer,
    has_events: bool,
}

impl<W: Write> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            kept: Vec::with_capacity(KEPT_BYTES + 4_096),
            digits: itoa::Buffer::new(),
            has_events: false,
        }
    }

    /// Parts one event from the one before it.
    pub(super) fn event(&mut self) -> &mut Self {
        let between = if self.has_events { ",\n" } else { "\n" };
        self.has_events = true;
        self.text(between)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.kept.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.kept.extend_from_slice(self.digits.format(number).as_bytes());
        self
    }

    /// `ns` nanoseconds in µs, exactly.
    pub(super) fn micros(&mut self, ns: u64) -> &mut Self {
        self.number(ns / 1_000);
        let below = ns % 1_000;
        if below > 0 {
            let digit = |power: u64| b'0' + u8::try_from(below / power % 10).unwrap_or(0);
            self.kept.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
        }
        self
    }

    /// `number` as a string, since it may be too large for a number of JavaScript.
    pub(super) fn id(&mut self, number: u64) -> &mut Self {
        let digit = |at: u32| b"0123456789abcdef"[(number >> (4 * at) & 0xf) as usize];
        self.kept.push(b'"');
        self.kept.extend((0..16).rev().map(digit));
        self.kept.push(b'"');
        self
    }

    /// Between two events: passes on what has come together.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        if self.kept.len() < KEPT_BYTES {
            return Ok(());
        }
        self.pass_on()
    }

    /// Passes on everything.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.out.write_all(&self.kept)?;
        self.kept.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        write(&mut json);
        json.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_exact() {
        for (ns, us) in
            [(0, "0"), (1, "0.001"), (999, "0.999"), (1_000, "1"), (12_340, "12.340"), (60_045, "60.045")]
        {
            assert_eq!(written(|json| _ = json.micros(ns)), us);
        }
        assert_eq!(written(|json| _ = json.micros(u64::MAX)), "18446744073709551.615");
    }

    #[test]
    fn ids_are_strings_of_one_length() {
        assert_eq!(written(|json| _ = json.id(0x0102_0000_0000_00ff)), "\"01020000000000ff\"");
    }

    #[test]
    fn text_is_passed_on_in_pieces() {
        struct Longest(usize);
        impl Write for Longest {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.max(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut longest = Longest(0);
        let mut json = Json::new(&mut longest);
        for _ in 0..100_000 {
            json.text("0123456789").pause().unwrap();
        }
        json.finish().unwrap();
        assert!((KEPT_BYTES..KEPT_BYTES + 10).contains(&longest.0), "{} bytes", longest.0);
    }
}
