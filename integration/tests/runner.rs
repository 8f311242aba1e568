//! The runner itself: what it prints, what it returns, and that it leaves no process behind.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::process::{Command, Output};

fn runner(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_integration")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_list_has_one_name_a_line_and_obeys_the_filter() {
    let output = runner(&["--list", "--filter", "shutdown::"]);
    assert!(output.status.success());
    let text = stdout(&output);
    assert!(text.lines().count() > 5 && text.lines().all(|line| line.starts_with("shutdown::")), "{text}");
}

#[test]
fn a_filter_that_fits_nothing_is_an_error() {
    let output = runner(&["--filter", "no such thing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--list"));
}

#[test]
fn a_backend_that_is_not_compiled_in_is_an_error_that_lists_the_others() {
    let output = runner(&["--backend", "pigeon"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("pigeon") && text.contains("tcp"), "{text}");
}

#[test]
fn what_passes_is_counted_and_told_to_programs_too() {
    let output = runner(&["--selftest", "--filter", "passes", "--backend", "all", "--json"]);
    assert!(output.status.success());
    let text = stdout(&output);
    let backends = if cfg!(target_os = "linux") { &["quic", "tcp", "local"][..] } else { &["quic", "tcp"] };
    for backend in backends {
        let backend = format!(r#""backend":"{backend}""#);
        let object = text.lines().find(|line| line.contains(&backend)).unwrap();
        for part in
            [r#""name":"selftest::passes""#, r#""security":"open""#, r#""result":"passed""#, r#""seconds":"#]
        {
            assert!(object.contains(part), "{object}");
        }
    }
    assert_eq!(text.lines().last(), Some(&*format!("{} passed, 0 failed", backends.len())));
}

#[test]
fn failures_show_the_output_of_every_process_and_leave_none_behind() {
    let output = runner(&["--selftest", "--timeout", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert_eq!(text.lines().last(), Some("1 passed, 2 failed"), "{text}");
    for part in ["FAILED", "worker1 ended with exit status: 1", "failed on purpose", "not done within 3s"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    for rank in 0..3 {
        assert!(text.contains(&format!("---- worker{rank} ----")), "{text}");
    }
    let pids: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("PID ")).collect();
    assert_eq!(pids.len(), 5, "{text}");
    for pid in pids {
        let alive = Command::new("kill").args(["-0", pid]).output().unwrap().status.success();
        assert!(!alive, "process {pid} still runs");
    }
}
