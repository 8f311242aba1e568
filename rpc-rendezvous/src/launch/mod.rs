//! What a launcher says to the processes that it starts.

use std::path::PathBuf;

/// Where workers meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meeting {
    /// A store over TCP.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Who hosts the store.
        host_by: StoreHost,
    },
    /// A store in a file that all workers see.
    File(PathBuf),
}

/// Who hosts the TCP store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreHost {
    /// Rank 0, at the address itself.
    Rank0,
    /// The launcher: every rank is a client.
    Launcher,
    /// Rank 0, beside a foreign service that holds the port: at the first free one of a sequence of
    /// candidate ports that all ranks derive from the port and the job.
    Rank0Beside,
}

/// What the environment says about this process's place in the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaunchEnv {
    /// This process's rank.
    pub rank: Option<u32>,
    /// How many workers there are.
    pub world_size: Option<u32>,
    /// This process's rank among those of its machine.
    pub local_rank: Option<u32>,
    /// Name of the job.
    pub job: Option<String>,
    /// Where the workers meet.
    pub meeting: Option<Meeting>,
    /// The backend that the launcher asks for.
    pub backend: Option<String>,
}

impl LaunchEnv {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn from_env() -> Result<Self, LaunchError> {
        Self::from_vars(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the variables that `lookup` knows.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn from_vars(_lookup: impl Fn(&str) -> Option<String>) -> Result<Self, LaunchError> {
        todo!()
    }

    /// The rank.
    ///
    /// # Errors
    /// [`LaunchError::Missing`].
    pub fn require_rank(&self) -> Result<u32, LaunchError> {
        todo!()
    }

    /// The number of workers.
    ///
    /// # Errors
    /// [`LaunchError::Missing`].
    pub fn require_world_size(&self) -> Result<u32, LaunchError> {
        todo!()
    }

    /// Where the workers meet.
    ///
    /// # Errors
    /// [`LaunchError::Missing`].
    pub fn require_meeting(&self) -> Result<Meeting, LaunchError> {
        todo!()
    }
}

/// What is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A variable is not set.
    #[error("the environment variable {variable} is not set; expected {expected}")]
    Missing {
        /// Its name.
        variable: String,
        /// What it should hold.
        expected: String,
    },
    /// A variable holds something else.
    #[error("the environment variable {variable} is {value:?}; expected {expected}")]
    Malformed {
        /// Its name.
        variable: String,
        /// Its value.
        value: String,
        /// What it should hold.
        expected: String,
    },
    /// The rank is not less than the number of workers.
    #[error("rank {rank} is out of range for {world_size} workers")]
    RankOutOfRange {
        /// The rank.
        rank: u32,
        /// The number of workers.
        world_size: u32,
    },
}

/// How to meet, as a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitMethod {
    /// `env://`: what the environment says.
    Env {
        /// `?rank=`.
        rank: Option<u32>,
        /// `&world_size=`.
        world_size: Option<u32>,
    },
    /// `tcp://host:port`, `file:///path`.
    At {
        /// Where.
        meeting: Meeting,
        /// `?rank=`.
        rank: Option<u32>,
        /// `&world_size=`.
        world_size: Option<u32>,
    },
}

impl InitMethod {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`InitMethodError`].
    pub fn parse(_url: &str) -> Result<Self, InitMethodError> {
        todo!()
    }
}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitMethodError {
    /// Not a URL of a known scheme.
    #[error("no rendezvous for {url:?}; the schemes are env://, tcp://HOST:PORT and file:///PATH")]
    UnknownScheme {
        /// What was given.
        url: String,
    },
}
