//! [`Way`]: over what the workers of a run talk.

use anyhow::Result;
use tokio::process::Command;

/// The name of the one that is no backend of its own.
const LOCAL: &str = "local";

/// Over what the workers of a run talk: a backend, and for `tcp` whether the links of one machine leave it.
///
/// All workers of a run are on one machine, so TCP is used only where it is said that local links are off. They are on
/// unless a run is called after a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way(String);

impl Way {
    /// What `name` means, on the command line: a backend, `local`, or `all`.
    pub fn chosen(name: &str) -> Result<Vec<Self>> {
        let registry = rpc::default_backends();
        let local = cfg!(target_os = "linux").then_some(LOCAL);
        let mut all: Vec<Self> = registry.names().chain(local).map(|name| Self(name.to_owned())).collect();
        if name != "all" {
            all.retain(|way| way.0 == name);
        }
        if all.is_empty() {
            registry.get(name)?;
        }
        Ok(all)
    }

    /// As it is written on the command line.
    pub fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_local(&self) -> bool {
        self.0 == LOCAL
    }

    /// The name of the backend.
    pub fn backend(&self) -> &str {
        if self.is_local() { "tcp" } else { &self.0 }
    }

    /// Has the process of `command` go this way.
    pub fn give(&self, command: &mut Command) {
        self.give_local(command);
        command.env("RPC_BACKEND", self.backend());
    }

    /// As [`give`](Self::give), of a process that is told the backend in another way.
    pub fn give_local(&self, command: &mut Command) {
        command.env("RPC_LOCAL", if self.is_local() { "on" } else { "off" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &str) -> Vec<String> {
        Way::chosen(chosen).unwrap().iter().map(|way| way.name().to_owned()).collect()
    }

    #[test]
    fn ways_are_the_backends_of_the_build_and_the_local_one() {
        let all = if cfg!(target_os = "linux") { &["quic", "tcp", "local"][..] } else { &["quic", "tcp"] };
        assert_eq!(names("all"), all);
        assert_eq!(names("tcp"), ["tcp"]);
        let error = Way::chosen("pigeon").unwrap_err().to_string();
        assert!(error.contains("pigeon") && error.contains("tcp"), "{error}");
    }
}
