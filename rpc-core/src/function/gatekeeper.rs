//! [`Gatekeeper`]: asks the program whether a peer may call a function.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::panic;
use crate::message::{Outcome, Response};
use crate::worker::{Group, WorkerId, WorkerInfo};

/// What a program answers when it is asked whether a peer may call a function.
///
/// A hook may as well return `bool`, or a `Result` whose error is the reason of the denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not.
    Deny {
        /// Told to the caller as part of its error; may be empty.
        reason: String,
    },
}

impl From<bool> for Decision {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Deny { reason: String::new() } }
    }
}

impl<E: fmt::Display> From<Result<(), E>> for Decision {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Allow,
            Err(reason) => Self::Deny { reason: reason.to_string() },
        }
    }
}

/// Decides, for one worker, which of its peers may call which of its functions.
///
/// Who serves requests asks it once it knows the function, and before anything of the caller's is decoded.
/// The worker's requests to itself are not its business: code that runs here needs no request to run more.
///
/// ```
/// # use rpc_core::{Gatekeeper, Group, Incarnation, Member, WorkerId, WorkerInfo, WorkerName};
/// # let member = |rank: u32| -> Result<Member, rpc_core::InvalidName> {
/// #     let name = WorkerName::new(format!("worker{rank}"))?;
/// #     Ok(Member::new(WorkerInfo::new(name, WorkerId(rank)), Incarnation([rank as u8; 16]), "nowhere"))
/// # };
/// # let group = Group::new("job", vec![member(0)?, member(1)?, member(2)?])?;
/// let gatekeeper = Gatekeeper::new(WorkerId(0), group, |peer: &WorkerInfo, function: &str| {
///     peer.name.as_str() == "worker1" || function.starts_with("app::public::")
/// });
/// assert!(gatekeeper.admit(WorkerId(1), "app::erase").is_ok());
/// assert!(gatekeeper.admit(WorkerId(2), "app::public::count").is_ok());
/// assert!(gatekeeper.admit(WorkerId(2), "app::erase").is_err());
/// assert_eq!(gatekeeper.denied(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Gatekeeper {
    me: WorkerId,
    group: Group,
    hook: Box<Hook>,
    denied: AtomicU64,
}

type Hook = dyn Fn(&WorkerInfo, &str) -> Decision + Send + Sync;

impl Gatekeeper {
    /// One for worker `me` of `group` that asks `hook`, with the caller and the name of the function,
    /// `crate::module::name`, or of the method, `crate::module::Type::name`.
    ///
    /// The hook runs where links are read, so that it must be quick and must not block. If it panics the
    /// answer is no.
    pub fn new<D: Into<Decision>>(
        me: WorkerId,
        group: Group,
        hook: impl Fn(&WorkerInfo, &str) -> D + Send + Sync + 'static,
    ) -> Self {
        let hook = Box::new(move |peer: &WorkerInfo, function: &str| hook(peer, function).into());
        Self { me, group, hook, denied: AtomicU64::new(0) }
    }

    /// Lets worker `from` call `function`.
    ///
    /// # Errors
    /// The response that says that it may not ([`Outcome::Denied`]).
    pub fn admit(&self, from: WorkerId, function: &str) -> Result<(), Response> {
        if from == self.me {
            return Ok(());
        }
        let decision = match self.group.get(from) {
            Some(peer) => panic::catch(|| (self.hook)(&peer.info, function)).unwrap_or_else(|panicked| {
                let panicked = panicked.details().join(", at ");
                tracing::error!(peer = %peer.info, function, "the authorize hook has panicked: {panicked}");
                Decision::Deny { reason: "the hook has panicked".into() }
            }),
            None => Decision::Deny { reason: "it is not in the group".into() },
        };
        let Decision::Deny { reason } = decision else { return Ok(()) };
        let denied = self.denied.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = match self.group.get(from) {
            Some(peer) => peer.info.to_string(),
            None => from.to_string(),
        };
        tracing::debug!(peer, function, reason, denied, "denied a call");
        Err(Response::failed(Outcome::Denied, &[&peer, &reason]))
    }

    /// How often it has said no.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Gatekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatekeeper")
            .field("me", &self.me)
            .field("denied", &self.denied)
            .finish_non_exhaustive()
    }
}
