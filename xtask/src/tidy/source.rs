//! The Rust files of the workspace, and which parts of them are tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned() }
    }

    /// Whether it is a module or the root of a crate that people read, rather than the input of a test.
    pub(crate) fn needs_module_comment(&self) -> bool {
        self.is_below("src") || self.is_below("examples")
    }

    /// The part that tests: from the first `#[cfg(test)]` on, or all of a file of tests. The conformance
    /// suite that every transport has to pass and the scenarios are tests too.
    pub(crate) fn test_part(&self) -> &str {
        let is_test_module = self.path.file_stem().is_some_and(|stem| stem == "tests");
        let is_suite =
            self.path.starts_with("integration") || self.path.starts_with("rpc-testing/src/conformance");
        if is_test_module || is_suite || self.is_below("tests") {
            return &self.text;
        }
        self.text.find("#[cfg(test)]").map_or("", |start| &self.text[start..])
    }

    fn is_below(&self, folder: &str) -> bool {
        self.path.parent().is_some_and(|parent| parent.iter().any(|name| name == folder))
    }
}

/// All Rust files of the crates that lie below `root`, in the order of their paths.
pub(crate) fn all(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for entry in entries(root)? {
        if entry.join("Cargo.toml").is_file() {
            collect(&entry, &mut paths)?;
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Source { path: path.strip_prefix(root).unwrap_or(&path).to_owned(), text })
    };
    paths.into_iter().map(read).collect()
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries(dir)? {
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "target") {
            collect(&entry, into)?;
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            into.push(entry);
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_part_is_what_tests() {
        let part = |path, text| Source::new(path, text).test_part().to_owned();
        assert_eq!(part("a/src/b.rs", "code\n#[cfg(test)]\nmod tests {}"), "#[cfg(test)]\nmod tests {}");
        assert_eq!(part("a/src/b.rs", "code"), "");
        assert_eq!(part("a/src/b/tests.rs", "all"), "all");
        assert_eq!(part("a/src/b/tests/c.rs", "all"), "all");
        assert_eq!(part("a/tests/b.rs", "all"), "all");
        assert_eq!(part("integration/src/b.rs", "all"), "all");
        assert_eq!(part("rpc-testing/src/conformance/b.rs", "all"), "all");
        assert_eq!(part("rpc-testing/src/b.rs", "code"), "");
    }
}
