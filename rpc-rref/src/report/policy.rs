//! What a worker does about leaks when it leaves.

use std::fmt;
use std::str::FromStr;

use rpc_core::WorkerInfo;

use super::list::Leak;

/// Leaks that are told one by one in a log or in the text of an error.
const TOLD_MAX: usize = 20;

/// What is done about values that still have holders when all workers have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeakPolicy {
    /// Each is logged as a warning, up to 20 and a count of the rest.
    #[default]
    Warn,
    /// The shutdown fails, and its error tells them. For tests.
    Error,
    /// Nothing. The report of the shutdown has them all the same.
    Ignore,
}

/// A text that is no [`LeakPolicy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} says nothing about leaks; it has to be warn, error or ignore")]
pub struct UnknownLeakPolicy(pub String);

impl FromStr for LeakPolicy {
    type Err = UnknownLeakPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownLeakPolicy> {
        match text {
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "ignore" => Ok(Self::Ignore),
            _ => Err(UnknownLeakPolicy(text.to_owned())),
        }
    }
}

/// The values of one worker that had holders when all workers had left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeakReport {
    /// The worker.
    pub worker: WorkerInfo,
    /// The values, by id; at most 1,024.
    pub leaks: Vec<Leak>,
    /// How many there are beyond those.
    pub more: u64,
}

/// This worker has left, and some of its values still had holders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; drop the references before shutdown, or allow it with LeakPolicy::Warn")]
pub struct Leaked(pub Box<LeakReport>);

impl LeakReport {
    /// How many values leaked.
    pub fn total(&self) -> u64 {
        self.leaks.len() as u64 + self.more
    }

    /// Does what `policy` says.
    ///
    /// # Errors
    /// [`Leaked`] if there are leaks and the policy is [`LeakPolicy::Error`].
    pub fn judge(self, policy: LeakPolicy) -> Result<Self, Leaked> {
        match policy {
            LeakPolicy::Error if self.total() > 0 => return Err(Leaked(Box::new(self))),
            LeakPolicy::Warn => self.warn(),
            LeakPolicy::Error | LeakPolicy::Ignore => {}
        }
        Ok(self)
    }

    fn warn(&self) {
        for leak in self.leaks.iter().take(TOLD_MAX) {
            tracing::warn!(worker = %self.worker, "leaked: {leak}");
        }
        let rest = self.total() - self.leaks.len().min(TOLD_MAX) as u64;
        if rest > 0 {
            tracing::warn!(worker = %self.worker, "leaked: {rest} more values");
        }
    }
}

/// The number of leaks, and the first of them.
impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{total} value{} of {} leaked", if total == 1 { "" } else { "s" }, self.worker)?;
        for (at, leak) in self.leaks.iter().take(TOLD_MAX).enumerate() {
            write!(f, "{} {leak}", if at == 0 { ":" } else { "." })?;
        }
        let rest = total - self.leaks.len().min(TOLD_MAX) as u64;
        if rest > 0 {
            write!(f, ". And {rest} more")?;
        }
        Ok(())
    }
}
