//! [`LaunchError`].

/// What is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A variable is not set.
    #[error(
        "the environment variable {variable} is not set; expected {expected}; start the program with rpcrun or another launcher, or say it in code"
    )]
    Missing {
        /// Its name.
        variable: String,
        /// What it should hold.
        expected: String,
    },
    /// A variable holds something else than it should.
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
    #[error("{rank_variable} is {rank}, but {world_size_variable} is {world_size}; expected a rank from 0 to {}", i64::from(*.world_size) - 1)]
    RankOutOfRange {
        /// The rank.
        rank: u32,
        /// Where it comes from.
        rank_variable: String,
        /// The number of workers.
        world_size: u32,
        /// Where it comes from.
        world_size_variable: String,
    },
}
