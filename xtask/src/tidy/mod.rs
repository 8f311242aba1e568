//! `cargo xtask tidy`: reads texts as data, and finds those that have stopped being true.

mod invariants;
mod scenarios;
mod source;
mod versions;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::tidy::source::Source;

/// Above this many lines a file is probably more than one idea. A warning only.
const LINES_MAX: usize = 700;

/// Names a scenario for each thing that it says.
const PARITY: &str = "docs/torch-parity.md";

/// Checks the workspace at `root`.
///
/// # Errors
/// If something is not tidy; each finding was printed before.
pub(crate) fn run(root: &Path) -> Result<()> {
    let sources = source::all(root)?;
    let read =
        |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"));

    let mut findings = module_comments(&sources);
    findings.extend(invariants::without_test(&sources));
    let manifest = read("Cargo.toml")?;
    // A text that is missing is a finding like others.
    findings.extend(match read("README.md") {
        Ok(readme) => versions::readme_disagrees(&readme, &manifest),
        Err(error) => vec![format!("{error:#}")],
    });
    findings.extend(match read("CHANGELOG.md") {
        Ok(changelog) => versions::changelog_lacks(&changelog, &manifest),
        Err(error) => vec![format!("{error:#}")],
    });

    // It may be missing in a part of the workspace that is checked alone.
    if let Ok(parity) = read(PARITY) {
        findings.extend(scenarios::absent(PARITY, &parity, &sources));
    }

    for source in sources.iter().filter(|source| source.text.lines().count() > LINES_MAX) {
        let count = source.text.lines().count();
        eprintln!("warning: {}: {count} lines; is it still one idea?", source.path.display());
    }
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    match findings.len() {
        0 => {
            eprintln!("{} files are tidy", sources.len());
            Ok(())
        }
        1 => bail!("1 thing is not tidy"),
        n => bail!("{n} things are not tidy"),
    }
}

/// Modules that do not begin by saying what they are.
fn module_comments(sources: &[Source]) -> Vec<String> {
    let without =
        sources.iter().filter(|source| source.needs_module_comment() && !source.text.starts_with("//!"));
    without.map(|source| format!("{}: does not begin with a `//!` comment", source.path.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_comment_at_its_top_is_found() {
        let sources = [
            Source::new("a/src/lib.rs", "//! Says it.\n"),
            Source::new("a/src/b.rs", "use std::fmt;\n//! Too late.\n"),
            Source::new("a/tests/ui/c.rs", "fn main() {}\n"),
        ];
        assert_eq!(module_comments(&sources), ["a/src/b.rs: does not begin with a `//!` comment"]);
    }

    #[test]
    fn findings_in_a_workspace_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\nrust-version = \"1.95\"\n");
        write("README.md", "Needs Rust 1.95.\n");
        write("CHANGELOG.md", "## [0.1.0] - unreleased\n");
        write("a/Cargo.toml", "");
        write("a/src/lib.rs", "//! Says it.\n");
        run(dir.path()).unwrap();
        write("a/src/b.rs", "");
        assert_eq!(run(dir.path()).unwrap_err().to_string(), "1 thing is not tidy");
    }
}
