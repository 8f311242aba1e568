//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::plan::BATCH;

/// Trains a network on handwritten digits with a parameter server and trainers, each its own process.
///
/// Without RANK in the environment it starts itself --nproc times. With it, as under rpcrun or torchrun,
/// it is one of the workers: rank 0 the server, every other a trainer.
#[derive(Clone, Debug, Parser)]
#[command(name = "parameter_server")]
pub(crate) struct Flags {
    /// Workers to start: one server, the others trainers.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=BATCH as i64 + 1))]
    pub(crate) nproc: u32,

    /// How often each training image is seen.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) epochs: u64,

    /// Determines the split of the data, the first parameters and the order of the images.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Backend that carries the calls, such as tcp.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,

    /// Profile the job, and write a table, a timeline for Perfetto and a report for browsers into DIR.
    #[arg(long, value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,

    /// Print the result once more, as a JSON object on the last line.
    #[arg(long)]
    pub(crate) json: bool,

    /// Say more about the start and the end.
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// When the launcher started, in microseconds since 1970. With it rank 0 writes events for the launcher
    /// instead of text for people.
    #[arg(long, hide = true, value_name = "US")]
    pub(crate) launched_at_us: Option<u64>,
}

impl Flags {
    /// The command line of a worker that a launcher with these flags starts at `launched_at_us`.
    pub(crate) fn for_worker(&self, launched_at_us: u64) -> Vec<OsString> {
        let mut args = vec![
            format!("--epochs={}", self.epochs).into(),
            format!("--seed={}", self.seed).into(),
            format!("--launched-at-us={launched_at_us}").into(),
        ];
        args.extend(self.verbose.then(|| "--verbose".into()));
        if let Some(directory) = &self.profile {
            args.extend(["--profile".into(), directory.clone().into_os_string()]);
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_reads_what_its_launcher_wrote() {
        let flags =
            Flags::parse_from(["parameter_server", "--epochs", "3", "--seed", "9", "-v", "--profile", "a b"]);
        let args = std::iter::once("parameter_server".into()).chain(flags.for_worker(77));
        let worker = Flags::try_parse_from(args).unwrap();
        assert_eq!((worker.epochs, worker.seed, worker.verbose), (3, 9, true));
        assert_eq!((worker.launched_at_us, worker.profile), (Some(77), Some("a b".into())));
    }

    #[test]
    fn a_job_without_a_trainer_is_refused_on_the_command_line() {
        assert!(Flags::try_parse_from(["parameter_server", "--nproc", "1"]).is_err());
        assert!(Flags::try_parse_from(["parameter_server", "--nproc", "2"]).is_ok());
    }
}
