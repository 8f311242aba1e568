//! What people and programs see of the results.

use std::time::Duration;

use super::log::Stream;
use super::security::Security;
use super::stage::Stage;

/// How one scenario went.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) backend: String,
    pub(crate) security: Security,
    pub(crate) took: Duration,
    /// Figures that the scenario wants shown.
    pub(crate) notes: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// Why a scenario failed, with all that its processes wrote.
pub(crate) struct Failure {
    pub(crate) error: String,
    pub(crate) output: String,
}

/// Prints results as they come, and counts them.
pub(crate) struct Report {
    json: bool,
    passed: usize,
    failed: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, passed: 0, failed: 0 }
    }

    pub(crate) fn add(&mut self, outcome: &Outcome) {
        match &outcome.failure {
            None => self.passed += 1,
            Some(_) => self.failed += 1,
        }
        if self.json {
            println!("{}", outcome.to_json());
            if let Some(failure) = &outcome.failure {
                eprintln!("{}", failure.output);
            }
        } else {
            println!("{}", outcome.to_line());
            if let Some(failure) = &outcome.failure {
                println!("{}\n{}", failure.error, failure.output);
            }
        }
    }

    /// Prints the closing line. Whether none failed.
    pub(crate) fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

impl Outcome {
    fn to_line(&self) -> String {
        let result = if self.failure.is_none() { "ok    " } else { "FAILED" };
        let notes = match self.notes.is_empty() {
            true => String::new(),
            false => format!("  ({})", self.notes.join(", ")),
        };
        let setting = self.security.label(&self.backend);
        format!("{result} {setting:<10} {:<56} {:>6.2} s{notes}", self.name, self.took.as_secs_f64())
    }

    fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "name": self.name,
            "backend": self.backend,
            "security": self.security.name(),
            "result": if self.failure.is_none() { "passed" } else { "failed" },
            "seconds": self.took.as_secs_f64(),
            "notes": self.notes,
        });
        if let Some(failure) = &self.failure {
            object["error"] = failure.error.clone().into();
        }
        object
    }
}

/// Everything that the processes of `stage` wrote, each under a heading.
pub(crate) fn output_of(stage: &Stage) -> String {
    let mut text = String::new();
    for process in stage.processes() {
        text.push_str(&format!("---- {} ----\n", process.name));
        let (lines, dropped) = process.log.lines();
        for line in lines {
            let mark = if line.stream == Stream::Err { "! " } else { "  " };
            text.push_str(&format!("{mark}{}\n", line.text));
        }
        if dropped > 0 {
            text.push_str(&format!("  ... and {dropped} lines more\n"));
        }
    }
    text.push_str("----");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(failure: Option<Failure>) -> Outcome {
        let took = Duration::from_millis(1500);
        Outcome {
            name: "a::b",
            backend: "tcp".into(),
            security: Security::Ca,
            took,
            notes: vec!["x 1 ms".into()],
            failure,
        }
    }

    #[test]
    fn a_program_finds_name_backend_result_and_seconds() {
        let passed = outcome(None).to_json();
        assert_eq!(passed["name"], "a::b");
        assert_eq!(passed["backend"], "tcp");
        assert_eq!(passed["security"], "ca");
        assert_eq!(passed["result"], "passed");
        assert_eq!(passed["seconds"], 1.5);
        let failed = outcome(Some(Failure { error: "no".into(), output: String::new() })).to_json();
        assert_eq!((&failed["result"], &failed["error"]), (&"failed".into(), &"no".into()));
        assert!(!failed.to_string().contains('\n'));
    }

    #[test]
    fn people_find_the_figures_beside_the_result() {
        let line = outcome(None).to_line();
        assert!(line.starts_with("ok     tcp+ca  ") && line.ends_with("1.50 s  (x 1 ms)"), "{line}");
    }
}
