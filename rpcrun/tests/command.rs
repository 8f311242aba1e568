//! The command `rpcrun` itself: output, exit codes, signals.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn rpcrun(args: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcrun"));
    command.args(args).args(["--", "sh", "-c", script]).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sorted_lines(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = text(bytes).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A launch in the background whose workers have all said `ready`.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(mut command: Command, workers: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, stdout };
        running.wait_for("ready", workers);
        running
    }

    /// Reads on until `count` lines with `word` have come.
    fn wait_for(&mut self, word: &str, count: usize) {
        for _ in 0..count {
            let mut line = String::new();
            while !line.contains(word) {
                line.clear();
                assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the output ended before {word:?}");
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn finish(mut self) -> Output {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Output { stdout: rest, ..output }
    }
}

fn fifo(dir: &Path) -> String {
    let path = dir.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path.into_os_string().into_string().unwrap()
}

#[test]
fn lines_carry_the_workers_names_and_keep_their_streams() {
    let output = rpcrun(&["-n", "2"], "echo out; echo err >&2; printf unfinished").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stdout = ["[worker0] out", "[worker0] unfinished", "[worker1] out", "[worker1] unfinished"];
    assert_eq!(sorted_lines(&output.stdout), stdout);
    assert_eq!(sorted_lines(&output.stderr), ["[worker0] err", "[worker1] err"]);
}

#[test]
fn lines_of_many_workers_stay_whole() {
    let script = "i=0; while [ $i -lt 200 ]; do echo begin-$RANK-$i-end; i=$((i+1)); done";
    let output = rpcrun(&["-n", "4"], script).output().unwrap();
    let mut expected: Vec<String> = (0..4)
        .flat_map(|rank| (0..200).map(move |i| format!("[worker{rank}] begin-{rank}-{i}-end")))
        .collect();
    expected.sort();
    assert_eq!(sorted_lines(&output.stdout), expected);
}

#[test]
fn prefixes_are_coloured_when_asked() {
    let output = rpcrun(&[], "echo out").env("CLICOLOR_FORCE", "1").output().unwrap();
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with('\x1b') && stdout.ends_with("\x1b[0m out\n"), "{stdout:?}");
}

#[test]
fn without_prefix_the_workers_write_for_themselves() {
    let output = rpcrun(&["--no-prefix", "-n", "2"], "echo out; echo err >&2").output().unwrap();
    assert_eq!(text(&output.stdout), "out\nout\n");
    assert_eq!(text(&output.stderr), "err\nerr\n");
}

#[test]
fn the_exit_code_is_that_of_the_first_failure_and_one_line_says_so() {
    let output = rpcrun(&["-n", "3"], "[ $RANK = 1 ] && exit 42; exec sleep 1000").output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("rpcrun: worker1 (rank 1, pid "), "{stderr}");
    assert!(stderr.contains("exited with code 42") && stderr.contains("stopped the 2 others"), "{stderr}");
}

#[test]
fn the_environment_can_be_extended() {
    let script = "echo $A $RPC_BACKEND $RPC_LOCAL";
    let output = rpcrun(&["--env", "A=1=2", "--backend", "tcp", "--no-local"], script).output().unwrap();
    assert_eq!(text(&output.stdout), "[worker0] 1=2 tcp off\n");
}

/// Everybody on a machine can read everybody's command lines.
#[cfg(target_os = "linux")]
#[test]
fn the_jobs_token_is_on_no_command_line_and_in_no_output() {
    let script = "echo $RPC_JOIN_TOKEN; cat /proc/$PPID/cmdline /proc/$$/cmdline | tr '\\0' ' '; echo";
    let output = rpcrun(&[], script).env_remove("RPC_JOIN_TOKEN").output().unwrap();
    let said = text(&output.stdout);
    let (token, lines) = said.strip_prefix("[worker0] ").unwrap().split_once('\n').unwrap();
    assert!(token.len() == 64 && lines.contains("rpcrun") && !lines.contains(token), "{said}");

    let given = "0123456789abcdef0123456789abcdef";
    for args in [&["-n", "2"][..], &["--master-addr", "no-such-host.invalid"]] {
        let output = rpcrun(args, "exit 3").env("RPC_JOIN_TOKEN", given).output().unwrap();
        assert!(!output.status.success());
        assert!(!text(&output.stdout).contains(given) && !text(&output.stderr).contains(given));
    }
    let refused = rpcrun(&["--env", &format!("RPC_JOIN_TOKEN={given}")], "exit 0").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(!text(&refused.stderr).contains(given), "{}", text(&refused.stderr));
}

