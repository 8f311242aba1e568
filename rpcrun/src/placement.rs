//! Where a worker stands in its job, and how it is told: the environment variables that the launcher sets.
//!
//! | variable | value |
//! |---|---|
//! | `RANK` | `node_rank * nproc + LOCAL_RANK`: 0 to `WORLD_SIZE - 1` |
//! | `WORLD_SIZE` | `nnodes * nproc` |
//! | `LOCAL_RANK` | 0 to `nproc - 1` |
//! | `LOCAL_WORLD_SIZE` | `nproc` |
//! | `MASTER_ADDR`, `MASTER_PORT` | where the store listens |
//! | `RPC_STORE_HOSTED` | `1`: the launcher hosts the store, so rank 0 must not |
//! | `RPC_JOB_ID` | the same for all workers of the job |
//! | `RPC_BACKEND` | only if a backend was chosen |
//! | `RPC_LOCAL` | `off`, only with `--no-local` |
//! | `RPC_JOIN_TOKEN` | the job's secret, new for each launch; not set if the launcher's environment has one, or credentials |
//!
//! The rest of the launcher's environment is inherited, except the variables of torchrun that speak of its
//! own store and restarts: `TORCHELASTIC_USE_AGENT_STORE`, `TORCHELASTIC_RUN_ID` and
//! `TORCHELASTIC_RESTART_COUNT`.
//!
//! # The job's secret
//! Whoever has `RPC_JOIN_TOKEN` can join the job, and who has not cannot. Launchers on several machines make none,
//! since each would make another: there the user sets it for all of them, or `RPC_TLS_CA`, `RPC_TLS_CERT` and
//! `RPC_TLS_KEY`, which go before it. Those variables are inherited as they are. A program that says by itself what
//! protects it has to agree with them, for they are what the launcher's store asks for.
//!
//! # The job's id
//! On one machine it is random. Launchers on several machines cannot agree on a random one without talking,
//! so there it is a fixed function of what all of them were given: `ADDR:PORT` of the master. Jobs that
//! follow each other at one address then share an id, but never a store: each has a store of its own, which
//! ends with it.

use std::ffi::OsString;
use std::fmt;

use rpc_core::JoinToken;

use crate::error::LaunchError;
use crate::security::TOKEN_VARIABLE;

/// Variables of other launchers that would contradict ours.
pub(crate) const REMOVED: &[&str] =
    &["TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"];

/// The shape of a job: how many machines, how many workers on each, and which machine this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nproc: u32,
    pub(crate) nnodes: u32,
    pub(crate) node_rank: u32,
}

impl Shape {
    pub(crate) fn check(self) -> Result<(), LaunchError> {
        if self.nproc == 0 || self.nnodes == 0 {
            return Err(LaunchError::NoWorkers);
        }
        if self.node_rank >= self.nnodes {
            return Err(LaunchError::NodeRankOutOfRange { node_rank: self.node_rank, nnodes: self.nnodes });
        }
        if self.nnodes.checked_mul(self.nproc).is_none() {
            return Err(LaunchError::TooManyWorkers { nnodes: self.nnodes, nproc: self.nproc });
        }
        Ok(())
    }

    /// The rank of the worker `local_rank` of this machine. Only for a shape that passed [`Shape::check`].
    pub(crate) fn rank(self, local_rank: u32) -> u32 {
        self.node_rank * self.nproc + local_rank
    }

    pub(crate) fn world_size(self) -> u32 {
        self.nnodes * self.nproc
    }
}

/// What is the same for all workers of a job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) shape: Shape,
    pub(crate) master_addr: String,
    pub(crate) master_port: u16,
    pub(crate) id: String,
    pub(crate) backend: Option<String>,
    /// The job's secret, if it was made here.
    pub(crate) token: Option<JoinToken>,
    /// The user's variables, applied last.
    pub(crate) env: Variables,
}

impl Job {
    /// The environment of the worker `local_rank` of this machine.
    pub(crate) fn environment(&self, local_rank: u32) -> Vec<(OsString, OsString)> {
        let mut pairs = vec![
            ("RANK", self.shape.rank(local_rank).to_string()),
            ("WORLD_SIZE", self.shape.world_size().to_string()),
            ("LOCAL_RANK", local_rank.to_string()),
            ("LOCAL_WORLD_SIZE", self.shape.nproc.to_string()),
            ("MASTER_ADDR", self.master_addr.clone()),
            ("MASTER_PORT", self.master_port.to_string()),
            ("RPC_STORE_HOSTED", "1".to_owned()),
            ("RPC_JOB_ID", self.id.clone()),
        ];
        pairs.extend(self.backend.clone().map(|backend| ("RPC_BACKEND", backend)));
        let ours = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        // One is made only if the user's variables have none; set to nothing is not set.
        let token = self.token.as_ref().map(|token| (TOKEN_VARIABLE.into(), token.expose().into()));
        ours.chain(self.env.0.iter().cloned()).chain(token).collect()
    }
}

