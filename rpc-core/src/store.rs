//! [`Store`]: the key-value rendezvous through which workers find each other.

use std::fmt;
use std::time::Duration;

use crate::function::BoxFuture;

/// A shared map from text keys to bytes.
///
/// The operations are torch's: enough to number workers, to publish addresses and to wait for others.
/// `rpc-rendezvous` has stores in memory, in a file and over TCP.
///
/// # For implementors
/// Each operation is atomic with respect to all others, from any process. Dropping a future may leave its
/// operation done or not done, never half done.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Sets `key`.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] and the like, here and below.
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The value of `key`, if it has one.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// Waits until all of `keys` have values, and returns the values.
    ///
    /// # Errors
    /// [`StoreError::TimedOut`] lists the keys that have none.
    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>>;

    /// Adds `delta` to the number under `key` (0 if there is none) and returns the sum. The value is
    /// stored as decimal text.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] if the value is something else.
    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>>;

    /// Sets `key` to `new` if its value is `expected` (`None`: if it has none). Returns the value that it
    /// has afterwards, so that a caller that lost sees who won.
    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>>;

    /// Removes `key` and says whether it had a value.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not be reached, or the connection to it was lost and could not be made again.
    #[error("the store at {address} cannot be reached: {cause}; is rank 0 (or the launcher) running there?")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// The system's words.
        cause: String,
    },
    /// What answers there is not a store of ours.
    #[error("what listens at {address} is not a store of this framework: {cause}; choose another port")]
    NotAStore {
        /// Where we tried.
        address: String,
        /// What it said.
        cause: String,
    },
    /// The store and this process do not trust each other.
    #[error("the store at {address} and this process do not trust each other: {cause}")]
    Denied {
        /// Where it is.
        address: String,
        /// Why not, and what to do about it.
        cause: Denial,
    },
    /// Some keys still had no value.
    #[error("no value after {after:?} for {}", missing.join(", "))]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// The keys without a value.
        missing: Vec<String>,
    },
    /// A counter that holds something else.
    #[error("the value of {key} is not a number")]
    NotANumber {
        /// The key.
        key: String,
    },
    /// A bound of the store was reached.
    #[error("the bound {bound} = {limit} of the store is reached")]
    Full {
        /// Name of the bound.
        bound: String,
        /// Its value.
        limit: u64,
    },
    /// The store's file or the like failed.
    #[error("the store at {address} failed: {cause}")]
    Io {
        /// Where it is.
        address: String,
        /// The system's words.
        cause: String,
    },
}

/// Why a store and a process that wants to use it do not trust each other.
///
/// What the store says about itself before it has proved anything is in it too; whoever sits in between could
/// have said that, and gains no more by it than by cutting the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// The store asks for the job's token, and this process has none.
    #[error(
        "it asks for the job's token, and this process has none; set RPC_JOIN_TOKEN to the value that rank 0 \
         or the launcher has"
    )]
    TokenMissing,
    /// This process has a token, and the store does not ask for any.
    #[error(
        "it asks for no token, and this process has one: either rank 0 or the launcher was started without \
         RPC_JOIN_TOKEN, or this is another job's store and needs another port"
    )]
    TokenUnexpected,
    /// The two have different tokens, or somebody sits in between and has none.
    #[error(
        "it has another token; set RPC_JOIN_TOKEN to the same value for all of the job, choose another port \
         if this is another job's store, and start a launcher of the same version as the program"
    )]
    TokenDiffers,
    /// The store takes TLS only, and this process has come without: it has no token, or dials loopback where the
    /// store asks for certificates.
    #[error(
        "it takes TLS only; set RPC_JOIN_TOKEN or RPC_TLS_CA, RPC_TLS_CERT and RPC_TLS_KEY as for rank 0 or the \
         launcher, and reach it by the same host (MASTER_ADDR)"
    )]
    TlsExpected,
    /// This process expects TLS, and what answers speaks none.
    #[error(
        "what answers speaks no TLS: either rank 0 or the launcher was started without RPC_JOIN_TOKEN, or it \
         is no store"
    )]
    TlsMissing,
    /// A certificate was not accepted, by this process or by the store.
    #[error(
        "{detail}; the store (of rank 0 or the launcher) and all workers need RPC_TLS_CA, RPC_TLS_CERT and \
         RPC_TLS_KEY with certificates of one authority that have not expired, are good for servers and clients, \
         and in the store's case for the host in MASTER_ADDR"
    )]
    Certificate {
        /// Whose, and what is wrong with it.
        detail: String,
    },
    /// It needs TLS, and this program was built without.
    #[error("that needs TLS, which this program was built without; enable the feature `tls`")]
    NoTls,
}

/// A part of another store: all keys get a prefix, so that many jobs can share one store.
#[derive(Clone, Debug)]
pub struct PrefixStore<S> {
    prefix: String,
    inner: S,
}

impl<S: std::ops::Deref<Target = dyn Store> + fmt::Debug + Send + Sync + 'static> PrefixStore<S> {
    /// The keys of `inner` that begin with `prefix/`.
    pub fn new(prefix: impl Into<String>, inner: S) -> Self {
        Self { prefix: prefix.into(), inner }
    }

    fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.prefix)
    }
}

impl<S: std::ops::Deref<Target = dyn Store> + fmt::Debug + Send + Sync + 'static> Store for PrefixStore<S> {
    fn set<'a>(&'a self, key: &'a str, value: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.inner.set(&self.key(key), value).await })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { self.inner.get(&self.key(key)).await })
    }

    fn wait<'a>(
        &'a self,
        keys: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let full: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
            self.inner.wait(&full, timeout).await.map_err(|error| match error {
                StoreError::TimedOut { after, missing } => {
                    let strip = |key: String| key[self.prefix.len() + 1..].to_owned();
                    StoreError::TimedOut { after, missing: missing.into_iter().map(strip).collect() }
                }
                other => other,
            })
        })
    }

    fn add<'a>(&'a self, key: &'a str, delta: i64) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move { self.inner.add(&self.key(key), delta).await })
    }

    fn compare_set<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(async move { self.inner.compare_set(&self.key(key), expected, new).await })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.inner.delete(&self.key(key)).await })
    }
}
