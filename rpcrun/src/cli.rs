//! The command line. The comments here are the help text.

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser};
use rpcrun::{Launch, OutputMode};

/// Start the workers of an rpc program, and end them together.
///
/// Starts PROGRAM --nproc times on this machine. Each process is one worker and learns from its environment
/// who it is and where the others meet: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR,
/// MASTER_PORT, RPC_JOB_ID, RPC_STORE_HOSTED=1, RPC_JOIN_TOKEN and, with --backend and --no-local, RPC_BACKEND and
/// RPC_LOCAL. A program that calls `rpc::init_from_env()` reads them; torch's programs know the first six. rpcrun
/// itself hosts the store through which the workers find each other, and only those with the token can use it.
///
/// Each line that a worker writes is printed with the worker's name before it, stdout to stdout and stderr to
/// stderr. Standard input of the workers is empty.
///
/// When one worker fails, rpcrun sends SIGTERM to all others and SIGKILL to those that still run after
/// --grace, says in one line what happened, and exits with the code of the worker that failed first. Ctrl-C
/// and SIGTERM are passed on in the same way; a second one kills.
#[derive(Debug, Parser)]
#[command(name = "rpcrun", version, max_term_width = 100)]
#[command(after_help = "See --help for details and examples.", after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Workers to start on this machine
    ///
    /// The same number on every machine of the job.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    #[arg(visible_alias = "nproc-per-node", alias = "nproc_per_node")]
    nproc: u32,

    /// Backend that the workers shall use (RPC_BACKEND)
    #[arg(short, long, value_name = "NAME")]
    backend: Option<String>,

    /// Keep workers of one machine from talking over Unix sockets (RPC_LOCAL=off)
    ///
    /// With the backend tcp they do that by themselves on Linux, which is faster than TCP.
    #[arg(long)]
    no_local: bool,

    /// Set an environment variable for the workers; may be repeated
    ///
    /// It wins over the variables that rpcrun sets. Not for RPC_JOIN_TOKEN: a command line can be read by everybody
    /// on this machine, so set that in the environment of rpcrun.
    #[arg(short, long = "env", value_name = "KEY=VALUE", value_parser = key_value)]
    env: Vec<(String, String)>,

    /// Let the workers write straight to this terminal
    ///
    /// Their lines get no prefix and can mix; programs see the terminal, so that progress bars and colours
    /// work.
    #[arg(long)]
    no_prefix: bool,

    /// Seconds between SIGTERM (or the signal passed on) and SIGKILL
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    grace: Duration,

    /// The program that each worker runs (a path, or a name in PATH) and its arguments
    #[arg(value_names = ["PROGRAM", "ARGS"], num_args = 1.., required = true)]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,

    #[command(flatten)]
    machines: Machines,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Several machines")]
struct Machines {
    /// Machines in the job
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    nnodes: u32,

    /// Which of the machines this is, from 0
    ///
    /// Node 0 hosts the store. The workers here get the ranks from node-rank * nproc on.
    #[arg(long, value_name = "I", default_value_t = 0, alias = "node_rank")]
    node_rank: u32,

    /// Address of node 0 that all machines can reach; default 127.0.0.1 for one machine
    ///
    /// Several machines that meet at any address other than loopback need a secret: the same RPC_JOIN_TOKEN, or
    /// certificates (RPC_TLS_CA, RPC_TLS_CERT, RPC_TLS_KEY), in the environment of each rpcrun. Then the store and
    /// the workers speak TLS. RPC_INSECURE=1 does without, for a network in which every machine is trusted.
    #[arg(long, value_name = "ADDR", alias = "master_addr")]
    master_addr: Option<String>,

    /// Port of the store on node 0; default a free port for one machine
    #[arg(long, value_name = "PORT", alias = "master_port")]
    master_port: Option<u16>,

    /// The job's id (RPC_JOB_ID), the same on all machines
    ///
    /// The default for one machine is random. For several it is MASTER_ADDR:MASTER_PORT, which all of them
    /// know.
    #[arg(long, value_name = "ID")]
    job_id: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  Four workers on this machine:
    rpcrun --nproc 4 -- ./target/release/train --epochs 5

  Two machines with eight workers each; on node1 the same with --node-rank 1 and the same token:
    export RPC_JOIN_TOKEN=$(openssl rand -hex 32)
    rpcrun --nnodes 2 --node-rank 0 --master-addr node0 --master-port 29500 -n 8 -- ./train

  Another backend, and log lines from the framework:
    rpcrun -n 2 --backend tcp --env RUST_LOG=rpc=debug -- ./train