/// Environment variables that the user gives to the workers. A value may be a secret, so only names are shown.
#[derive(Clone, Default)]
pub(crate) struct Variables(pub(crate) Vec<(OsString, OsString)>);

impl Variables {
    /// What the workers will find: of these the last one of that name, else that of this process.
    pub(crate) fn or_inherited(&self, name: &str) -> Option<String> {
        let own = self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        own.or_else(|| std::env::var_os(name)).map(|value| value.to_string_lossy().into_owned())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The id of a job of several machines, which each launcher computes for itself.
pub(crate) fn shared_job_id(master_addr: &str, master_port: u16) -> String {
    format!("{master_addr}:{master_port}")
}

/// The id of a job of one machine.
pub(crate) fn random_job_id() -> Result<String, LaunchError> {
    let id = getrandom::u64().map_err(|error| LaunchError::NoRandomness { cause: error.to_string() })?;
    Ok(format!("{id:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(shape: Shape) -> Job {
        Job {
            shape,
            master_addr: "10.0.0.1".to_owned(),
            master_port: 29500,
            id: shared_job_id("10.0.0.1", 29500),
            backend: None,
            token: None,
            env: Variables::default(),
        }
    }

    fn value(pairs: &[(OsString, OsString)], key: &str) -> Option<String> {
        let found = pairs.iter().rev().find(|(name, _)| name == key)?;
        Some(found.1.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_second_machine_continues_the_ranks_of_the_first() {
        let env = job(Shape { nproc: 4, nnodes: 3, node_rank: 1 }).environment(2);
        assert_eq!(value(&env, "RANK").as_deref(), Some("6"));
        assert_eq!(value(&env, "WORLD_SIZE").as_deref(), Some("12"));
        assert_eq!(value(&env, "LOCAL_RANK").as_deref(), Some("2"));
        assert_eq!(value(&env, "LOCAL_WORLD_SIZE").as_deref(), Some("4"));
        assert_eq!(value(&env, "RPC_JOB_ID").as_deref(), Some("10.0.0.1:29500"));
        assert_eq!(value(&env, "RPC_BACKEND"), None);
    }

    #[test]
    fn the_users_variables_win() {
        let mut job = job(Shape { nproc: 1, nnodes: 1, node_rank: 0 });
        job.backend = Some("tcp".to_owned());
        job.env.0.push(("RPC_BACKEND".into(), "mine".into()));
        assert_eq!(value(&job.environment(0), "RPC_BACKEND").as_deref(), Some("mine"));
    }

    #[test]
    fn the_jobs_secret_reaches_the_workers_and_no_log() {
        let mut job = job(Shape { nproc: 1, nnodes: 1, node_rank: 0 });
        let token = JoinToken::random().unwrap();
        job.token = Some(token.clone());
        assert_eq!(value(&job.environment(0), TOKEN_VARIABLE).as_deref(), Some(token.expose()));
        job.env.0.push((TOKEN_VARIABLE.into(), "".into()));
        assert_eq!(value(&job.environment(0), TOKEN_VARIABLE).as_deref(), Some(token.expose()));
        job.env.0.push((TOKEN_VARIABLE.into(), "given-0123456789abcdef".into()));
        job.token = None;
        assert_eq!(value(&job.environment(0), TOKEN_VARIABLE).as_deref(), Some("given-0123456789abcdef"));
        job.token = Some(token.clone());
        let shown = format!("{job:?}");
        assert!(!shown.contains(token.expose()) && !shown.contains("given-"), "{shown}");
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let check = |nproc, nnodes, node_rank| Shape { nproc, nnodes, node_rank }.check();
        assert!(matches!(check(0, 1, 0), Err(LaunchError::NoWorkers)));
        assert!(matches!(check(1, 0, 0), Err(LaunchError::NoWorkers)));
        assert!(matches!(check(1, 2, 2), Err(LaunchError::NodeRankOutOfRange { node_rank: 2, nnodes: 2 })));
        assert!(matches!(check(u32::MAX, 2, 0), Err(LaunchError::TooManyWorkers { .. })));
        assert!(check(1, 2, 1).is_ok());
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(random_job_id().unwrap(), random_job_id().unwrap());
    }
}