#[test]
fn ctrl_c_reaches_the_workers_and_a_job_that_handles_it_succeeds() {
    let script = "trap 'echo caught; exit 0' INT; echo ready; sleep 1000 & wait";
    let mut running = Running::start(rpcrun(&["-n", "2"], script), 2);
    running.signal(Signal::INT);
    running.wait_for("caught", 2);
    assert_eq!(running.finish().status.code(), Some(0));
}

#[test]
fn a_job_ended_by_sigterm_returns_143() {
    let running = Running::start(rpcrun(&["-n", "2"], "echo ready; exec sleep 1000"), 2);
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(text(&output.stderr), "rpcrun: passed SIGTERM on to 2 workers; exit code 143\n");
}

#[test]
fn a_second_ctrl_c_kills() {
    let script = "trap 'echo caught' INT; echo ready; while :; do sleep 1000 & wait; done";
    let mut running = Running::start(rpcrun(&["-n", "2", "--grace", "1000"], script), 2);
    running.signal(Signal::INT);
    running.wait_for("caught", 2);
    running.signal(Signal::INT);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stderr).contains("had to kill worker0, worker1"), "{}", text(&output.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn workers_do_not_survive_a_launcher_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let script = "exec 3> $FIFO; trap '' TERM HUP; echo ready; exec sleep 1000";
    let mut command = rpcrun(&["-n", "3"], script);
    command.env("FIFO", &path);
    let reader =
        std::thread::spawn(move || std::fs::File::open(path).unwrap().read_to_end(&mut Vec::new()).unwrap());
    let running = Running::start(command, 3);
    running.signal(Signal::KILL);
    running.finish();
    // The end of file: no worker holds the fifo any more.
    reader.join().unwrap();
}

#[test]
fn a_launcher_whose_output_nobody_reads_can_still_be_stopped() {
    let mut running = Running::start(rpcrun(&["-n", "1"], "echo ready; exec yes"), 1);
    // The first one ends the worker, a later one the wait for the reader. Signals that come too close
    // together are one, so they are repeated; nothing else tells when one was taken.
    let code = loop {
        running.signal(Signal::INT);
        if let Some(status) = running.child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(code, Some(130));
}

#[test]
fn a_process_that_left_its_worker_and_goes_on_writing_does_not_hold_up_the_end() {
    let pauses = "i=0; while [ $i -lt 120 ]; do echo tick; i=$((i+1)); sleep 0.1; done";
    // Ends by itself, because its reader is gone.
    let never_pauses = "exec yes";
    for writer in [pauses, never_pauses] {
        // The worker waits for the first line, so that the writer has left its group when it ends.
        let script = "mkfifo $DIR/gate; setsid sh -c \"echo > $DIR/gate; $WRITER\" & read go < $DIR/gate; \
                      echo last; exit 3";
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let output = rpcrun(&[], script).env("DIR", dir.path()).env("WRITER", writer).output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{writer}: {:?}", began.elapsed());
        assert_eq!(output.status.code(), Some(3), "{writer}");
        assert!(text(&output.stdout).contains("[worker0] last\n"), "{writer}");
    }
}

#[test]
fn a_missing_program_is_127_and_one_that_cannot_run_126() {
    let run = |program: &str| {
        Command::new(env!("CARGO_BIN_EXE_rpcrun")).args(["-n", "2", program]).output().unwrap()
    };
    let missing = run("./no-such-program");
    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(text(&missing.stderr), "rpcrun: program \"./no-such-program\" not found\n");
    let unusable = run("/");
    assert_eq!(unusable.status.code(), Some(126));
    assert!(
        text(&unusable.stderr).starts_with("rpcrun: worker0 cannot run \"/\": "),
        "{}",
        text(&unusable.stderr)
    );
}

#[test]
fn help_has_examples_and_exit_codes() {
    let output = Command::new(env!("CARGO_BIN_EXE_rpcrun")).arg("--help").output().unwrap();
    let help = text(&output.stdout);
    for word in [
        "Examples:",
        "rpcrun --nproc 4 --",
        "--nnodes 2 --node-rank 0",
        "Exit code:",
        "MASTER_ADDR",
        "RPC_JOIN_TOKEN",
    ] {
        assert!(help.contains(word), "{word} is missing from\n{help}");
    }
}
