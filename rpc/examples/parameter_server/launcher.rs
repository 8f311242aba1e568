//! The process that the user starts: starts the workers, shows their progress, and judges the result.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use rpcrun::{Launch, Line, OutputMode, Stream};

use crate::flags::Flags;
use crate::summary::{Event, Summary};
use crate::worker::name;

/// Runs the whole job.
pub(crate) async fn launch(flags: &Flags) -> anyhow::Result<ExitCode> {
    let launched_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let program = std::env::current_exe().context("this program does not know its own path")?;
    let screen = Arc::new(Screen::new(flags.epochs)?);
    let mut launch = Launch::new(program)
        .nproc(flags.nproc)
        .args(flags.for_worker(u64::try_from(launched_at.as_micros())?))
        .pass_on_signals(true);
    for rank in 0..flags.nproc {
        launch = launch.name_of(rank, name(rank));
    }
    if let Some(backend) = &flags.backend {
        // Here it fails once, with the workers it would fail in each.
        rpc::default_backends().get(backend)?;
        launch = launch.backend(backend);
    }
    let show = Arc::clone(&screen);
    let outcome = launch.output(OutputMode::lines(move |line| show.take(&line))).run().await?;
    screen.bar.finish_and_clear();
    if !outcome.success() {
        eprintln!("the job ended early: {outcome}");
        return Ok(ExitCode::from(u8::try_from(outcome.exit_code()).unwrap_or(1)));
    }
    let summary = screen.summary().context("rank 0 ended without a result")?;
    summary.print(flags.json)?;
    summary.judge()?;
    Ok(ExitCode::SUCCESS)
}

/// The terminal, on which a progress bar and the workers' messages must not mix.
struct Screen {
    /// Draws nothing where standard error is no terminal.
    bar: ProgressBar,
    summary: Mutex<Option<Summary>>,
}

impl Screen {
    fn new(epochs: u64) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:40} epoch {pos}/{len} {msg}")?;
        let bar = ProgressBar::new(epochs).with_style(style).with_message("starting");
        Ok(Self { bar, summary: Mutex::new(None) })
    }

    fn take(&self, line: &Line) {
        let text = line.text();
        if line.rank == 0
            && line.stream == Stream::Stdout
            && let Ok(event) = serde_json::from_str(&text)
        {
            return self.event(event);
        }
        self.bar.suspend(|| eprintln!("[{}] {text}", name(line.rank)));
    }

    fn event(&self, event: Event) {
        match event {
            Event::Epoch(epoch) => {
                self.bar.set_position(epoch.epoch);
                self.bar.set_message(epoch.to_string());
            }
            Event::Finished(summary) => {
                *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
            }
        }
    }

    fn summary(&self) -> Option<Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
