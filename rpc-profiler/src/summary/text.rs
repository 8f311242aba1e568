//! A [`Table`] in plain text.

use std::fmt::{self, Write};

use super::row::{Kind, Row, Table};
use super::units::{share, size, time};
use crate::model::{ClockOffset, Stage, Worker};

/// How many characters of a key are shown: those of two calls, one in the other, with names as long as names are. Of a longer one
/// its end is shown, which says what it is of.
const KEY_CHARS_MAX: usize = 160;

/// What stands in a column, if anything.
type Cell = fn(&Row) -> Option<String>;

/// Columns beside the key. Those of which no row says anything are left out.
const COLUMNS: [(&str, Cell); 22] = [
    ("calls", |row| Some(row.count.to_string())),
    ("errors", |row| count(row.errors)),
    ("timed out", |row| count(row.timeouts)),
    ("total", |row| Some(time(row.total_ns))),
    ("self", |row| Some(time(row.self_ns))),
    ("mean", |row| Some(time(row.mean_ns))),
    ("p50", |row| Some(time(row.p50_ns))),
    ("p99", |row| Some(time(row.p99_ns))),
    ("max", |row| Some(time(row.max_ns))),
    ("encode", |row| stage(row, Stage::Encode)),
    ("queue", |row| stage(row, Stage::Queue)),
    ("wire out", |row| stage(row, Stage::WireOut)),
    ("wait", |row| stage(row, Stage::Wait)),
    ("run", |row| stage(row, Stage::Run)),
    ("wire back", |row| stage(row, Stage::WireBack)),
    ("decode", |row| stage(row, Stage::Decode)),
    ("not known", unknown),
    ("sent", |row| (row.kind == Kind::Call).then(|| size(row.request.bytes))),
    ("parts", |row| count(row.request.parts)),
    ("received", |row| (row.kind == Kind::Call).then(|| size(row.response.bytes))),
    ("parts", |row| count(row.response.parts)),
    ("kind", |row| (row.kind == Kind::Span).then(|| "span".to_owned())),
];

fn count(count: u64) -> Option<String> {
    (count > 0).then(|| count.to_string())
}

fn stage(row: &Row, stage: Stage) -> Option<String> {
    row.stage_share(stage).map(share)
}

/// Left out where it would be shown as nothing.
fn unknown(row: &Row) -> Option<String> {
    let unknown = row.unknown_share();
    (row.kind == Kind::Call && unknown >= 0.000_5).then(|| share(unknown))
}

/// A table with a header, a line for each row and one for all calls, and below it what the rows do not say.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || self.rows.iter().chain([&self.total]);
        let mut columns = vec![Column::new("name", rows().map(|row| Some(shown(&row.key))))];
        let others = COLUMNS.iter().map(|(title, cell)| Column::new(title, rows().map(cell)));
        columns.extend(others.filter(|column| column.says_something));

        let rule = "-".repeat(columns.iter().map(|column| column.width + 2).sum::<usize>() - 2);
        let mut lines: Vec<_> = (0..self.rows.len() + 2).map(|line| render(&columns, line)).collect();
        lines.insert(1, rule.clone());
        lines.insert(lines.len() - 1, rule);
        for line in lines {
            writeln!(f, "{line}")?;
        }
        self.write_notes(f)
    }
}

impl Table {
    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows_left_out > 0 {
            writeln!(f, "Rows that are not shown: {}.", self.rows_left_out)?;
        }
        let Self { spans, dropped, recorded_ns, .. } = self;
        let (home, recorded, calls) = (shown(&self.home), time(*recorded_ns), self.total.count);
        writeln!(
            f,
            "Recorded by {home} for {recorded}: {calls} calls, {spans} spans, {dropped} dropped for lack of room."
        )?;
        if !self.failures.is_empty() {
            let failures = self.failures.iter().map(|(how, count)| format!("{count} {}", shown(how)));
            writeln!(f, "Calls without a result: {}.", failures.collect::<Vec<_>>().join(", "))?;
        }
        if !self.workers.is_empty() {
            let clocks: Vec<_> = self.workers.iter().map(clock).collect();
            writeln!(f, "Clocks are off by (taken off all times): {}.", clocks.join(", "))?;
        }
        if self.under_way > 0 {
            writeln!(f, "Calls that were still under way, and are not shown: {}.", self.under_way)?;
        }
        writeln!(
            f,
            "A call counts in those in whose handlers it was made, too. Stages are shares of the total; percentiles are exact, by nearest rank."
        )
    }
}

fn clock(worker: &Worker) -> String {
    let name = shown(&worker.name);
    match worker.clock {
        ClockOffset { offset_ns, error_ns: Some(error_ns) } => {
            let sign = if offset_ns < 0 { "-" } else { "+" };
            format!("{name} {sign}{} ± {}", time(offset_ns.unsigned_abs()), time(error_ns))
        }
        ClockOffset { error_ns: None, .. } => format!("{name} unknown"),
    }
}

/// Cells below each other, with the header.
struct Column {
    cells: Vec<String>,
    width: usize,
    says_something: bool,
}

impl Column {
    fn new(title: &str, cells: impl Iterator<Item = Option<String>>) -> Self {
        let mut says_something = false;
        let cells = cells.map(|cell| {
            says_something |= cell.is_some();
            cell.unwrap_or_else(|| "-".to_owned())
        });
        let cells: Vec<_> = [title.to_owned()].into_iter().chain(cells).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        Self { cells, width, says_something }
    }
}

/// One line: the key to the left, all else to the right.
fn render(columns: &[Column], line: usize) -> String {
    let mut text = String::new();
    for (index, column) in columns.iter().enumerate() {
        let (cell, width) = (&column.cells[line], column.width);
        let _ = match index {
            0 => write!(text, "{cell:<width$}"),
            _ => write!(text, "  {cell:>width$}"),
        }; // a string takes everything
    }
    text
}

/// `text` in one line, and not too long for it.
fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    let text = line;
    let chars = text.chars().count();
    if chars <= KEY_CHARS_MAX {
        return text;
    }
    let end: String = text.chars().skip(chars - (KEY_CHARS_MAX - 1)).collect();
    format!("…{end}")
}
