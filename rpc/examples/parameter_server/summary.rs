//! What rank 0 has to tell: to the launcher as events, one JSON object a line, or to people as text.

use std::fmt;
use std::path::PathBuf;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::flags::Flags;

/// The share of the test images that a trained network has to know.
const ACCURACY_MIN: f64 = 0.95;

/// A line of rank 0 to the launcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// All trainers have finished an epoch.
    Epoch(EpochEvent),
    /// Training is over and all workers have left together.
    Finished(Summary),
}

/// One epoch of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochEvent {
    /// Epochs done, from 1.
    pub(crate) epoch: u64,
    /// Epochs in all.
    pub(crate) epochs: u64,
    /// Mean cross entropy over the epoch, in nats.
    pub(crate) loss: f64,
    /// Share of the test images known at its end, in `0.0..=1.0`.
    pub(crate) accuracy: f64,
}

/// The result of a job. Its text is for people, its JSON for programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Share of the test images that the network knows, in `0.0..=1.0`.
    pub(crate) accuracy: f64,
    /// Pulls and pushes that the server answered in a second of training.
    pub(crate) calls_per_s: f64,
    /// Bytes of tensors that the server received and sent.
    pub(crate) bytes: u64,
    /// From when every trainer was ready to the end of the last epoch.
    pub(crate) seconds: f64,
    /// Values of the server that somebody still had references to at shutdown. The trainers look after theirs.
    pub(crate) leaked: u64,
    /// Pulls and pushes that the server answered.
    pub(crate) calls: u64,
    /// Processes that took part, the server included.
    pub(crate) workers: usize,
    /// From the start of the launcher until every trainer was ready: it had its data and the first parameters.
    /// Without the launcher of this program nobody knows.
    pub(crate) startup_ms: Option<f64>,
    /// Memory of the server after init and before its data; where the system tells.
    pub(crate) server_idle_rss_bytes: Option<u64>,
    /// Where the profile is, if one was asked for.
    pub(crate) profile: Option<PathBuf>,
}

impl Event {
    /// Hands it to the launcher, or to people if there is none of this program.
    ///
    /// # Errors
    /// For people also that the result is bad. The launcher judges for itself.
    pub(crate) fn tell(&self, flags: &Flags) -> anyhow::Result<()> {
        if flags.launched_at_us.is_some() {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        match self {
            Self::Epoch(epoch) => println!("epoch {}/{}: {epoch}", epoch.epoch, epoch.epochs),
            Self::Finished(summary) => {
                summary.print(flags.json)?;
                summary.judge()?;
            }
        }
        Ok(())
    }
}

impl Summary {
    /// Fails if the network has not learnt enough, or references were left over.
    pub(crate) fn judge(&self) -> anyhow::Result<()> {
        ensure!(
            self.accuracy >= ACCURACY_MIN,
            "test accuracy {:.4} is below {ACCURACY_MIN}; train for more epochs with --epochs",
            self.accuracy
        );
        ensure!(self.leaked == 0, "{} values leaked; the server's warnings say who holds them", self.leaked);
        Ok(())
    }

    /// Prints it: as text, then with `json` once more as JSON on a line of its own.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        println!("{self}");
        if json {
            println!("{}", serde_json::to_string(self)?);
        }
        Ok(())
    }
}

impl fmt::Display for EpochEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}, test accuracy {:.1} %", self.loss, self.accuracy * 100.0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "test accuracy   {:.2} %", self.accuracy * 100.0)?;
        writeln!(f, "calls           {} ({:.0} per second)", self.calls, self.calls_per_s)?;
        writeln!(f, "tensors moved   {:.1} MB", self.bytes as f64 / 1e6)?;
        writeln!(f, "training time   {:.2} s", self.seconds)?;
        if let Some(startup) = self.startup_ms {
            writeln!(f, "start-up        {startup:.0} ms until every trainer was ready")?;
        }
        if let Some(rss) = self.server_idle_rss_bytes {
            writeln!(f, "idle server     {:.1} MB resident", rss as f64 / 1e6)?;
        }
        if let Some(directory) = &self.profile {
            writeln!(f, "profile         {}", directory.join("report.html").display())?;
        }
        write!(f, "{} workers shut down cleanly, {} leaked", self.workers, self.leaked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(accuracy: f64) -> Summary {
        Summary {
            accuracy,
            calls_per_s: 2000.0,
            bytes: 3_000_000,
            seconds: 1.5,
            leaked: 0,
            calls: 3000,
            workers: 4,
            startup_ms: Some(120.0),
            server_idle_rss_bytes: None,
            profile: None,
        }
    }

    #[test]
    fn an_accuracy_below_95_percent_is_a_failure_that_says_what_to_do() {
        assert!(summary(0.95).judge().is_ok());
        let error = summary(0.9499).judge().unwrap_err().to_string();
        assert!(error.contains("--epochs"), "{error}");
    }

    #[test]
    fn events_survive_the_line_that_carries_them() {
        let epoch = EpochEvent { epoch: 1, epochs: 2, loss: 0.25, accuracy: 0.5 };
        for event in [Event::Epoch(epoch), Event::Finished(summary(0.97))] {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }

    #[test]
    fn a_leak_is_a_failure() {
        let error = Summary { leaked: 2, ..summary(0.97) }.judge().unwrap_err().to_string();
        assert!(error.contains("2 values leaked"), "{error}");
    }

    #[test]
    fn the_last_words_count_the_workers_and_what_leaked() {
        assert!(summary(0.97).to_string().ends_with("\n4 workers shut down cleanly, 0 leaked"));
    }
}
