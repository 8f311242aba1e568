//! Which versions were built, out of the lock file.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The packages with their versions, each once.
pub(super) fn of<'a>(packages: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for package in packages {
        if !names.contains(&package) {
            names.push(package);
        }
    }
    let with_version = |name: &&str| format!("{name} {}", version(name).unwrap_or("?"));
    names.iter().map(with_version).collect::<Vec<_>>().join(", ")
}

fn version(package: &str) -> Option<&'static str> {
    let name = format!("name = \"{package}\"");
    let line = LOCK.lines().skip_while(|line| *line != name).nth(1)?;
    line.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        assert!(version("tokio").unwrap().starts_with("1."));
        assert_eq!(version("no such package"), None);
    }
}