  What a worker gets to know:
    rpcrun -n 2 -- sh -c 'env | grep -E \"RANK|WORLD|MASTER|RPC_[BS]\"'

Exit code:
  0        every worker exited with 0
  N        the worker that failed first exited with N, or was ended by signal N - 128
  125      the launch could not begin
  126      PROGRAM cannot be run
  127      there is no such PROGRAM
  128 + N  rpcrun got signal N before any worker failed, and not all workers then exited with 0

The job's secret:
  Whoever has RPC_JOIN_TOKEN can join the job. On one machine rpcrun makes one for each launch; a value in
  its environment is used as it is. RPC_TLS_CA, RPC_TLS_CERT and RPC_TLS_KEY, paths of PEM files, go before
  it: mutual TLS with certificates of that authority, the store's one for MASTER_ADDR. rpcrun prints and
  logs no secret, and puts none on a command line.

Colour:
  Prefixes are coloured on a terminal. NO_COLOR=1 turns that off, CLICOLOR_FORCE=1 on.

Limits:
  A worker is its first process: what that leaves behind in its process group is killed when it
  ends. Lines over 64 KiB are broken. Each machine's rpcrun ends its own workers; those of other
  machines learn of a failure through the framework. If rpcrun itself is killed with SIGKILL, Linux
  kills the workers' first processes.
";

impl Cli {
    /// Refuses what is well formed and still a mistake. The value is not in the error.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.env.iter().all(|(name, _)| name != "RPC_JOIN_TOKEN") {
            return Ok(());
        }
        let text = "a token on a command line can be read by everybody on this machine; set RPC_JOIN_TOKEN in the \
                    environment of rpcrun instead";
        Err(Self::command().error(ErrorKind::ValueValidation, text))
    }

    pub(crate) fn launch(self) -> Launch {
        let output = if self.no_prefix { OutputMode::Inherit } else { OutputMode::Prefixed };
        let mut command = self.command.into_iter();
        let mut launch = Launch::new(command.next().unwrap_or_default())
            .args(command)
            .nproc(self.nproc)
            .node(self.machines.node_rank, self.machines.nnodes)
            .output(output)
            .grace(self.grace)
            .pass_on_signals(true);
        if let Some(addr) = self.machines.master_addr {
            launch = launch.master_addr(addr);
        }
        if let Some(port) = self.machines.master_port {
            launch = launch.master_port(port);
        }
        if let Some(backend) = self.backend {
            launch = launch.backend(backend);
        }
        if let Some(id) = self.machines.job_id {
            launch = launch.job_id(id);
        }
        if self.no_local {
            launch = launch.env("RPC_LOCAL", "off");
        }
        self.env.into_iter().fold(launch, |launch, (key, value)| launch.env(key, value))
    }
}

fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("write a whole number, 1 or more".to_owned()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !text.contains('\0') => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_program_belong_to_the_program() {
        for line in ["rpcrun -n 2 -- train --nproc 9", "rpcrun --nproc 2 train --nproc 9"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(
                (cli.nproc, cli.command),
                (2, vec!["train".into(), "--nproc".into(), "9".into()]),
                "{line}"
            );
        }
    }

    #[test]
    fn torchruns_spellings_are_understood() {
        let line = "rpcrun --nproc_per_node 2 --nnodes 2 --node_rank 1 --master_addr a --master_port 1 train";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((cli.nproc, cli.machines.node_rank, cli.machines.master_port), (2, 1, Some(1)));
    }

    #[test]
    fn malformed_values_are_refused() {
        for line in [
            "rpcrun -n 0 p",
            "rpcrun --grace soon p",
            "rpcrun --grace -1 p",
            "rpcrun --env novalue p",
            "rpcrun",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_token_on_the_command_line_is_refused_and_not_repeated() {
        let cli = Cli::try_parse_from("rpcrun --env A=1 --env RPC_JOIN_TOKEN=secret p".split(' ')).unwrap();
        let error = cli.check().unwrap_err().to_string();
        assert!(error.contains("environment of rpcrun") && !error.contains("secret"), "{error}");
        assert!(Cli::try_parse_from("rpcrun --env A=1 p".split(' ')).unwrap().check().is_ok());
    }

    #[test]
    fn a_count_that_is_none_is_refused_in_words() {
        for (line, option) in [("rpcrun -n 0 p", "--nproc <N>"), ("rpcrun --nnodes many p", "--nnodes <N>")] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains("write a whole number, 1 or more"), "{error}");
        }
    }
}
