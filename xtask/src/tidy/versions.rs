//! Version numbers that stand in more than one place.

/// What the README says about the version of Rust and the manifest does not.
pub(crate) fn readme_disagrees(readme: &str, manifest: &str) -> Vec<String> {
    let Some(required) = value(manifest, "rust-version") else {
        return vec!["Cargo.toml: no rust-version".to_owned()];
    };
    let stated = rust_versions(readme);
    if stated.is_empty() {
        return vec![format!("README.md: does not state the version of Rust; write \"Rust {required}\"")];
    }
    let wrong = stated.into_iter().filter(|version| *version != required);
    wrong.map(|version| format!("README.md: Rust {version}, but rust-version is {required}")).collect()
}

/// The entry that the changelog lacks.
pub(crate) fn changelog_lacks(changelog: &str, manifest: &str) -> Vec<String> {
    let Some(version) = value(manifest, "version") else {
        return vec!["Cargo.toml: no version".to_owned()];
    };
    let heading = format!("## [{version}]");
    match changelog.lines().any(|line| line.starts_with(&heading)) {
        true => Vec::new(),
        false => vec![format!("CHANGELOG.md: no entry that begins with \"{heading}\"")],
    }
}

/// The value of `key = "…"` in the section of what all packages share.
fn value<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    let section = manifest.split("[workspace.package]").nth(1)?;
    let mut lines = section.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"'))
    })
}

/// The versions in `Rust 1.90` and the like.
fn rust_versions(text: &str) -> Vec<&str> {
    let number = |rest: &str| rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let after = text.match_indices("Rust ").map(|(at, word)| &text[at + word.len()..]);
    let versions = after.map(|rest| rest[..number(rest)].trim_end_matches('.'));
    versions.filter(|version| version.contains('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str =
        "[workspace.package]\nversion = \"0.1.0\"\nrust-version = \"1.95\"\n[x]\nversion = \"9\"\n";

    #[test]
    fn the_readme_has_to_state_the_version_of_the_manifest() {
        assert_eq!(readme_disagrees("Needs Rust 1.95. Rust is a language.", MANIFEST), Vec::<String>::new());
        assert_eq!(
            readme_disagrees("Needs Rust 1.80.", MANIFEST),
            ["README.md: Rust 1.80, but rust-version is 1.95"]
        );
        assert_eq!(readme_disagrees("Rust is a language.", MANIFEST).len(), 1);
    }

    #[test]
    fn the_changelog_has_to_have_the_version_of_the_workspace() {
        assert_eq!(changelog_lacks("## [0.1.0] - unreleased\n", MANIFEST), Vec::<String>::new());
        assert_eq!(changelog_lacks("## [0.0.9]\n", MANIFEST).len(), 1);
    }
}
