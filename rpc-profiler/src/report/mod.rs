//! The report: a profile as one page for a browser, which needs nothing else and sends nothing anywhere.
//!
//! ```text
//! Profile ───── all ─────┬─ functions (distribution) ──┐
//!                        ├─ matrix                     │
//!                        ├─ notable ── shown ──────────┼─ data ── page ── report.html with report.css,
//!                        └─ workers      └─ timeline ──┘                  common, tables, timeline and report.js
//! ```
//! All that is counted is counted here; the scripts show it. Names out of a profile can be anything: they get into the page as
//! JSON in which no `<` is left (`page`), and from there into the document as text and attributes, never as HTML.
//!
//! A page shows all calls in its sums, and at most [`SLICES_MAX`](shown::SLICES_MAX) slices, [`Functions::ROWS_MAX`](functions::Functions)
//! functions, [`Matrix::WORKERS_MAX`](matrix::Matrix) workers, and so on; it says what it has left out.

use std::io;

use crate::model::Profile;

mod all;
mod data;
mod distribution;
mod functions;
mod matrix;
mod notable;
mod page;
#[cfg(test)]
mod sample;
mod shown;
mod spans;
mod strings;
mod timeline;
mod workers;

impl Profile {
    /// Writes a page for browsers that shows where the time went: a timeline of all workers, latencies by function and stage, your
    /// own spans, who called whom, the slowest calls, and what failed, with what it said. It is one file without anything outside of it, and can be opened from a disk.
    ///
    /// Of a large profile the timeline has 20,000 slices, those of the slowest calls and what is around them first, then the
    /// longest; sums and percentiles are of all calls. The page is then a few megabytes long.
    ///
    /// # Errors
    /// Those of `into`. What has been written by then is no whole page.
    ///
    /// # Examples
    /// ```
    /// use rpc_profiler::Profile;
    /// use rpc_profiler::model::Tick;
    ///
    /// let profile = Profile::new(0, Tick::from_unix_ns(1_000), Tick::from_unix_ns(9_000)); // or a recorded one
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("report.html");
    /// profile.write_report(std::fs::File::create(&path)?)?;
    /// assert!(std::fs::read_to_string(&path)?.ends_with("</html>\n"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_report(&self, into: impl io::Write) -> io::Result<()> {
        page::write(&data::Data::of(self), io::BufWriter::new(into))
    }
}
